"""Shares of the variance together."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.spread.sources.components import (
    Component,
    _beside_noise,
    _shares,
)
from dials_spread.statistics.bootstrap import interval

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


def samples(value, error, seed):
    noise = np.random.default_rng(seed).standard_normal(301)
    noise[0] = 0.0
    return value + error * noise


def test_what_came_out_below_zero_has_an_interval_all_the_same():
    """By chance, or as σ is too large by a little: nothing is known to be nothing exactly."""
    columns = {"rest": samples(-0.02, 0.003, 0), "noise": samples(1.0, 0.01, 1)}
    found = _shares(columns, 12)
    assert found["noise"][0] == 1 and found["rest"][0] == 0
    assert 0.97 < found["noise"][1] < 0.995 and found["noise"][2] == 1
    assert found["rest"][1] == 0 and 0.005 < found["rest"][2] < 0.03


def test_a_large_share_is_what_the_others_leave():
    """The errors of these are relative to what they are: wider below than above."""
    columns = {"orientation": samples(0.8, 0.02, 2), "rest": samples(0.2, 0.05, 3)}
    share, low, high = _shares(columns, 40)["orientation"]
    assert share == pytest.approx(0.8)
    assert 0.8 - low > 1.1 * (high - 0.8) > 0.05


@pytest.mark.parametrize("name, reaches", [("image", True), ("rest", False)])
def test_few_crystals_alike_by_chance_have_no_common_factor(name, reaches):
    columns = {name: samples(0.02, 0.006, 4), "noise": samples(1.0, 0.01, 5)}
    low = _shares(columns, 6)[name][1]
    assert (low == 0) == reaches


def test_thickness_can_be_all_that_differs_at_one_orientation():
    columns = {
        "orientation": samples(0.7, 0.02, 6),
        "thickness": samples(0.05, 0.03, 7),
        "rest": samples(0.1, 0.01, 8),
    }
    together = columns["thickness"] + columns["rest"]
    _, _, high = _shares(columns, 20)["thickness"]
    total = sum(columns.values())
    most = interval(together / total, 20)[1] - columns["rest"][0] / total[0]
    assert high >= most - 1e-9 > 0.05
