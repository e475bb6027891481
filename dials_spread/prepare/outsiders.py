"""
Crystals that are not shown to agree with the others.

A crystal of a few wrong rows has a scale that fits them, so that they look like observations.
Whether it is of the same compound, indexed as the others are, only its intensities tell: those
of a crystal that belongs to the others rise with theirs, reflection by reflection. That is
asked of normalised amplitudes, by the correlation of ranks with the means over the other
crystals, r √(n - 1), which is about a standard normal deviate where they are unrelated
(Kendall & Gibbons (1990), Rank Correlation Methods, ch. 4).

A crystal that is as good as nothing beside the others has a say where it is shown to agree;
what is lost otherwise is as good as nothing, too. One of some size has none only where it is not
shown to agree and is much further off, too, than its σ and the disagreement of the others
explain. Ordinary sets have no outsiders. What a crystal has is counted by what its σ tell: rows
of 10⁹ times the mean intensity, or with σ of that size, are as good as none. Mean intensities, in
whose unit amplitudes are, are from medians, without such crystals: else a single row could make
all others look alike, or the mean negative.

Functions:
    typical_size: observations of the crystal that the median observation is of
    effective_number: of crystals, those of a few observations counted in part
    outsiders: the crystals that are not shown to agree
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from dials_spread.observations import Observations
from dials_spread.prepare.normalisation import LEAST_E, normalise, observed_amplitudes
from dials_spread.statistics.groups import (
    group_means,
    group_medians,
    group_sums,
    means_of_others,
)

WHOLE = 0.2
"""Part of the typical size from which a crystal counts as a whole one."""

SMALL = 0.05
"""Part of the typical size below which a crystal has to be shown to agree."""

SMALL_IN_ALL = 0.05
"""Part of all observations that such crystals are of; more are no negligible ones."""

SHOWN = 3.0
"""r √(n - 1) from which a crystal is shown to agree: by chance, 1 in 700 is."""

FURTHER_OFF = 1.4
"""Its mean deviation from the others, over that of all observations from their equivalents."""

FEWEST = 8
"""Observations in common with others that this takes."""

LARGEST_PART = 0.4
"""Of the observations: where a crystal has more, the others may as well be the wrong ones."""

LARGEST = 1e3
"""Median intensity of a reflection that counts, in units of the middle one."""

ROUNDS = 4


def typical_size(sizes: np.ndarray) -> float:
    """
    Give the observations of the crystal that the median observation is of.

    Args:
        sizes: Shape (crystals,), observations of each.
    """
    rising = np.sort(sizes)
    half = np.searchsorted(np.cumsum(rising), 0.5 * rising.sum())
    return float(rising[half])


def effective_number(crystal: np.ndarray) -> float:
    """
    Give the number of crystals, those of a few observations counted in part.

    Args:
        crystal: Shape (n,), the crystal of each observation.

    Returns:
        Σ min(1, n_c / (0.2 n_typical)): the number itself where none has less than a fifth
        of the observations of a typical one.
    """
    sizes = np.bincount(crystal)
    sizes = sizes[sizes > 0]
    return float(np.sum(np.minimum(1.0, sizes / (WHOLE * typical_size(sizes)))))


def outsiders(scaled: Observations) -> np.ndarray:
    """
    Find crystals that are not shown to agree with the others.

    Args:
        scaled: n observations on one scale, with their geometry.

    Returns:
        Numbers of crystals, rising; none where there is one crystal, or no intensity is
        positive.
    """
    out = np.zeros(scaled.n_experiments, dtype=bool)
    if len(np.unique(scaled.crystal)) < 2:
        return np.flatnonzero(out)
    joined = scaled.without_repeats()[0]
    N = _mean_intensities(joined)
    if N is None:
        return np.flatnonzero(out)
    comparison = _Comparison(joined, N)
    for _ in range(ROUNDS):
        found = comparison.outsiders(out)
        if (found == out).all():
            break
        out = found
    return np.flatnonzero(out)


def _mean_intensities(joined: Observations) -> np.ndarray | None:
    """
    Give the mean intensity at the resolution of each reflection, times ε, robustly.

    Args:
        joined: Observations, each crossing of the Ewald sphere once.

    Returns:
        Shape (u,); None where no intensity is positive.
    """
    sizes = np.bincount(joined.crystal, minlength=joined.n_experiments)
    small = sizes < SMALL * typical_size(sizes[sizes > 0])
    if sizes[small].sum() > SMALL_IN_ALL * len(joined):
        small[:] = False
    own = ~small[joined.crystal]
    middle = group_medians(joined.intensity[own], joined.unique[own], joined.n_unique)
    known = np.isfinite(middle)
    middle = np.maximum(middle[known], 0)
    if not middle.any():
        return None
    middle = np.minimum(middle, LARGEST * np.median(middle[middle > 0]))
    d_star_sq, epsilon = joined.d_star_sq, joined.epsilon
    found = normalise(middle, d_star_sq[known], epsilon[known]).sigma_s
    rising = np.argsort(d_star_sq[known], kind="stable")
    return epsilon * np.interp(d_star_sq, d_star_sq[known][rising], found[rising])


class _Comparison:
    """Amplitudes of crystals, to be compared with one another."""

    def __init__(self, joined: Observations, N: np.ndarray) -> None:
        """Take observations, each crossing of the Ewald sphere once, and mean intensities."""
        self.unique, self.n_unique = joined.unique, joined.n_unique
        N = N[self.unique]
        self.E = observed_amplitudes(joined.intensity, N)
        self.noise = joined.sigma / (2 * N * np.maximum(np.abs(self.E), LEAST_E))
        self.rows = joined.by_crystal(joined.n_experiments)
        # An observation that tells no more than that amplitudes are about 1 counts little.
        worth = 1 / (1 + self.noise**2)
        self.sizes = group_sums(worth, joined.crystal, joined.n_experiments)
        self.crystal = joined.crystal

    def outsiders(self, left_out: np.ndarray) -> np.ndarray:
        """
        Compare each crystal with all others but those that were left out.

        Args:
            left_out: Shape (crystals,), bool.

        Returns:
            The same of those that are not shown to agree.
        """
        kept = ~left_out[self.crystal]
        unique, n = self.unique[kept], self.n_unique
        total = group_sums(self.E[kept], unique, n), np.bincount(unique, minlength=n)
        apart = np.abs(self.E[kept] - means_of_others(self.E[kept], unique, n))
        known = np.isfinite(apart)
        if not known.any():
            return left_out
        usual = float(np.median(apart[known])) / 0.6745
        width = np.hypot(usual, self.noise)
        apart, crystal = (apart / width[kept])[known], self.crystal[kept][known]
        off = float(np.mean(apart))
        whole, there = self.sizes.sum(), np.array([len(r) > 0 for r in self.rows])
        small = there & (self.sizes < SMALL * typical_size(self.sizes[there]))
        # What is no further off than most is no outsider.
        looked_at = small | left_out
        with np.errstate(invalid="ignore"):
            looked_at |= group_means(apart, crystal, len(there)) > off
        common, z, mean = np.zeros((3, len(there)))
        for c in np.flatnonzero(looked_at):
            common[c], z[c], mean[c] = self._compare(c, total, left_out[c], width)
        not_shown = small & (z < SHOWN)
        if self.sizes[not_shown].sum() > SMALL_IN_ALL * whole:
            not_shown[:] = False
        unlike = (common >= FEWEST) & (z < SHOWN) & (mean > FURTHER_OFF * off)
        return not_shown | (unlike & (self.sizes < LARGEST_PART * whole))

    def _compare(
        self,
        number: int,
        total: tuple[np.ndarray, np.ndarray],
        left_out: bool,
        width: np.ndarray,
    ) -> tuple[int, float, float]:
        """
        Compare a crystal with the means over the others.

        Args:
            number: Of the crystal.
            total: Sums of amplitudes and numbers of all that counts, shape (u,) each.
            left_out: Whether it is not among these.
            width: Shape (n,), by which observations usually are off.

        Returns:
            Reflections in common, r √(n - 1), and the mean deviation in units of width.
        """
        own = self.rows[number]
        there, place = np.unique(self.unique[own], return_inverse=True)
        k = len(there)
        own_n = np.bincount(place.ravel(), minlength=k)
        own_E = group_sums(self.E[own], place.ravel(), k)
        n = total[1][there] - (0 if left_out else own_n)
        rest = total[0][there] - (0 if left_out else own_E)
        common = n > 0
        m = int(np.count_nonzero(common))
        if m < 3:
            return m, 0.0, 0.0
        others = np.divide(rest, n, out=np.full(k, np.nan), where=common)
        off = np.abs(self.E[own] - others[place.ravel()]) / width[own]
        ranks = [rankdata(x[common]) for x in (own_E / own_n, others)]
        if min(np.ptp(r) for r in ranks) == 0:
            return m, 0.0, float(np.nanmean(off))
        r = float(np.corrcoef(*ranks)[0, 1])
        return m, r * np.sqrt(m - 1), float(np.nanmean(off))
