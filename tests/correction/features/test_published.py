from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction.features.published import (
    PUBLISHED,
    images_of,
    published_features,
)
from dials_spread.correction.features.registry import names
from dials_spread.orientation import reciprocal_basis


def test_published_features_are_what_they_say(small):
    found = published_features(small)
    column = dict(zip(names(PUBLISHED), found.T))
    assert found.shape == (len(small), len(PUBLISHED))
    image = images_of(small)
    basis = reciprocal_basis(small.unit_cell)
    g = small.miller_index @ basis.T
    rng = np.random.default_rng(0)
    for i in rng.integers(0, len(small), 20):
        others = np.flatnonzero((image == image[i]) & (np.arange(len(small)) != i))
        own = small.intensity[image == image[i]]
        assert column["image_mean"][i] == pytest.approx(own.mean(), rel=1e-5)
        assert column["image_median"][i] == pytest.approx(np.median(own), rel=1e-5)
        assert column["image_spots"][i] == len(own)
        assert column["d"][i] == pytest.approx(1 / np.linalg.norm(g[i]), rel=1e-5)
        distance = np.linalg.norm(g[others] - g[i], axis=1)
        nearest = np.argsort(distance)[:5]
        assert column["neighbour_distance"][i] == pytest.approx(
            distance[nearest].mean(), rel=1e-5
        )
        if len(np.unique(np.round(distance, 9))) == len(distance):
            expected = small.intensity[others[nearest]].mean()
            assert column["neighbour_mean"][i] == pytest.approx(expected, rel=1e-4)


def test_images_are_degrees_of_one_crystal(small):
    image = images_of(small)
    for number in range(0, image.max() + 1, 17):
        own = image == number
        assert len(np.unique(small.crystal[own])) == 1
        assert np.ptp(small.angle[own]) <= 1


def test_they_name_the_reflection_unlike_the_others(small):
    found = published_features(small)[:, :3]
    distinct = np.unique(np.round(found.astype(float), 6), axis=0)
    assert len(distinct) == small.n_unique
