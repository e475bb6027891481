"""
What may be said of each source of the spread: one rule for sentences, tables and plots.

Functions:
    tell_sources: the shares that data can tell, and why not the others
    orientation_not_tested: whether growth with the angle could not be tested
    orientation_not_shown: whether it was tested, and none is shown
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dials_spread.spread.sources.components import (
    SOURCES,
    Component,
    Components,
    rest_is_apart,
)
from dials_spread.spread.variogram.growth import LEVEL

SHARE_TO_SEE = 0.2
"""Share of the orientation for which the number of crystals is said that show it. Where more
than that may depend on it, the rest is not said to be without it."""

REST_AT_ONE_ORIENTATION = "at one orientation"
REST_WITHIN_CRYSTAL = "within a crystal"
REST_NOT_APART = "not apart"

WITH_THE_REST = {
    True: "in one crystal orientation, illuminated volume and damage change together.",
    False: "it takes three crystals.",
}
"""Why the orientation is told with the rest, by whether there is one crystal."""


@dataclass(frozen=True)
class ToldSources:
    """
    The sources, as far as the data tell them.

    Attributes:
        parts: By name, in the order of SOURCES; variance and share are nan where they are
            not told, with the reason.
        rest: What the rest is: REST_AT_ONE_ORIENTATION; REST_WITHIN_CRYSTAL, where
            repeats on one crystal have told thickness from it; or REST_NOT_APART, where
            much of it may depend on the orientation.
        reason: Why nothing is told, in one sentence, or nothing.
    """

    parts: dict[str, Component]
    rest: str
    reason: str = ""

    def withheld(self) -> dict[str, str]:
        """Give the reasons by source, of those that are not told."""
        return {name: p.reason for name, p in self.parts.items() if p.reason}


def tell_sources(
    components: Components, images_agree: bool = False, reason: str = ""
) -> ToldSources:
    """
    Choose what is said of the sources.

    Args:
        components: As estimated.
        images_agree: Whether matched images of one orientation were shown to agree
            better than others, so that a dependence is known all the same.
        reason: Why nothing at all can be told, as where indices are not of one kind.

    Returns:
        What may be said.
    """
    parts = {name: getattr(components, name) for name in SOURCES}
    if reason:
        parts = {name: _unknown(reason) for name in parts}
        return ToldSources(parts, REST_NOT_APART, reason)
    if np.isfinite(components.thickness.share):
        rest = REST_WITHIN_CRYSTAL
    elif _is_apart(components, images_agree):
        rest = REST_AT_ONE_ORIENTATION
    else:
        rest = REST_NOT_APART
    if orientation_not_tested(components):
        parts["rest"] = _together(parts["rest"], parts["orientation"])
        parts["orientation"] = _unknown(WITH_THE_REST[components.n_crystals == 1])
    return ToldSources(parts, rest)


def orientation_not_tested(components: Components) -> bool:
    """
    Say whether growth with the angle could not be tested, for want of crystals.

    Args:
        components: The sources.
    """
    return rest_is_apart(components) and not np.isfinite(components.orientation_p_value)


def orientation_not_shown(components: Components) -> bool:
    """
    Say whether the disagreement was tested for growth with the angle, and shows none.

    Args:
        components: The sources.
    """
    return components.orientation_p_value > LEVEL


def _is_apart(components: Components, images_agree: bool) -> bool:
    """Whether the rest is known to hold little that depends on the orientation."""
    if not rest_is_apart(components) or orientation_not_tested(components):
        return False
    # Pairs of images say that some depends on the orientation, not how much.
    much = images_agree or components.orientation.share_high > SHARE_TO_SEE
    return not (orientation_not_shown(components) and much)


def _together(rest: Component, orientation: Component) -> Component:
    """Two sources that are not told apart, without an interval."""
    nan = float("nan")
    return replace(
        rest,
        variance=rest.variance + orientation.variance,
        variance_low=nan,
        variance_high=nan,
        share=rest.share + orientation.share,
        share_low=nan,
        share_high=nan,
    )


def _unknown(reason: str) -> Component:
    nan = float("nan")
    return Component(nan, nan, nan, nan, nan, nan, reason)
