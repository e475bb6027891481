"""
Images as rows, Miller indices as columns.

The incidence matrix X (images × indices, 0 or 1) is kept as compressed sparse rows. Its
columns are the indices as they were measured, not reduced to the asymmetric unit,
together with all their equivalents, so that an operator of the Laue group is a
permutation of the columns: two images are compared under one operator for the whole
image, ``n_common(a, b) = max over g of |H_a ∩ g H_b|``.

Functions:
    build_incidence: from observations
    common_entries: the indices that two images share under an operator
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.observations import Observations
from dials_spread.orientation import reciprocal_basis
from dials_spread.stages import stage
from dials_spread.symmetry import LaueOperators, laue_operators


@dataclass(frozen=True)
class Incidence:
    """
    Which index is on which image, and what was measured there.

    Attributes:
        indptr: Shape (images + 1,), int64: entries indptr[i]:indptr[i + 1] are image i's.
        column: Shape (m,), int32, increasing within an image: the index of each entry.
        intensity: Shape (m,). An index that was measured more than once on an image
            has the mean, weighted by the inverse variances.
        variance: Shape (m,).
        unique: Shape (m,), the number of the unique reflection.
        miller_index: Shape (c, 3), the index of each column.
        permutation: Shape (operators, c), int32: the column that an operator takes
            each column to.
        reciprocal: Shape (c, 3) [Å⁻¹], Cartesian reciprocal vectors.
        operators: The operators of the Laue group.
    """

    indptr: np.ndarray
    column: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    unique: np.ndarray
    miller_index: np.ndarray
    permutation: np.ndarray
    reciprocal: np.ndarray
    operators: LaueOperators

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def counts(self) -> np.ndarray:
        """Number of different indices on each image, shape (images,)."""
        return np.diff(self.indptr)

    def row(self, image: int) -> slice:
        """Give the entries of one image."""
        return slice(self.indptr[image], self.indptr[image + 1])


def pack(miller_index: np.ndarray, limit: int) -> np.ndarray:
    """
    Give each index a number of its own.

    Args:
        miller_index: Shape (..., 3), int.
        limit: The largest absolute value that any index may take.

    Returns:
        Shape (...), int64, in the order of h, then k, then l.
    """
    span = 2 * limit + 1
    h, k, l = np.moveaxis(miller_index.astype(np.int64) + limit, -1, 0)  # noqa: E741
    return (h * span + k) * span + l


def unpack(keys: np.ndarray, limit: int) -> np.ndarray:
    """
    Give back the indices of numbers.

    Args:
        keys: Shape (n,), from pack.
        limit: The same.

    Returns:
        Shape (n, 3).
    """
    span = 2 * limit + 1
    return np.stack([keys // span**2, keys // span % span, keys % span], axis=1) - limit


def close_under(
    miller_index: np.ndarray, operators: LaueOperators
) -> tuple[np.ndarray, np.ndarray]:
    """
    Add to a list of indices what the operators make of them.

    Args:
        miller_index: Shape (n, 3), int, without repeats.
        operators: m of them.

    Returns:
        The indices with all equivalents, sorted, shape (c, 3), and the permutation
        that each operator makes of them, shape (m, c).
    """
    equivalents = np.einsum("mij,nj->mni", operators.on_indices, miller_index)
    limit = int(np.abs(equivalents).max(initial=1))
    span = 2 * limit + 1
    keys = np.unique(pack(equivalents, limit))
    closed = (
        np.stack([keys // span**2, keys // span % span, keys % span], axis=1) - limit
    )
    images = np.einsum("mij,nj->mni", operators.on_indices, closed)
    permutation = np.searchsorted(keys, pack(images, limit))
    return closed.astype(np.int32), permutation.astype(np.int32)


def _merge_repeats(
    key: np.ndarray, intensity: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sort by key; equal keys become one entry with the weighted mean."""
    order = np.argsort(key, kind="stable")
    key, weight = key[order], 1 / variance[order]
    start = np.flatnonzero(np.diff(key, prepend=key[:1] - 1))
    total = np.add.reduceat(weight, start)
    mean = np.add.reduceat(weight * intensity[order], start) / total
    return order[start], key[start], mean, 1 / total


@stage("Indices on images")
def build_incidence(
    observations: Observations, scales: np.ndarray | None = None
) -> Incidence:
    """
    Lay out which index is on which image.

    Args:
        observations: With Friedel's law used or not; the operators follow it.
        scales: Shape (crystals,), what the intensities of each crystal are divided by;
            nothing by default.

    Returns:
        The incidence matrix with the measured values.
    """
    basis = reciprocal_basis(observations.unit_cell)
    operators = laue_operators(observations.space_group, basis, observations.friedel)
    measured = observations.miller_index
    limit = int(np.abs(measured).max())
    _, where = np.unique(pack(measured, limit), return_index=True)
    closed, permutation = close_under(measured[where], operators)

    limit = int(np.abs(closed).max())
    column = np.searchsorted(pack(closed, limit), pack(measured, limit))
    entry, image = observations.entry, observations.entry_image
    key = image.astype(np.int64) * len(closed) + column[entry]
    divisor = np.ones(len(observations.dataset)) if scales is None else scales
    divisor = divisor[observations.crystal[entry]]
    first, key, intensity, variance = _merge_repeats(
        key,
        observations.intensity[entry] / divisor,
        observations.variance[entry] / divisor**2,
    )
    n_images = len(observations.images)
    return Incidence(
        indptr=np.searchsorted(key // len(closed), np.arange(n_images + 1)),
        column=(key % len(closed)).astype(np.int32),
        intensity=intensity,
        variance=variance,
        unique=observations.unique[entry[first]],
        miller_index=closed,
        permutation=permutation,
        reciprocal=closed @ basis.T,
        operators=operators,
    )


def common_entries(
    incidence: Incidence, a: int, b: int, operator: int
) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the indices that two images share.

    Args:
        incidence: The incidence matrix.
        a: First image.
        b: Second image.
        operator: Number of the operator that takes b's indices to a's.

    Returns:
        The entries on a and on b of each common index, two arrays of shape (n,).
    """
    row_a, row_b = incidence.row(a), incidence.row(b)
    mapped = incidence.permutation[operator][incidence.column[row_b]]
    _, on_a, on_b = np.intersect1d(
        incidence.column[row_a], mapped, assume_unique=True, return_indices=True
    )
    return row_a.start + on_a, row_b.start + on_b
