"""Which thicknesses are looked for, and on which grid a crystal is simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAWS = ("uniform", "wedge", "slab")

# A crystal is first simulated to the first of these parts of the greatest thickness, and
# further only where the best shape reaches the last fifth of that: the time it takes
# grows with the square of the thickness.
PARTS, NEAR_THE_END = (0.4, 0.7, 1.0), 0.8


@dataclass(frozen=True)
class ThicknessSearch:
    """
    How thicknesses are looked for.

    Attributes:
        least, most: Range of thicknesses [Å].
        laws: Shapes that a crystal may have, among uniform, wedge and slab; where there
            is more than one, the data decide.
        given: A thickness of all crystals [Å], instead of a fit.
        within: Half range within a crystal over its mean, where a thickness is given.
        hand: Compare with the inverted structure, too.
    """

    least: float = 20.0
    most: float = 3000.0
    laws: tuple[str, ...] = LAWS
    given: float | None = None
    within: float = 0.0
    hand: bool = True

    def __post_init__(self) -> None:
        if self.given is not None and not self.given > 0:
            raise ValueError(f"The thickness must be positive, not {self.given} Å.")
        if not 0 < 2 * self.least < self.most:
            raise ValueError(
                f"Thicknesses from {self.least:g} to {self.most:g} Å are no range to "
                "look for one."
            )
        if not set(self.laws) <= set(LAWS) or not self.laws:
            raise ValueError(f"There is no thickness law {', '.join(self.laws)}.")
        if not 0 <= self.within < 1:
            raise ValueError(f"within={self.within} is not from 0 to below 1.")

    def grids(self) -> list[np.ndarray]:
        """
        Thicknesses to simulate [Å], one grid after the other until one is enough.
        """
        if self.given is not None:
            low, high = (self.given * (1 + x * self.within) for x in (-1, 1))
            return [fine_grid(low, high)]
        ends = [part * self.most for part in PARTS]
        return [thickness_grid(self.least, end) for end in ends if end > 2 * self.least]


def thickness_grid(first: float, last: float) -> np.ndarray:
    """
    Thicknesses at which a crystal is simulated [Å].

    Steps of 20 Å to 600 Å, of 40 to 1,400 and of 80 beyond: extinction distances are
    some 200 Å and more, and thick crystals average over reflections that differ in
    them.

    Args:
        first: The smallest [Å].
        last: The greatest [Å].
    """
    steps = ((600.0, 20.0), (1400.0, 40.0), (np.inf, 80.0))
    grid = [first]
    while grid[-1] < last:
        step = next(step for end, step in steps if grid[-1] < end)
        grid.append(min(grid[-1] + step, last))
    return np.array(grid)


def fine_grid(low: float, high: float) -> np.ndarray:
    """
    A grid over the thicknesses of one shape [Å], in steps of less than 20 Å.

    Args:
        low, high: The smallest and the greatest.
    """
    low, high = 0.99 * low, 1.01 * high
    return np.linspace(low, high, 3 + int((high - low) / 20.0))
