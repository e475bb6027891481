"""What counts as the same orientation: chosen, from the data, or neither."""

from __future__ import annotations

import numpy as np
import pytest

from libtbx import Auto

from dials_spread.pairs.tolerance import DEFAULT, LEAST, MOST, same_orientation


@pytest.mark.parametrize(
    ("chosen", "found", "angle", "why"),
    [
        (5.0, 0.6, 5.0, "as matching.same_orientation says"),
        (0.0, 0.6, 0.0, "as matching.same_orientation says"),
        (None, 0.6, 0.6, "the correlation angle of these data"),
        (Auto, 0.6, 0.6, "the correlation angle of these data"),
        (
            None,
            0.013,
            LEAST,
            "lowest that is used; the correlation angle of these data",
        ),
        (None, 60.0, MOST, "is 60°"),
        (None, np.nan, DEFAULT, "the default, because the data do not tell"),
        (Auto, np.inf, DEFAULT, "the default, because the data do not tell"),
    ],
)
def test_the_angle_and_why(chosen, found, angle, why):
    same = same_orientation(chosen, found)
    assert same.angle == angle
    assert why in same.reason
    at = np.array([0.0, angle, angle + 1e-6, 179.0])
    np.testing.assert_array_equal(same.of(at), [True, True, False, False])
