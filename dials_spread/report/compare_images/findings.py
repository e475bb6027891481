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
from dials_spread.report.page.intervals import share_with_interval, with_interval
from dials_spread.report.page.labels import counted, digits, image_label
from dials_spread.significance import Significance
from dials_spread.spread.analysis import SWITCHED_OFF, SpreadAnalysis
from dials_spread.spread.size.size import FEWEST_OF_IMAGE, SpreadSize
from dials_spread.spread.size.worst_images import worst_images
from dials_spread.spread.sources.components import (
    SOURCES,
    Component,
    Components,
    rest_is_apart,
)
from dials_spread.spread.sources.normality import Normality
from dials_spread.spread.variogram.growth import LEVEL

SOURCE_WORDS = {
    "image": "is common to all reflections of an image (beam, exposure, volume)",
    "crystal": "is common to all reflections of a crystal",
    "orientation": "depends on the orientation of the crystal",
    "noise": "is counting noise (σ)",
    "thickness": "differs between crystals at the same orientation (thickness, bending, "
    "damage)",
    "rest": "differs even at the same orientation (thickness, bending, damage, "
    "unexplained)",
}

WITHIN_CRYSTAL = (
    "differs between repeats at the same orientation on one crystal, too (errors of single "
    "observations that σ do not cover)"
)
"""The rest, where repeats within crystals have told thickness from it."""

NOT_APART = "depends on the orientation or on anything else: not separable here"
"""The rest, where no pairs of the same orientation say what it is without it."""

ONE_CRYSTAL = (
    "grows with the angle between the beam directions (orientation, volume and damage "
    "change together in one crystal)"
)
"""The orientation, of one crystal, whose images are turned and irradiated in turn."""

VAGUE = 10
"""Ratio of the ends of its interval beyond which no correlation angle is named."""

SHARE_TO_SEE = 0.2
"""Share of the orientation for which the number of crystals is said that show it."""

LISTED_AGAIN = (
    "How much depends on the orientation cannot be told from one crystal whose "
    "neighbouring images list the same crossings of the Ewald sphere: these agree "
    "because they are listed again."
)

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


def _share(part: Component) -> str:
    return share_with_interval(part.share, part.share_low, part.share_high)


def describe_sources(
    components: Components, radiation: str, repeated: bool = False
) -> list[str]:
    """
    Say where the spread comes from.

    Args:
        components: The sources.
        radiation: Of the data.
        repeated: Whether neighbouring images list the same crossings again.

    Returns:
        Paragraphs; of one crystal with repeated crossings no shares, which would be of
        counts listed again.
    """
    parts = {s: getattr(components, s) for s in SOURCES}
    known = {s: p for s, p in parts.items() if np.isfinite(p.share)}
    if not known:
        return [
            "Where does it come from? The spread is too small to be divided into sources."
        ]
    one = components.n_crystals == 1
    if one and repeated:
        return [f"Where does it come from? {LISTED_AGAIN}"]
    words = dict(SOURCE_WORDS)
    if np.isfinite(parts["thickness"].share):
        words["rest"] = WITHIN_CRYSTAL
    elif not rest_is_apart(components):
        words["rest"] = NOT_APART
    if one:
        words["orientation"] = ONE_CRYSTAL
    order = sorted(known, key=lambda s: -known[s].share)
    if _not_shown(components):
        # Its estimate is noise, which no share should be read from.
        order.remove("orientation")
    told = "; ".join(f"{_share(known[s])} {words[s]}" for s in order)
    text = (
        f"Where does it come from? Of the variance of a single observation, {told}. This "
        f"rests on {counted(components.n_crystals, 'crystal')}, "
        f"{counted(components.n_images, 'image')} and "
        f"{counted(components.n_pairs, 'pair')} of observations."
    )
    if not one and parts["crystal"].reason:
        text += (
            " What is common to a crystal is in none of these shares: "
            + parts["crystal"].reason
        )
    return [text, *_about_orientation(components, radiation)]


def _not_shown(components: Components) -> bool:
    """Whether the disagreement was tested for growth with the angle, and shows none."""
    return components.orientation_p_value > LEVEL


def _about_orientation(components: Components, radiation: str) -> list[str]:
    """
    Say whether the disagreement grows with the angle between beams, and how soon.

    Claimed where growth_p_value is at most LEVEL; with the correlation angle then.
    """
    part, p_value = components.orientation, components.orientation_p_value
    if part.reason:
        return [
            f"Whether it depends on the orientation cannot be told from these data: "
            f"{part.reason}"
        ]
    if not np.isfinite(p_value):
        return []
    if _not_shown(components):
        text = (
            "A dependence on the orientation is not shown (p = "
            f"{digits(p_value, 2)}): {_at_most(part.share_high)} of the variance may "
            "depend on it"
        )
        if part.share_high > SHARE_TO_SEE:
            # From 4 to 16 crystals the upper end falls as the number to the power -1.6.
            n = components.n_crystals * (part.share_high / SHARE_TO_SEE) ** 0.6
            text += (
                f"; about {counted(int(np.ceil(n)), 'crystal')} would show whether "
                f"{share_with_interval(SHARE_TO_SEE)} does"
            )
        return [f"{text}."]
    cause = (
        ", as expected of multiple scattering; scaling does not remove it"
        if radiation == "electrons"
        else ", which multiple scattering does not make of X-rays: absorption and "
        "overlapping spots can"
    )
    return [
        "The disagreement grows with the angle between the beam directions in the "
        f"crystal{cause}. {_about_angle(*components.correlation_angle)}"
    ]


def _about_angle(angle: float, low: float, high: float) -> str:
    """Say within which angle images agree with each other, where that is known."""
    if high > VAGUE * low:
        return (
            "How soon cannot be told well: half of that growth, the correlation angle, "
            f"is reached between {digits(low, 2)}° and {digits(high, 2)}°."
        )
    within = with_interval(angle, low, high, lambda x: f"{digits(x, 2)}°")
    return (
        f"Half of that growth is reached at {within}, the correlation angle: images whose "
        "beam directions are further apart agree little better than any others."
    )


def _at_most(share: float) -> str:
    return f"at most {share_with_interval(share)}" if share < 1 else "up to all"


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
            "follows from the p-values in the JSON file." + _about_normality(normality)
        )
    n_better, permutations = significance.n_accepted, significance.permutations
    text = (
        "Do images of the same orientation agree better than expected by chance? Of "
        f"{counted(significance.n_tested, 'matched pair')} that {_was(significance)} "
        f"tested, {_do(n_better)} at a false discovery rate of 5 %"
    )
    if near.any():
        low = int((significance.p_value[near] <= 0.05).sum())
        text += (
            f"; of the {counted(int(near.sum()), 'pair')} of the same orientation "
            f"{_do(int((accepted & near).sum()))}, and {low or 'none'} "
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


def spread_findings(observations: Observations, spread: SpreadAnalysis) -> list[str]:
    """
    Say how large the spread is and where it comes from.

    Args:
        observations: Of all crystals.
        spread: The results.

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
    if spread.components:
        told += describe_sources(
            spread.components, observations.radiation, observations.often_repeated
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
    if not len(found.image):
        return (
            f"{question} None of {counted(found.n_tested, 'image')} has an s above that "
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
        f"{question} {len(found.image):,} of {counted(found.n_tested, 'image')} {have} an "
        "s above that of all data at a false discovery rate of 5 % (crystal / image): "
        f"{', '.join(named)}{rest}."
    )
    if not observations.scaled:
        text += (
            " These intensities are not scaled, so that an image may differ by its scale "
            "alone."
        )
    return text
