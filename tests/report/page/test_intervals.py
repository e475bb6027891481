"""Intervals are printed where they say something, and else the reason."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.report.page.intervals import (
    interval_cell,
    share_with_interval,
    with_interval,
)

nan = np.nan


def test_shares_by_hand():
    assert share_with_interval(0.537, 0.143, 1.0) == "54 % (95 %: 14 to 100 %)"
    assert share_with_interval(0.00098) == "0.1 %"
    assert share_with_interval(0.0967) == "9.7 %"
    assert share_with_interval(-0.012) == "−1.2 %"


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.2, 0.3, "0.250 (95 %: 0.200 to 0.300)"),
        (nan, nan, "0.250"),
        (0.25, 0.25, "0.250 (no interval: the same in every bootstrap sample)"),
        (0.25, 0.3, "0.250 (95 %: at most 0.300)"),
        (0.1, 0.25, "0.250 (95 %: at least 0.100)"),
        (0.3, 0.4, "0.250 (no interval: it does not hold its estimate)"),
    ],
)
def test_an_interval_or_why_there_is_none(low, high, told):
    assert with_interval(0.25, low, high) == told
    cells = {0.2: "0.200 – 0.300", 0.1: "≥ 0.100"}
    if (low, high) == (0.25, 0.3):
        cells = {0.25: "≤ 0.300"}
    assert interval_cell(0.25, low, high) == cells.get(low, "–")


def test_what_is_zero_is_at_most_so_much():
    assert with_interval(0.0, 0.0, 0.3) == "0 (95 %: at most 0.300)"
    assert share_with_interval(0.0, 0.0, 0.087) == "0 % (95 %: at most 8.7 %)"
    assert with_interval(nan, nan, nan) == "–"


def test_an_interval_does_not_look_as_if_it_had_no_width():
    told = share_with_interval(0.9912, 0.9903, 0.9921)
    assert told == "99.1 % (95 %: 99.0 to 99.2 %)"
