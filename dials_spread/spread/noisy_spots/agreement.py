"""
s, R_meas and CC½ of unmerged intensities, or of some of them.

The same numbers as of spread.size and rfactor.merging, from one pass over reflections, so
that hundreds of random removals take seconds.

Classes:
    Columns: the intensities

Functions:
    agreement_of: s, R_meas and CC½
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from dials_spread.rfactor.merging import cc_half_of_means
from dials_spread.statistics.excess_spread import (
    WEAKEST,
    Deviations,
    most_likely_near,
)
from dials_spread.statistics.groups import group_starts, order_of_groups

NUMBER, MEAN, OF_MEAN, MISFIT, TOTAL = range(5)
"""Of each reflection: observations, their mean, its variance from their scatter, their
multiplicity-corrected misfit, their sum."""


@dataclass(frozen=True)
class Columns:
    """
    Unmerged intensities on one scale, arrays of length n.

    Attributes:
        unique: Number of the unique reflection, from 0.
        intensity: I.
        variance: σ², positive, of counting alone where that is known: for s.
        merging_variance: As the merging program has it: for weights in R_meas.
    """

    unique: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    merging_variance: np.ndarray

    def __len__(self) -> int:
        return len(self.unique)

    def select(self, kept: np.ndarray) -> Columns:
        """Some of the observations, the numbers of reflections as they are."""
        return Columns(
            unique=self.unique[kept],
            intensity=self.intensity[kept],
            variance=self.variance[kept],
            merging_variance=self.merging_variance[kept],
        )


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _sum_reflections(start, kept, intensity, variance, merging, sums, deviations):
    """
    Fill sums and deviations from those kept; give the number of deviations.

    As rfactor.merging and spread.size.residuals, all observations taken as of different
    crystals.
    """
    m = 0
    for u in range(len(start) - 1):
        n, total, noise, weight, weighted = 0, 0.0, 0.0, 0.0, 0.0
        for i in range(start[u], start[u + 1]):
            if kept[i]:
                n += 1
                total += intensity[i]
                noise += variance[i]
                weight += 1 / merging[i]
                weighted += intensity[i] / merging[i]
        sums[u, NUMBER] = n
        if n < 2:
            continue
        mean, merged, square, misfit = total / n, weighted / weight, 0.0, 0.0
        of_one = noise / n
        strong = mean > WEAKEST * np.sqrt(of_one / n) and mean * mean > of_one
        for i in range(start[u], start[u + 1]):
            if not kept[i]:
                continue
            misfit += abs(intensity[i] - merged)
            square += (intensity[i] - mean) ** 2
            if strong:
                others = max(noise - variance[i], 0.0) / (n - 1) ** 2
                apart = intensity[i] - (total - intensity[i]) / (n - 1)
                deviations[0, m] = apart * apart
                deviations[1, m] = variance[i] + others
                deviations[2, m] = (1 + 1 / (n - 1)) * mean * mean
                deviations[3, m] = of_one / (mean * mean)
                deviations[4, m] = n
                m += 1
        sums[u, MEAN] = mean
        sums[u, OF_MEAN] = square / (n - 1) / n
        sums[u, MISFIT] = np.sqrt(n / (n - 1)) * misfit
        sums[u, TOTAL] = total
    return m


def _summed(
    columns: Columns, kept: np.ndarray | None
) -> tuple[np.ndarray, Deviations | None]:
    """Sums of reflections observed twice, and the deviations of the strong ones."""
    order: np.ndarray | slice = slice(None)
    if np.any(columns.unique[1:] < columns.unique[:-1]):
        order = order_of_groups(columns.unique)
    unique = columns.unique[order]
    some = np.ones(len(unique), dtype=bool) if kept is None else kept[order]
    start = group_starts(unique, int(unique.max(initial=-1)) + 1)
    sums, deviations = np.zeros((len(start) - 1, 5)), np.empty((5, len(unique)))
    names = ("intensity", "variance", "merging_variance")
    own = (getattr(columns, name)[order] for name in names)
    m = _sum_reflections(start, some, *own, sums, deviations)
    found = Deviations(*deviations[:, :m]) if m else None
    return sums[sums[:, NUMBER] > 1], found


def agreement_of(
    columns: Columns,
    start: float,
    kept: np.ndarray | None = None,
    nproc: int | None = None,
) -> dict[str, float]:
    """
    Give s, R_meas and CC½.

    Args:
        columns: n observations; no sort is needed where they lie by reflection.
        start: s to begin the fit with.
        kept: Shape (n,), bool: those that count; all by default.
        nproc: Threads; all cores by default.

    Returns:
        By name.
    """
    sums, data = _summed(columns, kept)
    total = sums[:, TOTAL].sum()
    return {
        "s": np.nan if data is None else most_likely_near(data, start, nproc),
        "r_meas": float(sums[:, MISFIT].sum() / total) if total > 0 else np.nan,
        "cc_half": _cc_half(sums),
    }


def _cc_half(sums: np.ndarray) -> float:
    """CC½ of reflections observed twice; nan with fewer than two."""
    if len(sums) < 2:
        return np.nan
    return cc_half_of_means(sums[:, MEAN], sums[:, OF_MEAN])
