"""
Do matched images agree better than expected by chance?

What stands between the pairs of images and the test of their common spots: the
intensities on one scale, without the factor of each image, so that the pattern of the
spots is tested and not their brightness.

Functions:
    assess_matches: likelihood ratio, p- and q-value of each pair
    nothing_tested: why there is none
    contrast_orientations: pairs of the same orientation against all others
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.incidence import Incidence
from dials_spread.pairs import Matches
from dials_spread.pairs.shared import common_reflections
from dials_spread.spread.analysis import SpreadAnalysis, SpreadChoices
from dials_spread.spread.chance.correlation import fit_correlation
from dials_spread.spread.chance.likelihood import pair_ratios
from dials_spread.spread.chance.orientation_sums import NO_PAIR, OrientationContrast
from dials_spread.spread.chance.pools import CommonSpots, Pools, build_pools
from dials_spread.spread.chance.same_orientation import (
    EntryColumns,
    compare_orientations,
)
from dials_spread.spread.sources.factors import usable_factors
from dials_spread.stages import stage
from dials_spread.statistics.false_discovery import benjamini_hochberg
from dials_spread.statistics.groups import group_numbers, order_within

MOST_FITTED = 20_000
"""Pairs behind the correlation."""

MOST_DRAWS = 2_000_000_000
"""Redrawn spots of all pairs; with more spots there are fewer permutations."""

FEWEST_PERMUTATIONS = 199

ACCEPTED = 0.05
"""False discovery rate of the pairs that are counted as better than expected by chance."""


@dataclass(frozen=True)
class Significance:
    """
    Whether matched pairs agree better than expected by chance; arrays of length n, nan
    where unknown.

    Attributes:
        log_likelihood_ratio: Of a shared part of the spread against none.
        p_value: By permutation.
        q_value: False discovery rate, of the pairs tested.
        correlation: ρ, the part of the spread that matched images share.
        permutations: Most of them for a pair.
        n_tested: Pairs.
        n_accepted: Pairs with a false discovery rate up to 5 %.
        reason: Why there is nothing, in one sentence, or nothing.
    """

    log_likelihood_ratio: np.ndarray
    p_value: np.ndarray
    q_value: np.ndarray
    correlation: float = np.nan
    permutations: int = 0
    n_tested: int = 0
    n_accepted: int = 0
    reason: str = ""

    def as_dict(self) -> dict:
        """Give what is not of single pairs."""
        names = ("correlation", "permutations", "n_tested", "n_accepted", "reason")
        return {name: getattr(self, name) for name in names}


def nothing_tested(n: int, reason: str) -> Significance:
    """
    Say why no pair is tested.

    Args:
        n: Number of pairs.
        reason: In one sentence.
    """
    unknown = np.full(n, np.nan)
    return Significance(unknown, unknown.copy(), unknown.copy(), reason=reason)


@stage("Likelihood and permutations")
def assess_matches(
    incidence: Incidence,
    matches: Matches,
    crystal: np.ndarray,
    rank: np.ndarray,
    spread: SpreadAnalysis,
    choices: SpreadChoices,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> Significance:
    """
    Test each matched pair against chance.

    Args:
        incidence: With all crystals on one scale.
        matches: n pairs, best first.
        crystal: Shape (images,), the crystal of each image.
        rank: Shape (images,), their order for random numbers.
        spread: For s and the factors of images.
        choices: How many pairs, how many permutations.
        rng: For the permutations.
        nproc: Threads; all cores by default.

    Returns:
        The results, in the order of the pairs.
    """
    if not choices.likelihood:
        return nothing_tested(len(matches), "switched off.")
    if not len(matches):
        return nothing_tested(0, "there are no matched pairs.")
    if not spread.s > 0:
        return nothing_tested(
            len(matches),
            "there is no spread beyond the known errors that two images could share.",
        )
    n = min(len(matches), choices.max_tested)
    factor = _factor_of_entries(spread, incidence)
    intensity, variance = incidence.intensity / factor, incidence.variance / factor**2
    spots = _common_spots(incidence, matches, n, crystal, intensity, variance)
    pools = _ordered_pools(incidence, crystal, rank, intensity, variance)
    fitted = spots._replace(
        start=spots.start[: MOST_FITTED + 1],
        one_crystal=spots.one_crystal[:MOST_FITTED],
    )
    rho = fit_correlation(fitted, pools, spread.s, nproc)
    permutations = max(MOST_DRAWS // max(len(spots.unique), 1), FEWEST_PERMUTATIONS)
    permutations = min(choices.permutations, permutations)
    ratio, p = pair_ratios(spots, pools, spread.s, rho, rng, permutations, nproc)
    result = nothing_tested(len(matches), "")
    result.log_likelihood_ratio[:n], result.p_value[:n] = ratio, p
    q = benjamini_hochberg(result.p_value)
    return Significance(
        result.log_likelihood_ratio,
        result.p_value,
        q,
        correlation=rho,
        permutations=permutations,
        n_tested=int(np.isfinite(p).sum()),
        n_accepted=int((q <= ACCEPTED).sum()),
    )


def _ordered_pools(
    incidence: Incidence,
    crystal: np.ndarray,
    rank: np.ndarray,
    intensity: np.ndarray,
    variance: np.ndarray,
) -> Pools:
    """Build pools whatever the order of files and the indices of a crystal."""
    image = np.repeat(np.arange(len(incidence)), incidence.counts)
    order = order_within(intensity, rank[image])
    columns = (image, crystal[image], incidence.unique, intensity, variance)
    return build_pools(*(column[order] for column in columns))


@stage("One orientation against others")
def contrast_orientations(
    incidence: Incidence,
    matches: Matches,
    same: np.ndarray,
    crystal: np.ndarray,
    spread: SpreadAnalysis,
    rng: np.random.Generator,
    test: bool = True,
    nproc: int | None = None,
) -> OrientationContrast:
    """
    Compare pairs of the same orientation with all other pairs of the same reflections.

    Args:
        incidence: With all crystals on one scale, and the variances of counting.
        matches: n pairs.
        same: Shape (n,), bool: those of the same orientation.
        crystal: Shape (images,), the crystal of each image.
        spread: For s and the factors of images.
        rng: For signs and bootstrap.
        test: False leaves the test out.
        nproc: Threads; all cores by default.

    Returns:
        The comparison, of pairs on two crystals; without data a reason.
    """
    a, b = matches.image_a, matches.image_b
    used = np.flatnonzero(same & (crystal[a] != crystal[b]))
    if not len(used):
        return OrientationContrast(reason=NO_PAIR)
    if not np.isfinite(spread.s):
        return OrientationContrast(reason="the spread is not known.")
    factor = _factor_of_entries(spread, incidence)
    image = np.repeat(np.arange(len(incidence)), incidence.counts)
    entries = EntryColumns(
        image,
        crystal[image],
        incidence.unique,
        incidence.intensity / factor,
        incidence.variance / factor**2,
    )
    _, on_a, on_b = common_reflections(
        incidence, a[used], b[used], matches.operator[used], matches.n_common[used]
    )
    return compare_orientations(
        entries, on_a, on_b, len(used), spread.s, rng, test, nproc
    )


def _factor_of_entries(spread: SpreadAnalysis, incidence: Incidence) -> np.ndarray:
    """The factor of the image of each entry, 1 where unknown."""
    return np.repeat(
        usable_factors(spread.factors, len(incidence))[0], incidence.counts
    )


def _common_spots(
    incidence: Incidence,
    matches: Matches,
    n: int,
    crystal: np.ndarray,
    intensity: np.ndarray,
    variance: np.ndarray,
) -> CommonSpots:
    """The common spots of the first n pairs, by reflection: a and b may be exchanged."""
    image_a, image_b = matches.image_a[:n], matches.image_b[:n]
    start, on_a, on_b = common_reflections(
        incidence, image_a, image_b, matches.operator[:n], matches.n_common[:n]
    )
    unique = incidence.unique[on_a].astype(np.int64)
    order = order_within(unique, group_numbers(start))
    on_a, on_b = on_a[order], on_b[order]
    return CommonSpots(
        start=start,
        one_crystal=crystal[image_a] == crystal[image_b],
        unique=unique[order],
        intensity_a=intensity[on_a],
        variance_a=variance[on_a],
        intensity_b=intensity[on_b],
        variance_b=variance[on_b],
    )
