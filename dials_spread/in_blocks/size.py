"""
How large the spread is, from sums by reflection and tables of likelihoods of blocks.

What `spread.size.measure_size` computes from residuals of all observations is computed block
by block here: the mean of the others of an observation comes from sums over all blocks, what
is of one crystal is within its block, and log-likelihoods add up.

Functions:
    size_of_blocks: s overall, by intensity and by resolution, and of crystals
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from dials_spread import cluster
from dials_spread.in_blocks.blocks import CrystalBlock, added_up, on_scale
from dials_spread.in_blocks.frame import CommonFrame
from dials_spread.in_blocks.scales import CrystalScales
from dials_spread.spread.size.same_crystal import correlation_of_sums
from dials_spread.spread.size.size import (
    FEWEST,
    FEWEST_OF_IMAGE,
    N_BINS,
    factor_of_shared_means,
    spread_interval,
)
from dials_spread.stages import stage
from dials_spread.statistics.bootstrap import Groups, group_crystals
from dials_spread.statistics.excess_spread import (
    GRID,
    Deviations,
    likelihood_table,
    most_likely,
    of_level,
    well_known,
)
from dials_spread.statistics.groups import rounded


class Levels(NamedTuple):
    """
    Sums over all observations of each of u reflections.

    Attributes:
        size: Observations.
        total: Sum of their intensities.
        noise: Sum of their variances.
    """

    size: np.ndarray
    total: np.ndarray
    noise: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Shape (u,); nan of a reflection that nobody has."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.total / self.size

    @property
    def used(self) -> np.ndarray:
        """Shape (u,), bool: observed twice, and strong enough."""
        with np.errstate(divide="ignore", invalid="ignore"):
            strong = well_known(self.mean, self.noise / self.size, self.size)
        return strong & (self.size > 1)


@dataclass(frozen=True)
class SizeOfBlocks:
    """
    The size of the spread; bins as in spread.size.SizeColumns, rows are s, low, high.

    Attributes:
        s, low, high: Overall, with the 95 % interval over crystals.
        by_intensity, by_resolution: Shape (3, bins).
        intensity_edges, resolution_edges: Shape (bins + 1,).
        by_crystal: Shape (k,); nan where there are too few observations.
        n_observations, n_reflections, n_crystals: What it rests on.
        levels: Of reflections.
        square: Shape (u,), sum of squared relative deviations from the level.
    """

    s: float
    low: float
    high: float
    by_intensity: np.ndarray
    by_resolution: np.ndarray
    intensity_edges: np.ndarray
    resolution_edges: np.ndarray
    by_crystal: np.ndarray
    n_observations: int
    n_reflections: int
    n_crystals: int
    levels: Levels
    square: np.ndarray


class OfBlock(NamedTuple):
    """
    What is of the crystals of one block; arrays of length k.

    Attributes:
        scale, number: As in CrystalScales.
        group: The group of each crystal for the bootstrap, -1 without observations.
    """

    scale: np.ndarray
    number: np.ndarray
    group: np.ndarray


def _sum_levels(n_unique: int, block: CrystalBlock, scale: np.ndarray) -> np.ndarray:
    intensity, variance = on_scale(block, scale)
    columns = (None, intensity, variance)
    return np.array([np.bincount(block.unique, c, n_unique) for c in columns])


class _Within(NamedTuple):
    """Sums of a block: five by reflection, counts by group, and two by group."""

    sums: np.ndarray
    together: sp.csr_matrix
    of_groups: np.ndarray


def _sum_within(
    shared: tuple[Levels, int], block: CrystalBlock, own: OfBlock
) -> _Within:
    """
    Sum what observations of one crystal have in common, as size.same_crystal does.

    Of relative deviations x with variances v: Σx, Σx², Σv, pairs on one crystal, and half
    their squared differences less noise.
    """
    levels, n_groups = shared
    used, n_unique = levels.used, len(levels.size)
    rows = np.flatnonzero(used[block.unique])
    intensity, variance = (x[rows] for x in on_scale(block, own.scale))
    unique, crystal = block.unique[rows], block.of_crystal[rows]
    level = levels.mean[unique]
    x, v = intensity / level - 1, variance / level**2
    k = len(own.scale)
    cells, cell = np.unique(unique.astype(np.int64) * k + crystal, return_inverse=True)
    m, first, second, noise = (
        np.bincount(cell, c, minlength=len(cells)) for c in (None, x, x**2, v)
    )
    half = 0.5 * (m * second - first**2 - (m - 1) * noise)
    by_cell = np.array([m * (m - 1) / 2, half])
    sums = [np.bincount(unique, c, n_unique) for c in (x, x**2, v)]
    sums += [np.bincount(cells // k, c, n_unique) for c in by_cell]
    group = own.group[crystal]
    ones = np.ones(len(rows), dtype=np.int64)
    together = sp.csr_matrix((ones, (unique, group)), shape=(n_unique, n_groups))
    of_groups = [np.bincount(group, c, n_groups) for c in (intensity / level, ones)]
    return _Within(np.array(sums), together, np.array(of_groups))


class _Likelihoods(NamedTuple):
    """Log-likelihoods of a block: by bin and group, shape (bins, groups, GRID); s."""

    by_level: np.ndarray
    by_shell: np.ndarray
    of_crystals: np.ndarray


class _ForLikelihoods(NamedTuple):
    """What all blocks need: of reflections, and how they are divided."""

    levels: Levels
    scales: CrystalScales
    correlation: float
    one_crystal: bool
    together: np.ndarray
    of_level: np.ndarray
    of_shell: np.ndarray
    n_bins: int
    n_groups: int


def _likelihoods(
    shared: _ForLikelihoods, block: CrystalBlock, own: OfBlock
) -> _Likelihoods:
    """Tabulate the likelihoods of s in the bins and crystals of a block."""
    rows = np.flatnonzero(shared.levels.used[block.unique])
    data = _deviations(shared, block, own, rows)
    unique, crystal = block.unique[rows], block.of_crystal[rows]
    n, n_groups = shared.n_bins, shared.n_groups
    group = own.group[crystal].astype(np.int64)
    cell = (shared.of_level[unique] * n + shared.of_shell[unique]) * n_groups + group
    table = likelihood_table(data, cell, n * n * n_groups, 1)
    table = table.reshape(n, n, n_groups, -1)
    k = len(own.scale)
    s = most_likely(likelihood_table(data, crystal, k, 1))
    enough = np.bincount(crystal, minlength=k) >= FEWEST_OF_IMAGE
    return _Likelihoods(
        table.sum(axis=1), table.sum(axis=0), np.where(enough, s, np.nan)
    )


def _deviations(
    shared: _ForLikelihoods, block: CrystalBlock, own: OfBlock, rows: np.ndarray
) -> Deviations:
    """As spread.size.deviations, with the sums of all blocks."""
    levels = shared.levels
    intensity, variance = (x[rows] for x in on_scale(block, own.scale))
    unique, crystal = block.unique[rows], block.of_crystal[rows]
    left = np.ones(len(rows))
    if shared.scales.number.any():
        left = shared.scales.left(block, own.number)[rows]
    n_all = levels.size[unique]
    n = n_all - 1
    mean = (levels.total[unique] - intensity) / n
    mean_variance = np.maximum(levels.noise[unique] - variance, 0) / n**2
    cell = unique.astype(np.int64) * len(own.scale) + crystal
    _, where, count = np.unique(cell, return_inverse=True, return_counts=True)
    with_own, together = count[where] - 1, shared.together[unique]
    rho = shared.correlation
    of_deviation = (1 + rho * (2 * (together - with_own) / n - 2 * with_own)) / n
    of_mean = 1 + rho * 2 * together / n_all
    if shared.one_crystal:
        of_deviation, of_mean = 1 / n, np.ones(len(rows))
    noise = (variance + n**2 * mean_variance) / n_all
    data = of_level(
        square=(intensity - mean) ** 2,
        known=left * variance + mean_variance,
        times=left * (1 + of_deviation),
        level=levels.mean[unique],
        noise=noise,
        n_all=n_all / of_mean,
    )
    return data._replace(noise=data.noise / of_mean)


def weighted_edges(x: np.ndarray, number: np.ndarray, n_bins: int) -> np.ndarray:
    """
    Give the edges of bins of as many values each, of values that are there many times.

    Args:
        x: Shape (u,), values.
        number: Shape (u,), how often each is there.
        n_bins: Wanted.

    Returns:
        As numpy.quantile of all of them, without repeats; two equal ones for one bin.
    """
    order = np.argsort(x, kind="stable")
    ends = np.cumsum(number[order])
    place = np.linspace(0, 1, n_bins + 1) * (ends[-1] - 1)
    below = np.floor(place).astype(np.int64)
    low, high = (
        x[order][np.searchsorted(ends, np.minimum(k, ends[-1] - 1), side="right")]
        for k in (below, below + 1)
    )
    edges = np.unique(low + (place - below) * (high - low))
    return edges if len(edges) > 1 else np.repeat(edges, 2)


def _binned(
    x: np.ndarray, number: np.ndarray, n_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """The bin of each reflection, and the edges."""
    x = rounded(x)
    edges = weighted_edges(x[number > 0], number[number > 0], n_bins)
    bins = np.searchsorted(edges, x, side="right") - 1
    return np.clip(bins, 0, len(edges) - 2), edges


def _shared_means(together: sp.csr_matrix, size: np.ndarray) -> float:
    """As spread.size.shared_means, from counts by reflection and group."""
    pairs = np.asarray(together.multiply(together).sum(axis=1)).ravel()
    return factor_of_shared_means(size[size > 0], pairs[size > 0])


@stage("Size of the spread")
def size_of_blocks(
    frame: CommonFrame,
    blocks: Sequence[Any],
    scales: CrystalScales,
    rng: np.random.Generator,
) -> SizeOfBlocks:
    """
    Measure the spread.

    Args:
        frame: What blocks have in common.
        blocks: Handles.
        scales: Of crystals.
        rng: For groups and draws, as in spread.analysis.

    Returns:
        The same as spread.size.measure_size, as far as it goes.

    Raises:
        ValueError: No reflection that is strong enough was observed twice.
    """
    levels = _levels(frame, blocks, scales)
    used = levels.used
    groups = _groups(frame, blocks, used, rng)
    weights = groups.draws(rng)
    columns = map(frame.of_block, (scales.scale, scales.number, groups.of_crystal))
    own = [OfBlock(*of_block) for of_block in zip(*columns)]
    within = _all_within(blocks, own, levels, groups)
    size = np.where(used, levels.size, 0)
    n = int(size.sum())
    n_bins = int(np.clip(n // FEWEST, 1, N_BINS))
    of_level, level_edges = _binned(levels.mean, size, n_bins)
    of_shell, shell_edges = _binned(frame.d_spacing, size, n_bins)
    shared = _ForLikelihoods(
        levels, scales, _correlation(levels, within.sums, groups), groups.n_crystals == 1,
        within.sums[3], of_level, of_shell, n_bins, groups.n,
    )  # fmt: skip
    found = _all_likelihoods(blocks, own, shared)
    relative = weights @ within.of_groups[0] / (weights @ within.of_groups[1])
    drawn = _Drawn(
        weights, relative / relative[0], groups.n,
        _shared_means(within.together, size),
    )  # fmt: skip
    s, low, high = drawn.rows(found.by_level.sum(axis=0)[None])[:, 0]
    return SizeOfBlocks(
        s=float(s),
        low=float(low),
        high=float(high),
        by_intensity=drawn.rows(found.by_level)[:, : len(level_edges) - 1],
        by_resolution=drawn.rows(found.by_shell)[:, : len(shell_edges) - 1],
        intensity_edges=level_edges,
        resolution_edges=shell_edges,
        by_crystal=found.of_crystals,
        n_observations=n,
        n_reflections=int(used.sum()),
        n_crystals=groups.n_crystals,
        levels=levels,
        square=within.sums[1],
    )


def _groups(
    frame: CommonFrame,
    blocks: Sequence[Any],
    used: np.ndarray,
    rng: np.random.Generator,
) -> Groups:
    """Crystals that have an observation that counts, as they are drawn."""
    present = np.flatnonzero(_with_used(frame, blocks, used))
    return group_crystals(present, len(frame.number), rng, rank=frame.rank)


def _levels(frame: CommonFrame, blocks: Sequence[Any], scales: CrystalScales) -> Levels:
    """Sums over all blocks, of which some reflections have to serve."""
    of_scale = [*zip(blocks, frame.of_block(scales.scale))]
    levels = Levels(*sum(cluster.told(_sum_levels, frame.n_unique, of_scale)))
    if not levels.used.any():
        raise ValueError(
            "No reflection that is strong enough (mean above three standard deviations) "
            "was observed twice."
        )
    return levels


class _Drawn(NamedTuple):
    """Weights of draws, mean levels in each, groups, and what shared means add."""

    weights: np.ndarray
    levels: np.ndarray
    n_groups: int
    means: float

    def rows(self, table: np.ndarray) -> np.ndarray:
        """Give s, low and high of each bin, shape (3, bins)."""
        values = [most_likely(self.weights @ part) / self.levels for part in table]
        ends = [spread_interval(v, self.n_groups, self.means) for v in values]
        return np.array([(v[0], *e) for v, e in zip(values, ends)]).T


def _all_likelihoods(blocks, own, shared: _ForLikelihoods) -> _Likelihoods:
    """Sums over blocks; s of all crystals."""
    by_level, by_shell = np.zeros((2, shared.n_bins, shared.n_groups, len(GRID)))
    of_crystals = []
    for one in cluster.told(_likelihoods, shared, [*zip(blocks, own)]):
        by_level += one.by_level
        by_shell += one.by_shell
        of_crystals.append(one.of_crystals)
    return _Likelihoods(by_level, by_shell, np.concatenate(of_crystals))


def _which_used(used: np.ndarray, block: CrystalBlock, n_crystals: int) -> np.ndarray:
    rows = used[block.unique]
    return np.bincount(block.of_crystal[rows], minlength=n_crystals) > 0


def _with_used(
    frame: CommonFrame, blocks: Sequence[Any], used: np.ndarray
) -> np.ndarray:
    """Say which crystals have an observation that counts."""
    sizes = np.diff(frame.first_crystal).tolist()
    return np.concatenate([*cluster.told(_which_used, used, [*zip(blocks, sizes)])])


def _all_within(blocks, own, levels: Levels, groups: Groups) -> _Within:
    """Sums over blocks."""
    shared = (levels, groups.n)
    return added_up(cluster.told(_sum_within, shared, [*zip(blocks, own)]))


def _correlation(levels: Levels, sums: np.ndarray, groups: Groups) -> float:
    """How alike observations on one crystal are, as in size.same_crystal."""
    if groups.n_crystals == 1:
        return 0.0
    used = levels.used
    n, (first, second, noise, pairs, s_within) = levels.size[used], sums[:, used]
    between = n * (n - 1) / 2 - pairs
    s_between = 0.5 * (n * second - first**2 - (n - 1) * noise) - s_within
    of_noise = levels.noise[used] / n / levels.mean[used] ** 2
    columns = np.stack([pairs, s_within, between, s_between], axis=1)
    return correlation_of_sums(columns, of_noise)
