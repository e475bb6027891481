"""
Where the spread comes from, in sentences, each by the rule that stands with it.

Functions:
    sources_of: what may be said of the shares
    describe_sources: the shares, and whether the orientation has one
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.report.page.intervals import share_with_interval, with_interval
from dials_spread.report.page.labels import counted, digits
from dials_spread.spread.analysis import SpreadAnalysis
from dials_spread.spread.sources.components import (
    Component,
    Components,
)
from dials_spread.spread.sources.told import (
    REST_AT_ONE_ORIENTATION,
    REST_NOT_APART,
    REST_WITHIN_CRYSTAL,
    SHARE_TO_SEE,
    WITH_THE_REST,
    ToldSources,
    orientation_not_shown,
    tell_sources,
)
from dials_spread.spread.variogram.variogram import VAGUE

SOURCE_WORDS = {
    "image": "is common to all reflections of an image (beam, exposure, volume)",
    "crystal": "is common to all reflections of a crystal",
    "orientation": "depends on the orientation of the crystal",
    "noise": "is counting noise (σ)",
    "thickness": "differs between crystals at the same orientation (thickness, bending, "
    "damage)",
}

REST_WORDS = {
    REST_AT_ONE_ORIENTATION: "differs even at the same orientation (thickness, bending, "
    "damage, unexplained)",
    REST_WITHIN_CRYSTAL: "differs between repeats at the same orientation on one crystal, "
    "too (errors of single observations that σ do not cover)",
    REST_NOT_APART: "depends on the orientation or on anything else: not separable here",
}

NOT_TESTED = "How much depends on the orientation cannot be told: "

LISTED_AGAIN = (
    "How much depends on the orientation cannot be told from one crystal whose "
    "neighbouring images list the same crossings of the Ewald sphere: these agree "
    "because they are listed again."
)

MIXED = (
    "Where it comes from, and whether images of the same orientation agree better, cannot "
    "be told before the crystals with exchanged axes are reindexed."
)
"""What different reflections, compared as if they were equivalent, differ by says nothing."""


def sources_of(
    observations: Observations,
    spread: SpreadAnalysis,
    images_agree: bool = False,
    mixed: bool = False,
) -> ToldSources | None:
    """
    Choose what is said of the sources, in sentences, tables and plots alike.

    Args:
        observations: Of all crystals.
        spread: The results.
        images_agree: Whether matched images of one orientation were shown to agree
            better than others.
        mixed: Whether crystals with exchanged axes are among them.

    Returns:
        What is said; None where sources were not computed.
    """
    if spread.components is None:
        return None
    reason = MIXED if mixed else ""
    if not mixed and observations.n_crystals == 1 and observations.often_repeated:
        reason = LISTED_AGAIN
    return tell_sources(spread.components, images_agree, reason)


def _share(part: Component) -> str:
    return share_with_interval(part.share, part.share_low, part.share_high)


def describe_sources(
    components: Components,
    told: ToldSources,
    radiation: str,
    images_agree: bool = False,
) -> list[str]:
    """
    Say where the spread comes from.

    Args:
        components: The sources, as estimated.
        told: What is said of them.
        radiation: Of the data.
        images_agree: Whether matched images of one orientation were shown to agree
            better than others, so that a dependence is known all the same.

    Returns:
        Paragraphs; where nothing can be told, why.
    """
    question = "Where does it come from?"
    if told.reason:
        return [f"{question} {told.reason}"]
    known = {s: p for s, p in told.parts.items() if np.isfinite(p.share)}
    if not known:
        return [f"{question} The spread is too small to be divided into sources."]
    words = {**SOURCE_WORDS, "rest": REST_WORDS[told.rest]}
    order = sorted(known, key=lambda s: -known[s].share)
    if orientation_not_shown(components):
        # Its estimate is noise, which no share should be read from.
        order = [name for name in order if name != "orientation"]
    shares = "; ".join(f"{_share(known[s])} {words[s]}" for s in order)
    text = (
        f"{question} Of the variance of a single observation, {shares}. This "
        f"rests on {counted(components.n_crystals, 'crystal')}, "
        f"{counted(components.n_images, 'image')} and "
        f"{counted(components.n_pairs, 'pair')} of observations."
    )
    of_crystal = told.parts["crystal"].reason
    if components.n_crystals > 1 and of_crystal:
        text += f" What is common to a crystal is in none of these shares: {of_crystal}"
    return [text, *_about_orientation(components, radiation, images_agree)]


def _about_orientation(
    components: Components, radiation: str, images_agree: bool
) -> list[str]:
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
        return [NOT_TESTED + WITH_THE_REST[components.n_crystals == 1]]
    if orientation_not_shown(components):
        if images_agree:
            return [
                "Images of one orientation agree better than others. Pairs of "
                "observations alone do not show that they disagree more as the angle "
                f"grows (p = {digits(p_value, 2)}), and do not tell how much depends on "
                f"the orientation: {_at_most(part.share_high)}."
            ]
        text = (
            "A dependence on the orientation is not shown (p = "
            f"{digits(p_value, 2)}): {_at_most(part.share_high)} of the variance may "
            "depend on it"
        )
        if part.share_high > SHARE_TO_SEE:
            # From 12 to 48 crystals the upper end falls as the number to about -1.25.
            n = components.n_crystals * (part.share_high / SHARE_TO_SEE) ** 0.75
            about = "about" if part.share_high < 1 else "at least about"
            text += (
                f"; {about} {counted(int(np.ceil(n)), 'crystal')} would show whether "
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
