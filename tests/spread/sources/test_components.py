"""Shares of the variance together."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.spread.sources.components import Component, _beside_noise

nan = np.nan


def share(value: float, low: float, high: float) -> Component:
    return Component(value, low, high, value, low, high)


def test_no_source_has_more_than_counting_noise_leaves():
    """Noise is 78 to 90 % at least, so that nothing else is more than 22 %."""
    found = _beside_noise(
        {
            "noise": share(0.85, 0.78, 0.90),
            "orientation": share(0.0, 0.0, 0.88),
            "rest": share(0.15, 0.05, 0.20),
            "image": share(0.25, 0.0, 0.5),
            "crystal": share(nan, nan, nan),
        }
    )
    assert found["orientation"].share_high == pytest.approx(0.22)
    assert found["rest"].share_high == 0.20
    # No interval ends below its estimate.
    assert found["image"].share_high == 0.25
    assert np.isnan(found["crystal"].share_high)
    assert found["noise"].share_high == 0.90


def test_without_an_interval_of_the_noise_others_keep_theirs():
    found = _beside_noise(
        {"noise": share(0.85, nan, nan), "rest": share(0.1, 0.0, 0.9)}
    )
    assert found["rest"].share_high == 0.9
