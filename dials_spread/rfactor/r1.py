"""
R1 = Σ |k F_o - F_c| / Σ F_c with the one scale k that minimises it.

F_o = √max(I, 0). The sum over |k F_o - F_c| = F_o |k - F_c / F_o| is least where k is
the median of F_c / F_o weighted by F_o: no iteration is needed, and no other scale gives
a smaller R1. A scale from least squares gives a larger one, by some per cent of it.

Functions:
    amplitudes: F_o from intensities
    best_scales: k of each group
    r_factors: R1 of each group, of all reflections and of those above 2σ
    r_factor: of one group
    r1_gain: by how much one set of amplitudes has a lower R1 than another
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread.observations.intensities import amplitudes
from dials_spread.statistics.groups import group_medians

STRONG = 2.0
"""I/σ above which a reflection counts for the second R1, as in SHELXL's F_o > 4σ(F_o)."""


@dataclass(frozen=True)
class RFactors:
    """
    R1 of some groups of reflections, each with its own scale.

    Attributes:
        r1: Shape (groups,), nan where a group has nothing to compare.
        scale: Shape (groups,), k; nan where no F_o is positive.
        n: Shape (groups,), number of reflections compared.
        r1_strong: Shape (groups,), R1 of the reflections with I > 2σ, with a scale of
            their own.
        n_strong: Shape (groups,), number of these.
    """

    r1: np.ndarray
    scale: np.ndarray
    n: np.ndarray
    r1_strong: np.ndarray
    n_strong: np.ndarray

    def __len__(self) -> int:
        return len(self.r1)

    def as_dict(self) -> dict:
        """Give all as lists; what is not finite becomes None."""
        return {
            "r1": finite_or_none(self.r1),
            "scale": finite_or_none(self.scale),
            "n": self.n.tolist(),
            "r1_strong": finite_or_none(self.r1_strong),
            "n_strong": self.n_strong.tolist(),
        }


def finite_or_none(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Give numbers as a list that JSON can hold: None where one is not finite."""
    return [x if np.isfinite(x) else None for x in np.asarray(values, float).tolist()]


def best_scales(
    f_o: np.ndarray, f_c: np.ndarray, group: np.ndarray, n_groups: int
) -> np.ndarray:
    """
    Find the scale of each group that minimises its R1.

    Args:
        f_o: Shape (n,), not negative.
        f_c: Shape (n,), not negative.
        group: Shape (n,), the group of each reflection.
        n_groups: Number of groups.

    Returns:
        Shape (n_groups,): where a range of scales is equally good its middle; nan
        where no F_o of a group is positive.
    """
    has = f_o > 0
    ratio = f_c[has] / f_o[has]
    # Σ|k F_o - F_c| has its corners at the ratios, and its minimum at their median with
    # the weights F_o.
    return group_medians(ratio, group[has], n_groups, f_o[has])


def grouped_r1(
    f_o: np.ndarray, f_c: np.ndarray, group: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give R1 and the best scale k of each group.

    Args:
        f_o, f_c, group, n_groups: As for best_scales.

    Returns:
        Each of shape (n_groups,).
    """
    scale = best_scales(f_o, f_c, group, n_groups)
    # Where all F_o are zero any scale gives R1 = 1.
    scaled = f_o * np.where(np.isfinite(scale), scale, 0.0)[group]
    misfit = np.bincount(group, np.abs(scaled - f_c), n_groups)
    total = np.bincount(group, f_c, n_groups)
    r1 = np.where(total > 0, misfit / np.where(total > 0, total, 1), np.nan)
    return r1, scale


def r_factors(
    intensity: np.ndarray,
    sigma: np.ndarray,
    f_c: np.ndarray,
    group: np.ndarray,
    n_groups: int,
) -> RFactors:
    """
    Compare intensities with amplitudes, group by group.

    Args:
        intensity: Shape (n,). What is not finite is left out.
        sigma: Shape (n,).
        f_c: Shape (n,), reference amplitudes; nan where there is none.
        group: Shape (n,), the group of each reflection.
        n_groups: Number of groups.

    Returns:
        R1, k and counts of each group.
    """
    kept = np.isfinite(f_c) & np.isfinite(intensity)
    strong = kept & (intensity > STRONG * sigma)
    f_o = amplitudes(intensity)
    r1, scale = grouped_r1(f_o[kept], f_c[kept], group[kept], n_groups)
    r1_strong, _ = grouped_r1(f_o[strong], f_c[strong], group[strong], n_groups)
    return RFactors(
        r1=r1,
        scale=scale,
        n=np.bincount(group[kept], minlength=n_groups),
        r1_strong=r1_strong,
        n_strong=np.bincount(group[strong], minlength=n_groups),
    )


def r_factor(f_o: np.ndarray, f_c: np.ndarray) -> tuple[float, float, int]:
    """
    Compare observed with calculated amplitudes.

    Args:
        f_o: Shape (n,), not negative.
        f_c: Shape (n,), nan where there is none.

    Returns:
        R1, the scale k, and the number of reflections.
    """
    kept = np.isfinite(f_c) & np.isfinite(f_o)
    one = np.zeros(np.count_nonzero(kept), dtype=int)
    r1, scale = grouped_r1(f_o[kept], f_c[kept], one, 1)
    return float(r1[0]), float(scale[0]), len(one)


def r1_gain(
    before: np.ndarray, after: np.ndarray, f_c: np.ndarray
) -> tuple[float, float]:
    """
    Give R1 before less R1 after, and its standard uncertainty.

    Args:
        before: Shape (n,), amplitudes, not negative; each set gets a scale of its own.
        after: Shape (n,), of the same reflections.
        f_c: Shape (n,), nan where there is none.

    Returns:
        The gain, positive where R1 became lower; and √n σ(δ) / Σ F_c, from how the
        differences δ of a reflection's two deviations scatter over the reflections. Both
        nan where there is nothing to compare.
    """
    kept = np.isfinite(f_c) & np.isfinite(before) & np.isfinite(after)
    F_b, F_a, f_c = before[kept], after[kept], f_c[kept]
    if not f_c.sum() > 0:
        return float("nan"), float("nan")
    (r1_b, k_b, n), (r1_a, k_a, _) = r_factor(F_b, f_c), r_factor(F_a, f_c)
    saved = np.abs(k_b * F_b - f_c) - np.abs(k_a * F_a - f_c)
    return r1_b - r1_a, float(np.std(saved) * np.sqrt(n) / np.sum(f_c))
