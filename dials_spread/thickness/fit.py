"""
The thickness of a crystal from measured intensities.

Every shape that is tried gives one R1, with the scale of the crystal that minimises it.
Reflections that are equivalent are drawn and split together. Whether a crystal is better
described as a plate or a wedge is decided on reflections that the fit has not seen: a
law with one parameter more always fits better those that it was fitted to.

Functions:
    weighted_r1: R1 of one set of amplitudes under many weights
    candidate_shapes: the shapes that are tried
    fit_shape: the best of them, how well it is known, and held-out R1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread.thickness.curves import Shape, ThicknessCurves

# Thicknesses tried, per law; 4 % from one to the next.
N_THICKNESSES = 120

# Rotations tried at which the beam is normal to a plate [rad].
SLAB_ANGLES = np.deg2rad(np.arange(-60.0, 61.0, 7.5))

# Relative half ranges tried of a wedge.
WEDGES = (0.3, 0.6, 0.9)

# Halvings of the reflections for the held-out R1, and bootstrap samples.
N_SPLITS, N_DRAWS = 10, 100

# A bootstrap sample looks among shapes whose R1 is within this of the best.
NEAR = 0.03

# A more complex law must lower held-out R1 by this much, in this part of the halves.
CLEARLY_LOWER, CLEARLY_OFTEN = 0.002, 0.75

# Fewest observations from which a thickness is fitted.
FEWEST = 30


def weighted_r1(f_o: np.ndarray, f_c: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """
    R1 under many weights, each with the scale that minimises it.

    The scale is the median of F_c / F_o weighted by w F_o, as in rfactor.r1.

    Args:
        f_o: Shape (n,), not negative.
        f_c: Shape (n,), positive.
        weights: Shape (b, n), not negative.

    Returns:
        Shape (b,).
    """
    has = f_o > 0
    order = np.flatnonzero(has)[np.argsort(f_c[has] / f_o[has], kind="stable")]
    share = np.cumsum(weights[:, order] * f_o[order], axis=1)
    place = np.argmax(share >= 0.5 * share[:, -1:], axis=1)
    scale = (f_c[order] / f_o[order])[place]
    misfit = np.abs(scale[:, None] * f_o - f_c)
    return np.einsum("bn,bn->b", weights, misfit) / (weights @ f_c)


def candidate_shapes(
    grid: np.ndarray, limits: tuple[float, float], laws: Sequence[str]
) -> list[Shape]:
    """
    The shapes that are tried.

    Args:
        grid: Of the curves [Å].
        limits: First and last angle of the scan [rad].
        laws: Among "uniform", "wedge" and "slab".

    Returns:
        Thicknesses in equal ratios for every law. A plate's normal is tried about the
        middle of the scan, over a scan that is wide enough to show it.
    """
    thicknesses = np.geomspace(grid[0], grid[-1], N_THICKNESSES)
    shapes = []
    if "uniform" in laws:
        shapes += [Shape(t) for t in thicknesses]
    if "wedge" in laws:
        shapes += [
            Shape(t, within=w)
            for w in WEDGES
            for t in thicknesses
            if t * (1 + w) <= grid[-1]
        ]
    if "slab" in laws:
        middle = 0.5 * (limits[0] + limits[1])
        longest = max(np.abs(np.subtract(limits, middle)))
        shapes += [
            Shape(t, slab_angle=middle + angle)
            for angle in SLAB_ANGLES
            for t in thicknesses
            # Only where the whole scan stays on the grid.
            if longest + abs(angle) < np.deg2rad(75)
            and t / np.cos(longest + abs(angle)) <= grid[-1]
        ]
    return shapes


@dataclass(frozen=True)
class ShapeFit:
    """
    The shape of a crystal as fitted.

    Attributes:
        shape: The best.
        su: Standard uncertainty of the thickness [Å], by the bootstrap over unique
            reflections; nan where it was given and not fitted.
        n: Number of observations.
        n_unique: Number of unique reflections, which it rests on.
        r1: At the best shape.
        r1_kinematic: With single scattering.
        held_out: R1 of the halves that the fit had not seen, mean.
        held_out_kinematic: R1 of the same halves with single scattering.
        held_out_by_law: Mean held-out R1 of every law that was tried.
        thicknesses: Shape (t,) [Å], of the uniform law.
        curve: Shape (t,), its R1.
        draws: Shapes of the bootstrap samples.
    """

    shape: Shape
    su: float
    n: int
    n_unique: int
    r1: float
    r1_kinematic: float
    held_out: float
    held_out_kinematic: float
    held_out_by_law: dict[str, float]
    thicknesses: np.ndarray
    curve: np.ndarray
    draws: list[Shape]


def fit_shape(
    curves: ThicknessCurves,
    crossing: np.ndarray,
    f_o: np.ndarray,
    f_kinematic: np.ndarray,
    unique: np.ndarray,
    shapes: Sequence[Shape],
    rng: np.random.Generator,
) -> ShapeFit:
    """
    Find the shape whose intensities agree best with what was observed.

    Args:
        curves: Of the crystal.
        crossing: Shape (n,), the crossing of each observation, all of them met.
        f_o: Shape (n,), observed amplitudes √max(I, 0).
        f_kinematic: Shape (n,), |F|.
        unique: Shape (n,), number of the unique reflection.
        shapes: Tried, from `candidate_shapes`.
        rng: For halves and bootstrap samples.

    Raises:
        ValueError: There are too few observations.
    """
    if len(f_o) < FEWEST:
        raise ValueError(
            f"{len(f_o)} observations are too few to fit a thickness; it takes {FEWEST}."
        )
    _, number = np.unique(unique, return_inverse=True)
    number = np.ravel(number)
    halves = _halves(rng, number)
    weights = np.concatenate([np.ones((1, len(f_o))), halves])
    f_c = [np.sqrt(curves.intensities(shape)[crossing]) for shape in shapes]
    usable = [i for i, f in enumerate(f_c) if np.isfinite(f).all()]
    table = np.full((len(shapes), len(weights)), np.inf)
    for i in usable:
        table[i] = weighted_r1(f_o, f_c[i], weights)
    held_out = _held_out_by_law(table[:, 1:], [shape.law for shape in shapes])
    law = _choose_law(held_out)
    own = np.array([i for i in usable if shapes[i].law == law])
    best = own[np.argmin(table[own, 0])]
    near = own[table[own, 0] <= table[best, 0] + NEAR]
    drawn = near[_bootstrap(rng, number, f_o, [f_c[i] for i in near])]
    kinematic = weighted_r1(f_o, f_kinematic, weights)
    uniform = [i for i, s in enumerate(shapes) if s.law == law]
    uniform = [i for i, s in enumerate(shapes) if s.law == "uniform"] or uniform
    return ShapeFit(
        shape=shapes[best],
        su=float(np.std([shapes[i].thickness for i in drawn], ddof=1)),
        n=len(f_o),
        n_unique=int(number.max()) + 1,
        r1=float(table[best, 0]),
        r1_kinematic=float(kinematic[0]),
        held_out=float(held_out[law].mean()),
        held_out_kinematic=float(kinematic[1:].mean()),
        held_out_by_law={name: float(x.mean()) for name, x in held_out.items()},
        thicknesses=np.array([shapes[i].thickness for i in uniform]),
        curve=table[uniform, 0],
        draws=[shapes[i] for i in drawn],
    )


def _halves(rng: np.random.Generator, number: np.ndarray) -> np.ndarray:
    """Weights of halves of the unique reflections, a half and its other in turn."""
    n_unique = number.max() + 1
    rows = []
    for _ in range(N_SPLITS):
        half = np.zeros(n_unique, dtype=bool)
        half[rng.permutation(n_unique)[: n_unique // 2]] = True
        rows += [half[number], ~half[number]]
    return np.array(rows, dtype=float)


def _held_out_by_law(table: np.ndarray, laws: Sequence[str]) -> dict[str, np.ndarray]:
    """
    R1 of each half at the shape that the other half prefers.

    Args:
        table: Shape (shapes, halves), R1; halves next to each other complement.
        laws: Of the shapes.

    Returns:
        Shape (halves,) by law.
    """
    other = np.arange(table.shape[1]) ^ 1
    found = {}
    for law in dict.fromkeys(laws):
        own = table[[name == law for name in laws]]
        if np.isfinite(own).any():
            found[law] = own[np.argmin(own, axis=0)[other], np.arange(len(other))]
    return found


def _choose_law(held_out: dict[str, np.ndarray]) -> str:
    """The simplest law that no other clearly beats on held-out reflections."""
    chosen = next(iter(held_out))
    for law, values in held_out.items():
        gain = held_out[chosen] - values
        if gain.mean() > CLEARLY_LOWER and np.mean(gain > 0) >= CLEARLY_OFTEN:
            chosen = law
    return chosen


def _bootstrap(
    rng: np.random.Generator,
    number: np.ndarray,
    f_o: np.ndarray,
    f_c: Sequence[np.ndarray],
) -> np.ndarray:
    """Which of some shapes is best for unique reflections drawn with replacement."""
    n_unique = number.max() + 1
    counts = rng.multinomial(n_unique, np.full(n_unique, 1 / n_unique), size=N_DRAWS)
    weights = counts[:, number].astype(float)
    return np.argmin([weighted_r1(f_o, f, weights) for f in f_c], axis=0)
