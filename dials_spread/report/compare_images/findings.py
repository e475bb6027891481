"""
What was found, for a person who reads nothing else.

Functions:
    spread_findings: how large the spread is, and where it comes from
    chance_findings: whether images of one orientation agree better than expected by
        chance
    describe_worst: which images are worst
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.observations.error_model import CountingErrors
from dials_spread.report.compare_images.source_sentences import (
    describe_sources,
    sources_of,
)
from dials_spread.report.page.intervals import share_with_interval
from dials_spread.report.page.labels import counted, digits, image_label
from dials_spread.significance import Significance
from dials_spread.spread.analysis import SWITCHED_OFF, SpreadAnalysis
from dials_spread.spread.size.size import FEWEST_OF_IMAGE, SpreadSize
from dials_spread.spread.size.worst_images import worst_images
from dials_spread.spread.sources.normality import Normality

MOST_NAMED = 8
"""Images named in a sentence; all are in the JSON document."""


ISA_LABEL = "asymptotic I/σ of a single observation"
"""ISa; describe_size has the formula, statistics.excess_spread the estimate of s."""


def describe_size(
    size: SpreadSize, scaled: bool = False, counting: CountingErrors | None = None
) -> str:
    """
    Say how large the spread is.

    ISa, the I/σ that no single observation exceeds, is 1/s: of an error model σ'² = σ² +
    (bI)² it is 1/b (Diederichs (2010), Acta Cryst. D66, 733). The σ of
    scaled intensities hold the error model of dials.scale; unless that is taken off, s is
    what it lacks, and 1/s is no ISa.

    Args:
        size: The size.
        scaled: Whether σ is that of dials.scale.
        counting: The σ that s is beyond; None where it is as written.

    Returns:
        A paragraph.
    """
    whole = size.overall
    behind = (
        f"({counted(int(whole.n[0]), 'observation')} of "
        f"{counted(size.n_reflections, 'reflection')}, "
        f"{counted(int(whole.crystals[0]), 'crystal')})"
    )
    question = "How large is the spread?"
    if not size.s > 0:
        return (
            f"{question} Symmetry-equivalent observations differ by no more than their "
            f"σ explain {behind}."
        )
    low, high = float(whole.s_low[0]), float(whole.s_high[0])
    text = (
        f"{question} Symmetry-equivalent observations differ by more than their σ "
        f"explain: the relative error not covered by σ is s = "
        f"{share_with_interval(size.s, low, high)} of the intensity {behind}. "
        f"{_meaning(scaled, counting)} A robust estimate, which a few outliers do "
        f"not move, gives {share_with_interval(float(whole.s_robust[0]))}"
    )
    known = np.isfinite(size.scaling_limit)
    if not scaled or counting:
        text += f". The {ISA_LABEL} is ISa = 1/s = {digits(1 / size.s, 2)}"
        if known:
            text += (
                f"; dials.scale found {digits(size.scaling_limit)} for the same data"
            )
    elif known:
        text += (
            f". The {ISA_LABEL} is ISa = {digits(size.scaling_limit)} by dials.scale"
        )
    if size.reason:
        text += f". {size.reason[:-1]}"
    return text + "."


def _meaning(scaled: bool, counting: CountingErrors | None) -> str:
    """Say what s is of an error model."""
    if scaled and not counting:
        return (
            "It comes on top of whatever the error model of dials.scale has made of σ."
        )
    text = "s is the b of an error model σ'² = σ² + (bI)²"
    if not counting:
        return text + "."
    a, b = counting.median
    model = f" (a = {digits(a)}, b = {digits(b, 2)})" if np.isfinite(a) else ""
    text += f", σ from integration: the error model of dials.scale{model} was taken off"
    kept, n = counting.taken_from.get("as written", 0), len(counting.variance)
    if kept:
        text += f", but for {kept:,} of {n:,} observations, where it is not known"
    return text + "."


def describe_chance(
    significance: Significance,
    normality: Normality | None,
    same: np.ndarray,
    repeated: bool = False,
    one_crystal: bool = False,
) -> str:
    """
    Say whether matched pairs agree better than expected by chance.

    Args:
        significance: Of the pairs.
        normality: Of the residuals.
        same: Shape (pairs,), bool: pairs of the same orientation.
        repeated: Whether neighbouring images share measurements.
        one_crystal: Whether all pairs are within one crystal.

    Returns:
        A paragraph.
    """
    q = significance.q_value
    tested = np.isfinite(q)
    accepted, near = q <= 0.05, tested & same
    if one_crystal and repeated:
        return (
            "Do images of the same orientation agree better than expected by chance? "
            "This cannot be told: neighbouring images of the one crystal list the same "
            "crossings of the Ewald sphere and agree for that reason, so that nothing "
            "follows from the p-values in the JSON file."
        )
    n_better, permutations = significance.n_accepted, significance.permutations
    which = " of the same orientation" if near.any() else ""
    text = (
        f"Do images{which} agree better than expected by chance? Of "
        f"{counted(significance.n_tested, 'matched pair')} that {_was(significance)} "
        f"tested, {_do(n_better)} at a false discovery rate of 5 %"
    )
    if near.any():
        low = int((significance.p_value[near] <= 0.05).sum())
        text += (
            f"; of the {counted(int(near.sum()), 'pair')} of the same orientation "
            f"{_do(int((accepted & near).sum()))}, and {f'{low:,}' if low else 'none'} "
            f"{'has' if low <= 1 else 'have'} a p-value of at most 0.05, where "
            f"{digits(0.05 * near.sum(), 2)} are expected by chance"
        )
    text += f" (at most {permutations:,} permutations for each pair)."
    if repeated:
        text += (
            " Neighbouring images list the same crossings of the Ewald sphere here, and "
            "agree for that reason, too."
        )
    return text + _about_normality(normality)


def _was(significance: Significance) -> str:
    return "was" if significance.n_tested == 1 else "were"


def _do(n: int) -> str:
    """Say how many pairs agree."""
    if n == 0:
        return "none does"
    return f"{n:,} {'does' if n == 1 else 'do'}"


def _about_normality(normality: Normality | None) -> str:
    if normality is None or normality.gaussian is None:
        return ""
    if normality.gaussian:
        return (
            " The residuals are not distinguishable from a normal distribution, so that "
            "the likelihood ratios in the JSON file can be quoted, too."
        )
    return (
        " The residuals are not normally distributed (excess kurtosis "
        f"{digits(normality.excess_kurtosis[0], 2)}): quote these permutation p-values, "
        "not the likelihood ratios in the JSON file."
    )


def spread_findings(
    observations: Observations, spread: SpreadAnalysis, images_agree: bool = False
) -> list[str]:
    """
    Say how large the spread is and where it comes from.

    Args:
        observations: Of all crystals.
        spread: The results.
        images_agree: Whether matched images of one orientation were shown to agree
            better than others.

    Returns:
        Paragraphs; where a part could not be computed, one sentence why.
    """
    told = []
    if spread.size:
        told.append(describe_size(spread.size, observations.scaled, spread.counting))
    elif _is_missing(spread, "spread"):
        told.append(
            f"How large is the spread? It could not be measured: "
            f"{spread.reasons['spread']}"
        )
    sources = sources_of(observations, spread, images_agree)
    if spread.components and sources:
        told += describe_sources(
            spread.components, sources, observations.radiation, images_agree
        )
    return told


def chance_findings(
    observations: Observations,
    spread: SpreadAnalysis,
    significance: Significance,
    same: np.ndarray,
) -> list[str]:
    """
    Say whether images of one orientation agree better than expected by chance.

    Args:
        observations: Of all crystals.
        spread: The results; how residuals are distributed.
        significance: Of the matched pairs.
        same: Shape (pairs,), bool: pairs of the same orientation.

    Returns:
        A paragraph, or none where this was switched off.
    """
    if significance.n_tested:
        repeated = observations.often_repeated
        one = observations.n_crystals == 1
        return [describe_chance(significance, spread.normality, same, repeated, one)]
    if significance.reason and significance.reason != SWITCHED_OFF:
        return [
            "Do images of the same orientation agree better than expected by chance? "
            f"This was not tested: {significance.reason}"
        ]
    return []


def _is_missing(spread: SpreadAnalysis, key: str) -> bool:
    return spread.reasons.get(key, SWITCHED_OFF) != SWITCHED_OFF


def describe_worst(observations: Observations, size: SpreadSize) -> str:
    """
    Say which images spread more than the others.

    Args:
        observations: With the images.
        size: The spread, image by image.

    Returns:
        A paragraph.
    """
    found = worst_images(observations, size)
    question = "Which images are worst?"
    if found.n_tested < 2:
        return (
            f"{question} This cannot be told: {counted(found.n_tested, 'image')} of "
            f"{size.n_images:,} {'has' if found.n_tested == 1 else 'have'} enough "
            f"observations for an s of its own ({FEWEST_OF_IMAGE})."
        )
    images = counted(found.n_tested, "image")
    if found.n_tested < size.n_images:
        images += f" (of {size.n_images:,}; s takes {FEWEST_OF_IMAGE} observations)"
    if not len(found.image):
        return (
            f"{question} None of {images} has an s above that "
            "of all data at a false discovery rate of 5 %."
        )
    named = [
        f"{image_label(observations, int(i))} (s = {share_with_interval(float(s))})"
        for i, s in zip(found.image[:MOST_NAMED], found.s[:MOST_NAMED])
    ]
    more = len(found.image) - len(named)
    rest = f", and {more:,} more in the JSON file" if more else ""
    have = "has" if len(found.image) == 1 else "have"
    text = (
        f"{question} {len(found.image):,} of {images} {have} an "
        "s above that of all data at a false discovery rate of 5 % (crystal / image): "
        f"{', '.join(named)}{rest}."
    )
    if not observations.scaled:
        text += (
            " These intensities are not scaled, so that an image may differ by its scale "
            "alone."
        )
    return text
