"""R1 and its scale: against brute force, by hand, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from dials_spread.rfactor import r1
from dials_spread.rfactor.r1 import amplitudes, r_factor, r_factors
from dials_spread.rfactor.shells import resolution_shells, shuffled_within


@pytest.fixture
def groups():
    """Amplitudes of 40 groups of 1 to 60, some of them zero or without F_c."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 61, 40)
    group = rng.permutation(np.repeat(np.arange(40), sizes))
    f_c = rng.gamma(1.5, 10.0, len(group))
    noise = np.exp(0.3 * rng.normal(size=len(group)))
    intensity = (f_c * noise / (1 + group)) ** 2 - 0.02
    f_c[rng.random(len(group)) < 0.05] = np.nan
    return intensity, np.full(len(group), 0.5), f_c, group


def misfit(k, f_o, f_c):
    return np.sum(np.abs(k * f_o - f_c)) / np.sum(f_c)


def test_by_hand():
    # Ratios F_c / F_o are 1, 2 and 3 with weights 1, 2 and 2: half of 5 is reached at 2.
    f_o, f_c = np.array([1.0, 2.0, 2.0]), np.array([1.0, 4.0, 6.0])
    value, scale, n = r1.r_factor(f_o, f_c)
    assert (scale, n) == (2.0, 3)
    assert value == pytest.approx((1 + 0 + 2) / 11)


def test_no_other_scale_is_better(groups):
    intensity, sigma, f_c, group = groups
    found = r1.r_factors(intensity, sigma, f_c, group, 40)
    f_o = r1.amplitudes(intensity)
    for g in range(40):
        own = (group == g) & np.isfinite(f_c)
        # The sum has its corners at the ratios, and a corner is the minimum.
        with np.errstate(divide="ignore"):
            corners = f_c[own] / f_o[own]
        trials = corners[np.isfinite(corners)]
        least = min(misfit(k, f_o[own], f_c[own]) for k in trials)
        assert found.r1[g] == pytest.approx(least, abs=1e-12)
        assert found.n[g] == own.sum()
        searched = optimize.minimize_scalar(
            misfit, (0.5 * trials.min(), trials.max()), args=(f_o[own], f_c[own])
        )
        assert found.r1[g] <= searched.fun + 1e-9


def test_the_scale_of_least_squares_is_worse(groups):
    intensity, sigma, f_c, group = groups
    f_o = r1.amplitudes(intensity)
    own = (group == 0) & np.isfinite(f_c)
    k = np.sum(f_o[own] * f_c[own]) / np.sum(f_o[own] ** 2)
    least = r1.r_factor(f_o[own], f_c[own])[0]
    assert misfit(k, f_o[own], f_c[own]) > least


def test_scale_and_order_do_not_matter(groups):
    intensity, sigma, f_c, group = groups
    found = r1.r_factors(intensity, sigma, f_c, group, 40)
    order = np.random.default_rng(1).permutation(len(group))
    changed = r1.r_factors(
        9 * intensity[order], 9 * sigma[order], 2 * f_c[order], group[order], 40
    )
    np.testing.assert_allclose(changed.r1, found.r1)
    np.testing.assert_allclose(changed.scale, found.scale * 2 / 3)
    np.testing.assert_allclose(changed.r1_strong, found.r1_strong)
    np.testing.assert_array_equal(changed.n_strong, found.n_strong)


def test_strong_reflections_are_those_above_two_sigma():
    intensity = np.array([9.0, 16.0, 1.9, -4.0])
    f_c = np.array([3.0, 4.0, 10.0, 1.0])
    found = r1.r_factors(intensity, np.ones(4), f_c, np.zeros(4, dtype=int), 1)
    assert found.n[0] == 4 and found.n_strong[0] == 2
    assert found.r1_strong[0] == pytest.approx(0, abs=1e-15)
    assert found.r1[0] > 0.3


def test_nothing_to_compare():
    found = r1.r_factors(
        np.array([-1.0, 2.0, 3.0]),
        np.ones(3),
        np.array([5.0, np.nan, 0.0]),
        np.array([0, 1, 2]),
        4,
    )
    # All F_o are zero: nothing of F_c is explained.
    assert found.r1[0] == 1 and np.isnan(found.scale[0])
    assert np.isnan(found.r1[1:]).all()
    assert found.n.tolist() == [1, 0, 1, 0]
    assert found.as_dict()["r1"] == [1.0, None, None, None]


def test_shells_are_even_and_keep_one_spacing_together():
    rng = np.random.default_rng(2)
    d = np.repeat(rng.uniform(0.7, 8.0, 500), 2)
    order = rng.permutation(len(d))
    shells = resolution_shells(d[order], 10)
    count = np.bincount(shells.shell)
    assert len(shells) == 10 and count.min() >= 96 and count.max() <= 104
    assert (np.diff(shells.d_max) < 0).all() and (shells.d_min <= shells.d_max).all()
    for number in range(10):
        inside = d[order][shells.shell == number]
        assert inside.max() == pytest.approx(shells.d_max[number])
        assert inside.min() == pytest.approx(shells.d_min[number])
    assert len(resolution_shells(np.full(7, 2.0), 10)) == 1
    assert len(resolution_shells(np.empty(0), 10)) == 0


def test_shuffling_keeps_the_values_of_each_shell():
    rng = np.random.default_rng(4)
    shell, values = rng.integers(0, 5, 1000), rng.normal(size=1000)
    drawn = shuffled_within(values, shell, rng)
    for s in range(5):
        own = shell == s
        np.testing.assert_array_equal(np.sort(drawn[own]), np.sort(values[own]))
        assert abs(np.corrcoef(drawn[own], values[own])[0, 1]) < 0.25
    assert (drawn != values).mean() > 0.9


PROPERTY = settings(max_examples=60, deadline=None)


@st.composite
def intensities(draw):
    """Intensities, some negative, σ, amplitudes of which some are not known, groups."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_groups = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    f_c = rng.rayleigh(3, n)
    sigma = rng.uniform(0.2, 3, n)
    intensity = f_c**2 * rng.normal(1, 0.4, n) + sigma * rng.standard_normal(n)
    f_c[rng.random(n) < 0.1] = np.nan
    return intensity, sigma, f_c, rng.integers(0, n_groups, n), n_groups, rng


def numbers(found):
    return np.stack([found.r1, found.n, found.r1_strong, found.n_strong, found.scale])


@PROPERTY
@given(intensities(), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_r1_depends_on_neither_order_nor_scales(data, unit, other):
    intensity, sigma, f_c, group, n_groups, rng = data
    found = numbers(r_factors(intensity, sigma, f_c, group, n_groups))
    order, new = rng.permutation(len(group)), rng.permutation(n_groups)
    columns = (column[order] for column in (intensity, sigma, f_c, new[group]))
    mixed = numbers(r_factors(*columns, n_groups))[:, new]
    np.testing.assert_allclose(mixed, found, rtol=1e-9, atol=1e-12)
    scaled = numbers(
        r_factors(unit * intensity, unit * sigma, other * f_c, group, n_groups)
    )
    np.testing.assert_allclose(scaled[:4], found[:4], rtol=1e-9, atol=1e-12)
    expected = found[4] * other / np.sqrt(unit)
    np.testing.assert_allclose(scaled[4], expected, rtol=1e-9)


@PROPERTY
@given(intensities(), st.floats(0.2, 5))
def test_no_other_scale_gives_a_smaller_r1(data, factor):
    intensity, _, f_c, *_ = data
    f_o = amplitudes(intensity)
    r1, scale, n = r_factor(f_o, f_c)
    kept = np.isfinite(f_c)
    assert n == kept.sum()
    if n and np.isfinite(scale):
        other = np.abs(factor * scale * f_o[kept] - f_c[kept]).sum()
        assert r1 <= other / f_c[kept].sum() + 1e-9
        assert r1 <= 1 + 1e-9
