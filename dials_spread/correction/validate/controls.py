"""
What a correction must be better than to be believed.

Beside no correction at all: a model that is given nothing but the resolution; a model
that is trained on targets shuffled within resolution shells; and a law with two
parameters that are fitted to the very answer, which no model may see.

Functions:
    resolution_table: the only feature of the first
    shuffled_targets: for the second
    fit_law, apply_law: the third
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from dials_spread.rfactor.r1 import r_factor
from dials_spread.rfactor.shells import resolution_shells, shuffled_within

CONTROLS = ("none", "resolution", "shuffled", "law")
"""Names of the controls, in the order in which they are reported."""

PER_SHELL = 30
"""Reflections, about, within which targets are shuffled."""


def resolution_table(d_spacing: np.ndarray, unique: np.ndarray) -> np.ndarray:
    """
    Give d*² as a table with one column.

    Args:
        d_spacing: Shape (u,) [Å], of unique reflections.
        unique: Shape (n,), the unique reflection of each row.

    Returns:
        Shape (n, 1) [Å⁻²].
    """
    return (1.0 / np.asarray(d_spacing)[unique] ** 2)[:, None]


def shuffled_targets(
    target: np.ndarray, d_spacing: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """
    Shuffle targets of unique reflections within resolution shells.

    Args:
        target: Shape (u,); nan stays where it is.
        d_spacing: Shape (u,) [Å].
        rng: Source of random numbers.

    Returns:
        Shape (u,).
    """
    known = np.isfinite(target)
    shells = resolution_shells(
        d_spacing[known], max(1, np.count_nonzero(known) // PER_SHELL)
    )
    result = np.array(target, dtype=float)
    result[known] = shuffled_within(result[known], shells.shell, rng)
    return result


@dataclass(frozen=True)
class Law:
    """
    F' = max(F² - e², 0)^(b/2).

    Attributes:
        e: Amplitude that multiple scattering gives to every reflection, on the scale of
            the observed ones.
        b: Exponent; below 1 it makes strong reflections weaker.
        r1: Of the amplitudes that it was fitted to.
        n: Number of these.
    """

    e: float
    b: float
    r1: float
    n: int


def apply_law(f_o: np.ndarray, law: Law) -> np.ndarray:
    """
    Apply the law to amplitudes.

    Args:
        f_o: Shape (n,), not negative.
        law: Fitted.

    Returns:
        Shape (n,), on a scale of their own.
    """
    return np.maximum(f_o**2 - law.e**2, 0.0) ** (0.5 * law.b)


def fit_law(f_o: np.ndarray, f_c: np.ndarray) -> Law:
    """
    Fit the law to the answer: the least R1 that it can give.

    Args:
        f_o: Shape (n,), observed amplitudes.
        f_c: Shape (n,), true ones; nan where they are not known.

    Returns:
        The law.

    Raises:
        ValueError: No amplitude is positive.
    """
    kept = np.isfinite(f_o) & np.isfinite(f_c)
    f_o, f_c = f_o[kept], f_c[kept]
    if not len(f_o) or not f_o.max() > 0:
        raise ValueError(f"None of {len(f_o)} amplitudes is positive")
    # The exponent acts on numbers about one, so that nothing overflows.
    unit = float(np.sqrt(np.mean(f_o**2)))
    f_o = f_o / unit

    def cost(parameters) -> float:
        e, b = parameters
        if not (0 <= e < f_o.max() and 0.1 <= b <= 4):
            return 2.0
        value = r_factor(apply_law(f_o, Law(e, b, 0, 0)), f_c)[0]
        return value if np.isfinite(value) else 2.0

    grid = [(e, b) for e in np.linspace(0, 0.6, 13) for b in np.linspace(0.4, 2.4, 21)]
    start = min(grid, key=cost)
    simplex = np.array(start) + [[0, 0], [0.04, 0], [0, 0.1]]
    found = optimize.minimize(
        cost,
        start,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "xatol": 1e-5, "fatol": 1e-7},
    )
    e, b = found.x
    return Law(float(e) * unit, float(b), float(found.fun), len(f_o))
