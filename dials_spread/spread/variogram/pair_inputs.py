"""
What pairs of observations of one unique reflection are made of.

Weak reflections differ by several times their mean, strong ones by some hundredths. Each
reflection counts with one over its own variance (pair_weights), so that few weak ones do
not rule, and the mean and the robust estimate tell the same.

Classes:
    PairInputs: columns and directions, in the order of the residuals

Functions:
    pair_weights: how much each reflection counts
    square_levels: what the squares of its differences are divided by
    relative_variances, weights_of_variances, unbiased_squares: the same, from sums
    pair_inputs: all of it
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.spread.size.residuals import Residuals
from dials_spread.spread.variogram.directions import (
    ObservationDirections,
    reversed_beams,
)

OWN = 40
"""Deviations with which the variance of a reflection itself weighs as much as that of
reflections of its strength."""

LARGEST = 0.3
"""Relative variance of a mean beyond which no series tells the bias of its inverse."""

STRENGTHS = 16
"""Classes of strength, whose reflections lend their variance to each other."""


def _relative_variances(residuals: Residuals) -> np.ndarray:
    """Give relative_variances of what residuals are of."""
    start = residuals.start
    relative = residuals.intensity / residuals.level - 1
    square = np.add.reduceat(relative**2, start[:-1])
    return relative_variances(square, np.diff(start), residuals.level[start[:-1]])


def relative_variances(
    square: np.ndarray, size: np.ndarray, level: np.ndarray
) -> np.ndarray:
    """
    Give the variance of a relative observation of each reflection.

    It is its own and that of reflections of its strength, as OWN says.

    Args:
        square: Shape (u,), sums of squared relative deviations from the level.
        size: Shape (u,), observations.
        level: Shape (u,), their means.
    """
    pooled = np.empty(len(size))
    # A stable sort, so that equal ones stay in their order.
    order = np.argsort(level, kind="stable")
    for part in np.array_split(order, min(STRENGTHS, len(order))):
        pooled[part] = square[part].sum() / (size[part] - 1).sum()
    return (square + OWN * pooled) / (size - 1 + OWN)


def unbiased_squares(
    level: np.ndarray, variance: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Give square_levels from means, relative variances and numbers of observations."""
    return level**2 * (1 + 3 * np.minimum(variance / size, LARGEST))


def weights_of_variances(variance: np.ndarray) -> np.ndarray:
    """Give pair_weights from relative variances, shape (u,)."""
    return 1 / np.maximum(variance + float(np.median(variance)), 1e-12)


def square_levels(residuals: Residuals) -> np.ndarray:
    """
    Give μ² of each reflection without its own variance.

    Args:
        residuals: Sorted by reflection; at least one.

    Returns:
        Shape (reflections,), such that 1/μ² is free of bias: with the mean L of n
        observations E[1/L²] = (1 + 3 Var(L)/μ² …)/μ², and differences do not depend on L.
    """
    start = residuals.start
    level, variance = residuals.level[start[:-1]], _relative_variances(residuals)
    return unbiased_squares(level, variance, np.diff(start))


def pair_weights(residuals: Residuals) -> np.ndarray:
    """
    Give each reflection a weight of one over the variance of a relative observation.

    The median of all is added: what is known badly, from few observations, must not count
    most.

    Args:
        residuals: Sorted by reflection; at least one.

    Returns:
        Shape (reflections,).
    """
    return weights_of_variances(_relative_variances(residuals))


class PairInputs(NamedTuple):
    """
    What pairs of n observations of u reflections are made of.

    Attributes:
        weight, square_level: Shape (u,), from pair_weights and square_levels.
        columns: Shape (n,) each: intensity, variance, image and crystal.
        hand: Shape (n,).
        beams: Beams, those of the reversed experiments, and factors of images.
        on_directions, fixes: Of ObservationDirections, of the u reflections.
    """

    weight: np.ndarray
    square_level: np.ndarray
    columns: tuple[np.ndarray, ...]
    hand: np.ndarray
    beams: tuple[np.ndarray, ...]
    on_directions: np.ndarray
    fixes: np.ndarray


def pair_inputs(
    residuals: Residuals,
    directions: ObservationDirections,
    halves: np.ndarray | None = None,
) -> PairInputs:
    """
    Give what pairs are made of, in the order of the residuals.

    Args:
        residuals: At least one reflection.
        directions: Of the observations that the residuals are made of.
        halves: As for sum_pairs.
    """
    of = residuals.observation
    beam = directions.beam[of]
    against = reversed_beams(beam, directions.towards[residuals.unique])
    return PairInputs(
        weight=pair_weights(residuals),
        square_level=square_levels(residuals),
        columns=(
            residuals.intensity,
            residuals.variance,
            residuals.image,
            residuals.crystal,
        ),
        hand=directions.hand[of],
        beams=(beam, against, _factors_of_halves(halves, residuals.n_images)),
        on_directions=directions.on_directions,
        fixes=directions.fixes[residuals.unique[residuals.start[:-1]]],
    )


def _factors_of_halves(halves: np.ndarray | None, n_images: int) -> np.ndarray:
    """Factors as the loops want them, those of an image side by side; nan without."""
    if halves is None:
        return np.full((n_images, 1, 2), np.nan)
    return np.ascontiguousarray(np.moveaxis(halves, 2, 0), dtype=float)
