"""
Families of random compounds, told apart by their seeds.

"ordinary" ones are what most laboratories measure, "rich" ones are measured on many crystals,
"fine" ones to a resolution that only small cells reach, and in smaller cells. Each has
seeds of its own, so that a family can grow without changing the others.

Four further families are for trials, and the model of the package has not seen them: "thin"
crystals of 20 to 60 Å, "precessed" ones, "kinematic" ones without multiple scattering, and
"xray", which are kinematic too, with form factors of X-rays and larger displacements.
"""

from __future__ import annotations

from dataclasses import dataclass

VOLUMES = (130.0, 2200.0)  # [Å³]
ANY_VOLUME = (90.0, 2200.0)
THICKNESSES = (110.0, 1700.0)  # [Å]

WAVES = ("dynamical", "kinematic", "X-ray")
"""X-ray: kinematic, with form factors of X-rays."""


@dataclass(frozen=True)
class Family:
    """
    A kind of compounds.

    Attributes:
        first: Seeds of the family begin here.
        volumes: Limits of the volume of the cell [Å³].
        d_min: Limits of the resolution limit [Å].
        crystals: Numbers of crystals to choose from.
        thicknesses: Limits of the typical thickness [Å].
        wave: One of WAVES.
        semi_angle: Limits of the angle by which the beam precesses [°].
        more_b: Limits of what is added to B of all atoms [Å²].
    """

    first: int
    volumes: tuple[float, float] = VOLUMES
    d_min: tuple[float, float] = (0.75, 1.0)
    crystals: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    thicknesses: tuple[float, float] = THICKNESSES
    wave: str = WAVES[0]
    semi_angle: tuple[float, float] = (0.0, 0.0)
    more_b: tuple[float, float] = (0.0, 0.0)

    def seeds(self, n: int, skip: int = 0) -> range:
        """Give the seeds of n compounds, after some that are skipped."""
        return range(self.first + skip, self.first + skip + n)


FAMILIES = {
    "ordinary": Family(0),
    "rich": Family(1_000_000, (VOLUMES[0], 1600.0), crystals=(12, 16, 20, 24)),
    "fine": Family(2_000_000, (90.0, 1000.0), d_min=(0.5, 0.75)),
    "thin": Family(3_000_000, thicknesses=(20.0, 60.0)),
    "precessed": Family(
        4_000_000, (VOLUMES[0], 700.0), crystals=(2, 3, 4), thicknesses=(110.0, 700.0),
        semi_angle=(0.3, 1.0),
    ),
    "kinematic": Family(5_000_000, wave="kinematic"),
    "xray": Family(
        6_000_000, (VOLUMES[0], 1000.0), crystals=(6, 8, 12), wave="X-ray",
        more_b=(1.0, 4.0),
    ),
}  # fmt: skip

TRIAL_FAMILIES = ("thin", "precessed", "kinematic", "xray")
"""Of these the model of the package has seen none."""


def family_of(seed: int) -> Family:
    """Give the family that a seed belongs to."""
    return max((f for f in FAMILIES.values() if f.first <= seed), key=lambda f: f.first)
