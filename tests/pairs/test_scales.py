"""Scales between two images, by hand."""

from __future__ import annotations

import numpy as np

from dials_spread.pairs.scales import image_scales


def test_scale_between_images_by_hand():
    one = np.ones(5)
    a = np.array([20.0, 30.0, 90.0, 400.0, 2.0])
    b = np.array([10.0, 10.0, 30.0, 10.0, 50.0])
    # Ratios of the four that are strong on both: 2, 3, 3, 40; their median is 3.
    groups = np.zeros(5, int), 1
    k = image_scales(a, one, b, one, *groups)
    np.testing.assert_allclose(k, [3.0])
    np.testing.assert_allclose(image_scales(b, one, a, one, *groups), [1 / 3])
    twice = image_scales(2 * a, 2 * one, b, one, *groups)
    np.testing.assert_allclose(twice, [6.0])
    # None is strong: the ratio of the sums.
    weak = image_scales(a, 200 * one, b, 200 * one, *groups)
    np.testing.assert_allclose(weak, [542 / 110])
    nothing = image_scales(-a, one, b, one, *groups)
    assert np.isnan(nothing[0])
