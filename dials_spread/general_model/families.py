"""
Families of random compounds, told apart by their seeds.

"ordinary" ones are what most laboratories measure, "rich" ones are measured on many crystals,
"fine" ones to a resolution that only small cells reach, and in smaller cells. Each has
seeds of its own, so that a family can grow without changing the others.
"""

from __future__ import annotations

from dataclasses import dataclass

VOLUMES = (130.0, 2200.0)  # [Å³]
ANY_VOLUME = (90.0, 2200.0)


@dataclass(frozen=True)
class Family:
    """
    A kind of compounds.

    Attributes:
        first: Seeds of the family begin here.
        volumes: Limits of the volume of the cell [Å³].
        d_min: Limits of the resolution limit [Å].
        crystals: Numbers of crystals to choose from.
    """

    first: int
    volumes: tuple[float, float] = VOLUMES
    d_min: tuple[float, float] = (0.75, 1.0)
    crystals: tuple[int, ...] = (1, 2, 3, 4, 6, 8)

    def seeds(self, n: int, skip: int = 0) -> range:
        """Give the seeds of n compounds, after some that are skipped."""
        return range(self.first + skip, self.first + skip + n)


FAMILIES = {
    "ordinary": Family(0),
    "rich": Family(1_000_000, (VOLUMES[0], 1600.0), crystals=(12, 16, 20, 24)),
    "fine": Family(2_000_000, (90.0, 1000.0), d_min=(0.5, 0.75)),
}


def family_of(seed: int) -> Family:
    """Give the family that a seed belongs to."""
    return max((f for f in FAMILIES.values() if f.first <= seed), key=lambda f: f.first)
