"""Images that spread more than the others are found, and others are not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from dials_spread.spread.size.residuals import mean_levels, residuals_of_arrays
from dials_spread.spread.size.size import measure_size
from dials_spread.spread.size.worst_images import worst_images
from dials_spread.statistics.bootstrap import group_crystals

N_IMAGES, N_UNIQUE = 40, 150


def simulated(rng, spreads, n_passages=1.0):
    """All images with all reflections, each image with its own spread: what is found."""
    unique = np.repeat(np.arange(N_UNIQUE), N_IMAGES)
    image = np.tile(np.arange(N_IMAGES), N_UNIQUE)
    crystal = image // 8
    mu = 100 * (rng.exponential(1, N_UNIQUE) + 0.3)[unique]
    n = len(unique)
    intensity = mu * (1 + spreads[image] * rng.standard_normal(n))
    intensity += 3 * rng.standard_normal(n)
    residuals = residuals_of_arrays(unique, crystal, image, intensity, np.full(n, 9.0))
    groups = group_crystals(residuals.crystal, residuals.n_crystals, rng)
    weights = groups.draws(rng)
    levels = mean_levels(residuals, groups, weights)
    given = (residuals, np.ones(N_UNIQUE), groups, weights, levels)

    class Observations(SimpleNamespace):
        def __len__(self):
            return n

    size = measure_size(*given)
    return worst_images(Observations(n_passages=int(n * n_passages)), size)


def test_images_of_one_spread_are_not_worst():
    """At a false discovery rate of 5 % a set with no worse image gives any in 5 %."""
    rng = np.random.default_rng(1)
    found = [len(simulated(rng, np.full(N_IMAGES, 0.2)).image) for _ in range(20)]
    assert np.count_nonzero(found) <= 4


def test_an_s_of_all_next_to_zero_makes_no_image_worst():
    """
    Its logarithm is far below that of any image.

    One of 100 images has s = 2.6 % (1.1 % at least, 95 %), all together 0.2 %: 3.1
    standard errors, p = 0.001, one in ten sets has such an image.
    """
    s, low = np.full(100, 0.002), np.zeros(100)
    s[5], low[5] = 0.026, 0.011
    images = SimpleNamespace(s=s, s_low=low, number=np.arange(100), n=np.full(100, 15))

    class Observations(SimpleNamespace):
        def __len__(self):
            return 1500

    size = SimpleNamespace(s=0.002, by_image=images)
    assert not len(worst_images(Observations(n_passages=1500), size).image)
    low[5] = 0.022  # 12 standard errors
    assert worst_images(Observations(n_passages=1500), size).image.tolist() == [5]


def test_worse_images_are_found_in_their_order():
    spreads = np.full(N_IMAGES, 0.2)
    spreads[[7, 30]] = 0.4, 0.6
    found = simulated(np.random.default_rng(2), spreads)
    assert found.image.tolist() == [30, 7]
    assert (found.q_value < 1e-4).all()
    assert found.n_tested == N_IMAGES
    np.testing.assert_allclose(found.s, [0.6, 0.4], rtol=0.25)


def test_repeated_listings_make_it_less_certain():
    spreads = np.full(N_IMAGES, 0.2)
    spreads[3] = 0.4
    alone = simulated(np.random.default_rng(3), spreads)
    repeated = simulated(np.random.default_rng(3), spreads, n_passages=0.25)
    assert alone.image.tolist() == [3]
    assert not len(repeated.image) or repeated.q_value[0] > alone.q_value[0]
