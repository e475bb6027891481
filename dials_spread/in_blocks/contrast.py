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

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy import stats

from dials_spread.in_blocks.blocks import CrystalBlock
from dials_spread.in_blocks.entries import Entries, OfEntries, entries_of
from dials_spread.spread.chance.same_orientation import (
    COVERED,
    FEWEST_SPOTS,
    NORMAL,
    POWER,
    TOO_FEW,
    OrientationContrast,
)
from dials_spread.statistics.bootstrap import Groups, interval
from dials_spread.statistics.groups import group_means


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


@dataclass(frozen=True)
class Parts:
    """
    What each reflection counts with, from the first round; arrays of length u.

    Attributes:
        use: bool.
        of_same, of_all: What products of pairs, and of all cells, are multiplied by.
        of_others: Mean product of pairs that are not of the same orientation.
    """

    use: np.ndarray
    of_same: np.ndarray
    of_all: np.ndarray
    of_others: np.ndarray


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
    filled = np.maximum(sums.number, 1)
    mean, noise = sums.total / filled, sums.variance / filled
    use = (sums.number > 2) & (mean > 0) & (mean**2 >= noise)
    expected = np.where(use, noise + (s * mean) ** 2, 1.0)
    return Weights(np.where(use, 1 / expected, 0.0), mean)


def deviations_of(entries: Entries, weights: Weights) -> np.ndarray:
    """Give deviations over their expected size, without the mean of each image."""
    unique, image = entries.unique, entries.image
    use = weights.weight[unique] > 0
    z = without_factors(entries)[0] - weights.mean[unique]
    z *= np.sqrt(weights.weight)[unique]
    mean = group_means(z, image, len(entries.crystal), use.astype(float))
    return (z - mean[image]) * use


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


def parts_of_reflections(weights: Weights, cells: Cells, pairs: OfPairs) -> Parts:
    """Say what each reflection counts with, once all spots of pairs have been summed."""
    product_all = 0.5 * (cells.plain**2 - cells.second)
    n_all = 0.5 * (cells.number**2 - cells.squares)
    n_others = n_all - pairs.number
    use = (weights.weight > 0) & (pairs.number > 0) & (n_others > 0)
    per = np.where(use, n_others, 1.0)
    return Parts(
        use=use,
        of_same=np.where(use, n_all / per, 0.0),
        of_all=np.where(use, pairs.number / per, 0.0),
        of_others=np.where(use, (product_all - pairs.product) / per, 0.0),
    )


def contrast(
    weights: Weights,
    cells: Cells,
    pairs: OfPairs,
    by_groups: ByGroups | None,
    parts: Parts,
    groups: Groups,
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
        groups: Of crystals.
        draws: Shape (draws, groups), from groups.draws.
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
    result = OrientationContrast(
        s_within=_root((of_others - found) / level),
        s_others=_root(of_others / level),
        n_pairs=n_pairs,
        n_spots=n_spots,
        n_crystals=int(by_groups.crystals.sum()),
    )
    error = _error(cells, by_groups, parts)
    if error > 0:
        result = replace(result, p_value=float(stats.norm.sf(found / error)))
    if found > 0 and error > 0:
        needed = float(n_pairs * (POWER * error / found) ** 2)
        result = replace(result, pairs_needed=needed)
    if not of_others > 0:
        return replace(result, reason=COVERED)
    low, high = _ends(cells, by_groups, parts, groups, draws, error)
    return replace(
        result,
        ratio=_root(1 - found / of_others),
        ratio_low=_root(1 - high),
        ratio_high=_root(1 - low),
        ratio_seen=_root(1 - POWER * error / of_others),
    )


def _error(cells: Cells, by_groups: ByGroups, parts: Parts) -> float:
    """Give the standard error of the difference where signs are independent."""
    between = 0.5 * (cells.second**2 - cells.fourth)
    variance = by_groups.variance + float((parts.of_all**2 * between).sum())
    return float(np.sqrt(max(variance, 0.0)))


def _ends(
    cells: Cells,
    by_groups: ByGroups,
    parts: Parts,
    groups: Groups,
    draws: np.ndarray,
    error: float,
) -> tuple[float, float]:
    """Give the interval of the part that pairs share beyond others."""
    common = (cells.by_group.T @ (sp.diags(parts.of_all) @ cells.by_group)).toarray()
    own = cells.second_by_group.T @ parts.of_all
    common = 0.5 * (common - np.diag(own))
    drawn = [
        np.einsum("da,ab,db->d", draws, table - common, draws)
        for table in (by_groups.shared, by_groups.squares)
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = np.where(drawn[1] > 0, drawn[0] / drawn[1], np.nan)
    low, high = interval(shared, groups.n)
    if error > 0:
        half = NORMAL * error / drawn[1][0]
        low, high = min(low, shared[0] - half), max(high, shared[0] + half)
    return low, high


def _root(square: float) -> float:
    return float(np.sqrt(max(square, 0.0)))
