"""
How large the spread is beyond the known errors: overall, by intensity, by resolution, by
crystal and by image.

s of Var(I) = σ² + s²μ² comes from deviations from the mean of the others (excess_spread
in statistics). That mean has errors too, and the same spread: of n others with variances
σ_j²,

    Var(I - μ) = σ² + Σσ_j²/n² + s²μ²(1 + 1/n),

and less where some of the others are of the same crystal, with which an observation
agrees better than with the rest (same_crystal), or where the factor of its crystal comes
from few observations (left_by_scales in pairs).

Functions:
    deviations: squares and variances, from residuals
    absolute_deviation: the median absolute relative deviation, noise included
    shared_means: what means of all crystals make of standard errors
    measure_size: all of it, from residuals
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from dials_spread.spread.size.residuals import Residuals
from dials_spread.spread.size.same_crystal import correlate
from dials_spread.stages import stage
from dials_spread.statistics.bootstrap import (
    LEVEL,
    Groups,
    too_few,
    variance_interval,
)
from dials_spread.statistics.excess_spread import (
    Deviations,
    likelihood_interval,
    likelihood_table,
    most_likely,
    of_level,
    robust_spread,
)
from dials_spread.statistics.groups import group_medians, rounded

N_BINS = 10
"""Of intensity, and of resolution; fewer where there are few observations."""

FEWEST = 50
"""Observations in a bin."""

NOT_KNOWN = 0.003
"""Standard error of s, relative to it, however many observations there are: where a count
came out low, so did the σ that is estimated from it. s of 80 simulated sets of 100 crystals
is 0.20 % too large in the mean, 0.06 % with σ of the expected counts (docs/reliability.rst)."""

ROUNDING = 1e-9
"""Relative deviation below which values are the same."""

FEWEST_OF_IMAGE = 10
"""Observations of a crystal or an image below which its s is not given."""


@dataclass(frozen=True)
class SizeColumns:
    """
    The spread of some sets of observations; arrays of length n, nan where unknown.

    Attributes:
        number: Crystal or image; for bins, their number.
        low, high: Limits of a bin: mean intensity, or d [Å]; nan for crystals, images.
        s: Relative spread beyond the known errors, by maximum likelihood.
        s_low, s_high: 95 % interval: over crystals for bins, from the likelihood for
            single crystals and images.
        s_robust: Robust twin.
        deviation: Median absolute relative deviation from the others, noise included.
        n: Observations.
        crystals: Crystals that these come from.
    """

    number: np.ndarray
    low: np.ndarray
    high: np.ndarray
    s: np.ndarray
    s_low: np.ndarray
    s_high: np.ndarray
    s_robust: np.ndarray
    deviation: np.ndarray
    n: np.ndarray
    crystals: np.ndarray

    def __len__(self) -> int:
        return len(self.s)

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return dict(vars(self))


class _Interval(NamedTuple):
    """s of some cells with the ends of its interval, shape (cells,) each."""

    s: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class SpreadSize:
    """
    The size of the spread.

    Attributes:
        overall: One set.
        by_intensity, by_resolution: Bins of as many observations each.
        by_crystal, by_image: One set each.
        scaling_limit: I/σ limit of dials.scale for these data; nan where unknown.
        n_reflections: Unique reflections.
        n_images: Images.
        left_out: Number of observations left out, by reason.
        reason: Why there is no interval, in one sentence, or nothing.
    """

    overall: SizeColumns
    by_intensity: SizeColumns
    by_resolution: SizeColumns
    by_crystal: SizeColumns
    by_image: SizeColumns
    scaling_limit: float
    n_reflections: int
    n_images: int
    left_out: dict[str, int]
    reason: str

    @property
    def s(self) -> float:
        """The overall spread."""
        return float(self.overall.s[0])

    def as_dict(self) -> dict:
        """Give the overall values by name, and the parts as columns."""
        whole = {k: v[0] for k, v in self.overall.as_dict().items()}
        with np.errstate(divide="ignore"):
            limit = np.divide(1.0, self.s)
        return {
            **{k: v for k, v in whole.items() if k not in ("number", "low", "high")},
            "i_over_sigma_limit": limit,
            "i_over_sigma_limit_of_scaling": self.scaling_limit,
            "n_reflections": self.n_reflections,
            "n_images": self.n_images,
            "left_out": self.left_out,
            "reason": self.reason,
            **{
                name: getattr(self, name).as_dict()
                for name in ("by_intensity", "by_resolution", "by_crystal", "by_image")
            },
        }


def deviations(residuals: Residuals) -> Deviations:
    """
    Give squared deviations from the mean of the others, and their variances.

    Args:
        residuals: n of them.

    Returns:
        The deviations.
    """
    n, n_all = residuals.number, residuals.number + 1
    noise = (residuals.variance + n**2 * residuals.mean_variance) / n_all
    together = correlate(residuals)
    data = of_level(
        square=(residuals.intensity - residuals.mean) ** 2,
        known=residuals.left * residuals.variance + residuals.mean_variance,
        times=residuals.left * (1 + together.of_deviation),
        level=residuals.level,
        noise=noise,
        n_all=n_all / together.of_mean,
    )
    # The noise of as many independent observations as make the level as certain.
    return data._replace(noise=data.noise / together.of_mean)


def absolute_deviation(
    residuals: Residuals, cell: np.ndarray, n_cells: int
) -> np.ndarray:
    """
    Give the median absolute relative deviation from the mean of the others.

    Args:
        residuals: n of them.
        cell: Shape (n,), the cell of each.
        n_cells: Number of cells.

    Returns:
        Shape (n_cells,): noise and spread together, as they are, without a factor.
    """
    r = np.abs(residuals.r)
    # Counts listed again differ from their mean by rounding alone.
    return group_medians(np.where(r > ROUNDING, r, 0.0), cell, n_cells)


def quantile_bins(x: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Divide values into bins of as many each.

    Args:
        x: Shape (n,), n > 0.
        n_bins: Wanted; equal values stay together, which can leave fewer.

    Returns:
        The bin of each value, shape (n,), and the edges.
    """
    x = rounded(x)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, n_bins + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0]])
        return np.zeros(len(x), dtype=int), edges
    return np.clip(
        np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2
    ), edges


def _columns(
    residuals: Residuals, data: Deviations, cell: np.ndarray, found: _Interval
) -> SizeColumns:
    """The table of some cells: s as found, and what needs no likelihood."""
    n_cells = len(found.s)
    pairs = np.unique(cell.astype(np.int64) * residuals.n_crystals + residuals.crystal)
    nothing = np.full(n_cells, np.nan)
    return SizeColumns(
        number=np.arange(n_cells),
        low=nothing,
        high=nothing,
        s=found.s,
        s_low=found.low,
        s_high=found.high,
        s_robust=robust_spread(data, cell, n_cells),
        deviation=absolute_deviation(residuals, cell, n_cells),
        n=np.bincount(cell, minlength=n_cells),
        crystals=np.bincount(pairs // residuals.n_crystals, minlength=n_cells),
    )


def shared_means(residuals: Residuals, groups: Groups) -> float:
    """
    Give the factor by which means that crystals share make s less certain.

    Crystals are drawn as if they were independent, but m deviations from the means of the
    others are correlated by -1/(m - 1), and their squares by the square of that. Of m
    crystals with one observation each this gives m - 1 degrees of freedom.

    Args:
        residuals: n of them.
        groups: Of crystals.

    Returns:
        The factor of standard errors, from 1 (many observations of each reflection, or
        all on one crystal) to √2 (pairs of crystals).
    """
    size = np.diff(residuals.start)
    number = np.repeat(np.arange(len(size)), size)
    group = groups.of_crystal[residuals.crystal].astype(np.int64)
    place, together = np.unique(number * groups.n + group, return_counts=True)
    pairs = np.bincount(place // groups.n, together**2.0, minlength=len(size))
    return factor_of_shared_means(size, pairs)


def factor_of_shared_means(size: np.ndarray, pairs: np.ndarray) -> float:
    """
    Give that factor from sums.

    Args:
        size: Shape (u,), observations of each reflection, two at least.
        pairs: Shape (u,), sum of squared numbers of observations of each group.
    """
    size = size.astype(float)
    apart = (size**2 - pairs) / (size - 1) ** 2
    return float(np.sqrt(1 + apart.sum() / size.sum()))


def spread_interval(s: np.ndarray, n: int, shared: float = 1.0) -> tuple[float, float]:
    """
    Give the interval of a spread, from that of its square, the variance.

    Near zero the square root is steep, and an interval of s itself would leave out zero
    where there is noise alone.

    Args:
        s: Shape (1 + draws,), from all and from each draw.
        n: Number of groups of crystals.
        shared: Factor of standard errors, from shared_means.

    Returns:
        Low and high end, not below zero; nan where there is none. However many crystals
        there are, s is known to NOT_KNOWN of it at best.
    """
    square = s[0] ** 2 + np.append(0.0, shared * (s[1:] ** 2 - s[0] ** 2))
    low, high = np.sqrt(np.maximum(variance_interval(square, n), 0))
    at_best = stats.norm.ppf(0.5 + LEVEL / 2) * NOT_KNOWN * s[0]
    low, high = (
        s[0] - np.hypot(s[0] - low, at_best),
        s[0] + np.hypot(high - s[0], at_best),
    )
    return float(max(low, 0.0) if np.isfinite(low) else low), float(high)


def _of_bins(table, weights, levels, groups: Groups, shared: float) -> _Interval:
    """The spread of bins with intervals; table of shape (bins, groups, grid)."""
    values = np.array([most_likely(weights @ part) for part in table]) / levels
    ends = np.array([spread_interval(v, groups.n, shared) for v in values])
    low, high = ends.reshape(-1, 2).T
    return _Interval(values[:, 0], low, high)


def _of_sets(table: np.ndarray, n: np.ndarray) -> _Interval:
    """The spread of crystals or images, with likelihood intervals."""
    enough = n >= FEWEST_OF_IMAGE
    low, high = likelihood_interval(table)
    s, low, high = (
        np.where(enough, x, np.nan) for x in (most_likely(table), low, high)
    )
    return _Interval(s, low, high)


@stage("Size of the spread")
def measure_size(
    residuals: Residuals,
    d_spacing: np.ndarray,
    groups: Groups,
    weights: np.ndarray,
    levels: np.ndarray,
    scaling_limit: float = np.nan,
    nproc: int | None = None,
) -> SpreadSize:
    """
    Measure the spread, overall and in parts.

    Args:
        residuals: At least one.
        d_spacing: Shape (reflections,) [Å], by the number of the unique reflection.
        groups: Of crystals.
        weights: Shape (draws, groups), from groups.draws.
        levels: Shape (draws,), from mean_levels.
        scaling_limit: I/σ limit of dials.scale; nan where unknown.
        nproc: Threads; all cores by default.

    Returns:
        The size of the spread.
    """
    data = deviations(residuals)
    n_bins = int(np.clip(len(residuals) // FEWEST, 1, N_BINS))
    d = d_spacing[residuals.unique]
    of_level, levels_at = quantile_bins(residuals.level, n_bins)
    of_shell, shells_at = quantile_bins(d, n_bins)
    group = groups.of_crystal[residuals.crystal].astype(np.int64)
    cell = (of_level * n_bins + of_shell) * groups.n + group
    table = likelihood_table(data, cell, n_bins * n_bins * groups.n, nproc)
    table = table.reshape(n_bins, n_bins, groups.n, -1)
    shared = shared_means(residuals, groups)

    def columns(table: np.ndarray, cell: np.ndarray) -> SizeColumns:
        found = _of_bins(table, weights, levels, groups, shared)
        return _columns(residuals, data, cell, found)

    everything = np.zeros(len(residuals), dtype=int)
    by_crystal, by_image = _by_crystal_and_image(residuals, data, nproc)
    return SpreadSize(
        overall=columns(table.sum(axis=(0, 1))[None], everything),
        by_intensity=_with_edges(columns(table.sum(axis=1), of_level), levels_at),
        by_resolution=_with_edges(columns(table.sum(axis=0), of_shell), shells_at),
        by_crystal=by_crystal,
        by_image=by_image,
        scaling_limit=scaling_limit,
        n_reflections=len(residuals.start) - 1,
        n_images=len(np.unique(residuals.image)),
        left_out=residuals.left_out,
        reason=too_few(groups.n_crystals),
    )


def _with_edges(columns: SizeColumns, edges: np.ndarray) -> SizeColumns:
    """Add limits; bins that equal values left empty go."""
    n = len(edges) - 1
    first = {k: v[:n] for k, v in vars(columns).items()}
    return replace(columns, **{**first, "low": edges[:-1], "high": edges[1:]})


def _by_crystal_and_image(
    residuals: Residuals, data: Deviations, nproc: int | None
) -> tuple[SizeColumns, SizeColumns]:
    """The spread of each image, and of each crystal as the sum of its images."""
    image = likelihood_table(data, residuals.image, residuals.n_images, nproc)
    crystal_of = np.zeros(residuals.n_images, dtype=int)
    crystal_of[residuals.image] = residuals.crystal
    crystal = np.zeros((residuals.n_crystals, image.shape[1]))
    np.add.at(crystal, crystal_of, image)

    def columns(table: np.ndarray, cell: np.ndarray) -> SizeColumns:
        found = _of_sets(table, np.bincount(cell, minlength=len(table)))
        return _columns(residuals, data, cell, found)

    return columns(crystal, residuals.crystal), columns(image, residuals.image)
