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


EXTREMES = {
    "1e9 times": (lambda I, rng: 1e9 * I, lambda I: 0.05 * np.abs(I)),
    "1e-6 times": (lambda I, rng: 1e-6 * I, lambda I: 0.05 * np.abs(I)),
    "negative, σ huge": (lambda I, rng: -1e6 * np.abs(I), lambda I: 1e9 * np.abs(I)),
    "negative, σ tiny": (lambda I, rng: -1e6 * np.abs(I), lambda I: 1e-9 * np.abs(I)),
    "all sizes": (
        lambda I, rng: I.mean() * 10 ** rng.uniform(-6, 9, len(I)),
        lambda I: 1e-3 * np.abs(I),
    ),
    "all sizes, σ huge": (
        lambda I, rng: I.mean() * 10 ** rng.uniform(-6, 9, len(I)),
        lambda I: 1e6 * np.abs(I),
    ),
}


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("n", [1, 3, 10, 30, 100])
def test_extreme_rows_have_no_say_and_others_keep_theirs(small, n, kind):
    """A crystal of rows that are there, with intensities that nothing has."""
    rng = np.random.default_rng(n)
    size, error = EXTREMES[kind]
    theirs = rng.choice(np.flatnonzero(small.crystal == 2), n, replace=False)
    intensity, sigma = small.intensity.copy(), small.sigma.copy()
    intensity[theirs] = rng.permutation(size(intensity[theirs], rng))
    sigma[theirs] = error(intensity[theirs]) + 1e-30
    changed = small.with_intensity(intensity, sigma)
    changed = changed.select(np.r_[np.flatnonzero(small.crystal < 2), theirs])
    assert outsiders(scaled(changed)).tolist() == [2]


def test_among_small_crystals_extreme_rows_have_no_say(small):
    """30 rows are not few beside crystals of 150."""
    crystal = small.crystal.copy()
    for k in range(3):
        own = np.flatnonzero(small.crystal == k)
        crystal[own] = 10 * k + np.arange(len(own)) // 150
    crystal = np.unique(crystal, return_inverse=True)[1].ravel()
    n = crystal.max() + 1
    split = replace(small, crystal=crystal, dataset=np.zeros(n, int))
    assert len(outsiders(scaled(split))) == 0
    own = np.flatnonzero(crystal == 1)[:30]
    other = np.setdiff1d(np.flatnonzero(crystal == 1), own)
    for times, part in ((1e9, 0.05), (1e9, 1e9), (-1e6, 1e9), (1e-6, 1e-9)):
        intensity, sigma = split.intensity.copy(), split.sigma.copy()
        intensity[own] = times * np.random.default_rng(1).permutation(intensity[own])
        sigma[own] = part * np.abs(intensity[own]) + 1e-30
        changed = split.with_intensity(intensity, sigma)
        keep = np.setdiff1d(np.arange(len(split)), other)
        assert outsiders(scaled(changed.select(keep))).tolist() == [1]
