"""
Up to which angle between their beams two images count as of the same orientation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from libtbx import Auto

DEFAULT = 2.0
"""[°], where nothing is known of the data."""

LEAST, MOST = 0.1, 2.0
"""Limits [°] of an angle from the data: orientations are hardly known better, and further
apart images excite other reflections."""

FEW_PAIRS = 10
"""Pairs of the same orientation below which what is said of them is said to rest on few."""


@dataclass(frozen=True)
class SameOrientation:
    """
    What counts as the same orientation.

    Attributes:
        angle: [°] between the beam directions in the crystal, at most.
        reason: Why this angle, in words that follow it in a sentence.
    """

    angle: float
    reason: str

    def of(self, beam_angle: np.ndarray) -> np.ndarray:
        """Say which pairs, by the angle between their beams [°], are of it."""
        return beam_angle <= self.angle


def same_orientation(
    chosen: float | None = None, correlation_angle: float = np.nan
) -> SameOrientation:
    """
    Choose the angle up to which two orientations are the same.

    Args:
        chosen: [°], by the user; None or Auto leaves it to the data.
        correlation_angle: [°], within which images agree with each other, from the
            variogram; nan where it is not known.

    Returns:
        The angle chosen; else the correlation angle, within `LEAST` and `MOST`; else
        `DEFAULT`.
    """
    if chosen is not None and chosen is not Auto:
        return SameOrientation(float(chosen), "as matching.same_orientation says")
    if not np.isfinite(correlation_angle):
        return SameOrientation(
            DEFAULT,
            "the default, because the data do not tell a correlation angle well",
        )
    angle = float(np.clip(correlation_angle, LEAST, MOST))
    reason = "the correlation angle of these data"
    if angle != correlation_angle:
        side = "lowest" if angle > correlation_angle else "highest"
        reason = f"the {side} that is used; the correlation angle of these data is "
        reason += f"{correlation_angle:.2g}°"
    return SameOrientation(angle, reason)
