"""Crystals that are not shown to agree with the others: of sets where it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.prepare.outsiders import effective_number, outsiders, typical_size
from dials_spread.prepare.scaling import fit_scales


@pytest.mark.parametrize(
    "sizes, number",
    [
        ([500], 1),
        ([500] * 7, 7),
        ([500, 300, 120], 3),
        ([1547, 3], 1 + 3 / (0.2 * 1547)),
        ([1000, 1000, 50], 2.25),
        ([20] * 300, 300),
    ],
)
def test_equal_crystals_count_as_many_as_they_are(sizes, number):
    crystal = np.repeat(np.arange(len(sizes)), sizes)
    assert effective_number(crystal) == pytest.approx(number, abs=1e-12)
    if number == int(number):
        assert effective_number(crystal) == number
    # Those without observations are none.
    assert effective_number(crystal + 2) == effective_number(crystal)


def test_the_typical_crystal_is_that_of_most_observations():
    assert typical_size(np.array([1547, 3, 3, 3])) == 1547
    assert typical_size(np.array([20] * 100 + [1500])) == 20


def scaled(observations):
    return observations.divided(fit_scales(observations).scale)


def of_part(small, n, change=None, seed=0):
    """Two crystals, and n rows of the third as they are, or changed."""
    rng = np.random.default_rng(seed)
    theirs = rng.choice(np.flatnonzero(small.crystal == 2), n, replace=False)
    intensity = small.intensity.copy()
    if change is not None:
        intensity[theirs] = change(intensity[theirs], small.sigma[theirs], rng)
    changed = small.with_intensity(intensity, small.sigma)
    return scaled(changed.select(np.r_[np.flatnonzero(small.crystal < 2), theirs]))


def shuffled(I, sigma, rng):
    return rng.permutation(I)


def noise(I, sigma, rng):
    return sigma * rng.normal(size=len(I))


@pytest.mark.parametrize("n", [40, 100, 600])
def test_ordinary_crystals_have_a_say(small, n):
    assert len(outsiders(scaled(small))) == 0
    for seed in range(5):
        assert len(outsiders(of_part(small, n, seed=seed))) == 0


@pytest.mark.parametrize("n", [1, 3, 10, 30, 100, 600])
def test_crystals_of_no_relation_have_none(small, n):
    for seed in range(5):
        found = outsiders(of_part(small, n, shuffled, seed)).tolist()
        assert found == [2]


def test_noise_within_its_errors_is_no_outsider(small):
    """A weak crystal of some size tells little, and nothing that is wrong."""
    loud = small.with_intensity(
        small.intensity, np.where(small.crystal == 2, 30.0, 1.0) * small.sigma
    )
    own = loud.intensity + np.where(small.crystal == 2, loud.sigma, 0) * (
        np.random.default_rng(3).normal(size=len(small))
    )
    assert len(outsiders(scaled(small.with_intensity(own, loud.sigma)))) == 0


def test_many_small_crystals_have_a_say(small):
    """Where all are small none is negligible, nor are many of them beside a large one."""
    crystal = np.arange(len(small)) % (len(small) // 6)
    split = replace(small, crystal=crystal, dataset=np.zeros(crystal.max() + 1, int))
    assert len(outsiders(split)) < 0.02 * crystal.max()
    half = np.where(small.crystal == 0, 0, 1 + crystal)
    beside = replace(small, crystal=half, dataset=np.zeros(half.max() + 1, int))
    assert len(outsiders(beside)) < 0.02 * half.max()


def test_of_two_halves_neither_is_the_wrong_one(small):
    some = small.select(small.crystal < 2)
    rng = np.random.default_rng(1)
    other = some.crystal == 1
    I = some.intensity.copy()
    I[other] = rng.permutation(I[other])
    assert len(outsiders(scaled(some.with_intensity(I, some.sigma)))) == 0
