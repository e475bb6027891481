"""
Pairs of the same orientation against all other pairs of the same reflections, from sums.

As spread.chance.same_orientation: s² within pairs and between the others differ by the mean
product of deviations. Both are sums by reflection, over cells (one reflection on one crystal,
which lies in one block) and over the common spots of pairs. What takes all cells of a
reflection at once, the test that changes their signs at random, is replaced by its
variance: of independent signs ±1 with products P of the spots of two cells and totals t,

    Var = Σ_u Σ_{c<d} (of_same P_cd - of_all t_c t_d)²

which is a sum, too. p is that of a normal deviate.

Functions:
    sums_of_cells: of one block
    build_weights: what deviations are divided by
    contrast: from the sums of all
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy import stats

from dials_spread.in_blocks.blocks import CrystalBlock
from dials_spread.in_blocks.entries import Entries, OfEntries, entries_of
from dials_spread.spread.chance.orientation_sums import (
    COVERED,
    FEWEST_SPOTS,
    TOO_FEW,
    OrientationContrast,
    ReflectionParts,
    deviations,
    parts_of_reflections,
    shared_interval,
    spreads,
    weights_of_reflections,
    with_ratio,
)


class Sums(NamedTuple):
    """Of entries by reflection, shape (u,) each: how many, intensities, variances."""

    number: np.ndarray
    total: np.ndarray
    variance: np.ndarray


class Weights(NamedTuple):
    """Of u reflections: weight, 0 for one that does not count, and mean."""

    weight: np.ndarray
    mean: np.ndarray


class Cells(NamedTuple):
    """
    Sums over the cells of each reflection, shape (u,) each, and totals by group.

    Attributes:
        plain: Σ z.
        second, fourth: Σ t² and Σ t⁴ of the totals t of cells.
        number: Entries.
        squares: Σ of squared numbers of entries of cells.
        by_group: Shape (u, groups), totals.
        second_by_group: Shape (u, groups), Σ t².
    """

    plain: np.ndarray
    second: np.ndarray
    fourth: np.ndarray
    number: np.ndarray
    squares: np.ndarray
    by_group: sp.csr_matrix
    second_by_group: sp.csr_matrix


class OfPairs(NamedTuple):
    """Sums over common spots by reflection: how many, products, half squares."""

    number: np.ndarray
    product: np.ndarray
    squares: np.ndarray


class ByGroups(NamedTuple):
    """
    A second round over common spots.

    Attributes:
        shared, squares: Shape (groups, groups), sums for the interval.
        variance: What P² and P t t add to the variance of the difference.
        crystals: Shape (k,), bool: that spots are of.
    """

    shared: np.ndarray
    squares: np.ndarray
    variance: float
    crystals: np.ndarray


def without_factors(entries: Entries) -> tuple[np.ndarray, np.ndarray]:
    """Give intensities and variances, divided by the factors of images."""
    factor = entries.factor[entries.image]
    return entries.intensity / factor, entries.variance / factor**2


def sum_entries(n_unique: int, block: CrystalBlock, own: OfEntries) -> np.ndarray:
    """Sum entries by reflection, with and without factors of images; (2, 3, u)."""
    entries = entries_of(block, own)
    number = np.bincount(entries.unique, minlength=n_unique)
    pairs = (entries.intensity, entries.variance), without_factors(entries)
    return np.array(
        [
            [number, *(np.bincount(entries.unique, c, n_unique) for c in pair)]
            for pair in pairs
        ]
    )


def build_weights(sums: Sums, s: float) -> Weights:
    """
    Give the weights of reflections, as spread.chance.same_orientation has them.

    Args:
        sums: Without factors of images.
        s: Relative spread of all.
    """
    return Weights(*weights_of_reflections(*sums, s))


def deviations_of(entries: Entries, weights: Weights) -> np.ndarray:
    """Give deviations over their expected size, without the mean of each image."""
    intensity, _ = without_factors(entries)
    return deviations(intensity, entries.image, entries.unique, *weights)


def totals_of_cells(entries: Entries, z: np.ndarray) -> tuple[np.ndarray, ...]:
    """Give the cell of each entry; of each cell its reflection, crystal, total, number."""
    n = int(entries.crystal.max(initial=0)) + 1
    key = entries.unique.astype(np.int64) * n + entries.crystal[entries.image]
    cells, cell = np.unique(key, return_inverse=True)
    number = np.bincount(cell, minlength=len(cells))
    total = np.bincount(cell, z, len(cells))
    return cell, cells // n, cells % n, total, number


def sums_of_cells(
    shared: tuple[Weights, np.ndarray, int], block: CrystalBlock, own: OfEntries
) -> Cells:
    """
    Sum what is of the cells of a block: a task for another process.

    Args:
        shared: Weights; shape (k,), the group of each crystal; number of groups.
        block: As measured.
        own: Its scales, crystals and factors.
    """
    weights, group, n_groups = shared
    entries = entries_of(block, own)
    z = deviations_of(entries, weights)
    _, unique, crystal, total, number = totals_of_cells(entries, z)
    n_unique = len(weights.weight)
    columns = (total, total**2, total**4, number, number.astype(float) ** 2)
    sums = [np.bincount(unique, c, n_unique) for c in columns]
    kept = group[crystal] >= 0
    place = (unique[kept], group[crystal[kept]])
    tables = [
        sp.csr_matrix((c[kept], place), shape=(n_unique, n_groups))
        for c in (total, total**2)
    ]
    return Cells(*sums, *tables)


def parts_of(weights: Weights, cells: Cells, pairs: OfPairs) -> ReflectionParts:
    """Say what each reflection counts with, once all spots of pairs have been summed."""
    n_all = 0.5 * (cells.number**2 - cells.squares)
    product_all = 0.5 * (cells.plain**2 - cells.second)
    return parts_of_reflections(
        weights.weight, n_all, product_all, pairs.number, pairs.product
    )


def contrast(
    weights: Weights,
    cells: Cells,
    pairs: OfPairs,
    by_groups: ByGroups | None,
    parts: ReflectionParts,
    draws: np.ndarray,
    n_pairs: int,
) -> OrientationContrast:
    """
    Give both spreads, their ratio with its interval over crystals, and p.

    Args:
        weights: Of reflections.
        cells, pairs: Sums over all blocks, and over all common spots.
        by_groups: The second round; None where there are too few spots for one.
        parts: Of reflections.
        draws: Shape (draws, groups), weights of groups of crystals.
        n_pairs: Pairs of images.
    """
    use = parts.use
    number = pairs.number[use]
    n_spots = int(number.sum())
    if by_groups is None or n_spots < FEWEST_SPOTS:
        reason = TOO_FEW.format(n_spots=n_spots)
        return OrientationContrast(n_pairs=n_pairs, n_spots=n_spots, reason=reason)
    others = number * parts.of_others[use]
    level = float((number * weights.weight[use] * weights.mean[use] ** 2).sum())
    found = float((pairs.product[use] - others).sum())
    of_others = float((pairs.squares[use] - others).sum())
    n_crystals = int(by_groups.crystals.sum())
    result = spreads(level, found, of_others, n_pairs, n_spots, n_crystals)
    error = _error(cells, by_groups, parts)
    if error > 0:
        result = replace(result, p_value=float(stats.norm.sf(found / error)))
    if not of_others > 0:
        return replace(result, reason=COVERED)
    common = (cells.by_group.T @ (sp.diags(parts.of_all) @ cells.by_group)).toarray()
    own = cells.second_by_group.T @ parts.of_all
    common = 0.5 * (common - np.diag(own))
    apart = [table - common for table in (by_groups.shared, by_groups.squares)]
    ends = shared_interval(apart, draws, error)
    return with_ratio(result, found, of_others, ends, error)


def _error(cells: Cells, by_groups: ByGroups, parts: ReflectionParts) -> float:
    """Give the standard error of the difference where signs are independent."""
    between = 0.5 * (cells.second**2 - cells.fourth)
    variance = by_groups.variance + float((parts.of_all**2 * between).sum())
    return float(np.sqrt(max(variance, 0.0)))
