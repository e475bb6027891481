"""
Where the spread comes from, in sentences, each by the rule that stands with it.

Functions:
    describe_sources: the shares, and whether the orientation has one
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dials_spread.report.page.intervals import share_with_interval, with_interval
from dials_spread.report.page.labels import counted, digits
from dials_spread.spread.sources.components import (
    SOURCES,
    Component,
    Components,
    rest_is_apart,
)
from dials_spread.spread.variogram.growth import LEVEL
from dials_spread.spread.variogram.variogram import VAGUE

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

NOT_TESTED = {
    True: "How much depends on the orientation cannot be told from one crystal, in which "
    "orientation, illuminated volume and damage change together.",
    False: "How much depends on the orientation cannot be told: it takes three crystals.",
}
"""Why the orientation is in the rest, by whether there is one crystal."""

SHARE_TO_SEE = 0.2
"""Share of the orientation for which the number of crystals is said that show it. Where more
than that may depend on it, the rest is not said to be without it."""

LISTED_AGAIN = (
    "How much depends on the orientation cannot be told from one crystal whose "
    "neighbouring images list the same crossings of the Ewald sphere: these agree "
    "because they are listed again."
)


def _share(part: Component) -> str:
    return share_with_interval(part.share, part.share_low, part.share_high)


def describe_sources(
    components: Components,
    radiation: str,
    repeated: bool = False,
    images_agree: bool = False,
) -> list[str]:
    """
    Say where the spread comes from.

    Args:
        components: The sources.
        radiation: Of the data.
        repeated: Whether neighbouring images list the same crossings again.
        images_agree: Whether matched images of one orientation were shown to agree
            better than others, so that a dependence is known all the same.

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
    elif not _is_apart(components, images_agree):
        words["rest"] = NOT_APART
    if one:
        words["orientation"] = ONE_CRYSTAL
    if _not_tested(components) and {"orientation", "rest"} <= {*known}:
        known["rest"] = _together(known["rest"], known["orientation"])
    order = sorted(known, key=lambda s: -known[s].share)
    if _not_tested(components) or _not_shown(components):
        # Its estimate is noise, which no share should be read from.
        order = [name for name in order if name != "orientation"]
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
    return [text, *_about_orientation(components, radiation, images_agree)]


def _not_tested(components: Components) -> bool:
    """Whether growth with the angle could not be tested, for want of crystals."""
    return rest_is_apart(components) and not np.isfinite(components.orientation_p_value)


def _is_apart(components: Components, images_agree: bool) -> bool:
    """Whether the rest is known to hold little that depends on the orientation."""
    if not rest_is_apart(components) or _not_tested(components):
        return False
    # Pairs of images say that some depends on the orientation, not how much.
    much = images_agree or components.orientation.share_high > SHARE_TO_SEE
    return not (_not_shown(components) and much)


def _together(rest: Component, orientation: Component) -> Component:
    """Two sources that are not told apart, without an interval."""
    share = rest.share + orientation.share
    return replace(rest, share=share, share_low=np.nan, share_high=np.nan)


def _not_shown(components: Components) -> bool:
    """Whether the disagreement was tested for growth with the angle, and shows none."""
    return components.orientation_p_value > LEVEL


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
        return [NOT_TESTED[components.n_crystals == 1]]
    if _not_shown(components):
        if images_agree:
            return [
                "How much depends on the orientation cannot be told from pairs of "
                f"observations (p = {digits(p_value, 2)}), although images of one "
                f"orientation agree better than others: {_at_most(part.share_high)}."
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
