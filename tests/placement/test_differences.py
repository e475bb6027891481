"""R1 with scale and B, and resampling, against direct computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from dials_spread.placement.common_set import ResamplingGroups
from dials_spread.placement.differences import (
    GroupSums,
    differences,
    resampled_r1,
)
from dials_spread.rfactor.scaled_r1 import r1_by_shell, scaled_r1


@pytest.fixture
def amplitudes():
    rng = np.random.default_rng(1)
    f_c = rng.rayleigh(size=400) + 0.05
    d_star_sq = rng.uniform(0.01, 1.2, 400)
    f_o = f_c * np.exp(0.1 * rng.normal(size=400))
    return f_o, f_c, d_star_sq


def direct(f_o, f_c, s_sq, x):
    scaled = x[0] * f_o * np.exp(-0.25 * x[1] * s_sq)
    return np.abs(scaled - f_c).sum() / f_c.sum()


@pytest.mark.parametrize("k, B", [(1.0, 0.0), (3.0, 1.7), (0.02, -4.3)])
def test_scale_and_B_are_found(amplitudes, k, B):
    _, f_c, s_sq = amplitudes
    found = scaled_r1(f_c / k * np.exp(0.25 * B * s_sq), f_c, s_sq)
    assert found.r1 < 2e-3
    assert found.B == pytest.approx(B, abs=0.02)
    assert found.scale == pytest.approx(k, rel=0.01)
    assert found.n == 400


def test_no_other_scale_or_B_is_better(amplitudes):
    f_o, f_c, s_sq = amplitudes
    f_o = f_o * 5 * np.exp(0.3 * s_sq)
    found = scaled_r1(f_o, f_c, s_sq)
    other = optimize.minimize(
        lambda x: direct(f_o, f_c, s_sq, x), (0.2, 1.0), method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 5000},
    )  # fmt: skip
    assert found.r1 <= other.fun + 1e-4
    assert found.r1 == pytest.approx(
        direct(f_o, f_c, s_sq, (found.scale, found.B)), abs=1e-12
    )


@settings(deadline=None, max_examples=25)
@given(st.floats(1e-3, 1e3), st.integers(0, 100))
def test_units_and_order_change_nothing(factor, seed):
    rng = np.random.default_rng(seed)
    f_c, s_sq = rng.rayleigh(size=60) + 0.01, rng.uniform(0.1, 1, 60)
    f_o = f_c * np.exp(0.2 * rng.normal(size=60))
    f_o[:5] = np.nan
    order = rng.permutation(60)
    found = scaled_r1(f_o, f_c, s_sq)
    again = scaled_r1(factor * f_o[order], f_c[order], s_sq[order])
    assert found.n == again.n == 55
    assert again.r1 == pytest.approx(found.r1, rel=1e-9)
    assert again.scale * factor == pytest.approx(found.scale, rel=1e-9)


def test_shells_add_up(amplitudes):
    f_o, f_c, s_sq = amplitudes
    found = scaled_r1(f_o, f_c, s_sq)
    shells = r1_by_shell(f_o, f_c, s_sq, found)
    limits = [1 / np.sqrt(s_sq)]
    assert sum(row["n"] for row in shells) == 400
    assert shells[0]["d_max"] == pytest.approx(limits[0].max())
    total = 0.0
    for row in shells:
        d = 1 / np.sqrt(s_sq)
        own = (d <= row["d_max"] * (1 + 1e-6)) & (d >= row["d_min"] * (1 - 1e-6))
        total += row["r1"] * f_c[own].sum()
    assert total / f_c.sum() == pytest.approx(found.r1, abs=1e-9)


def test_too_few_reflections():
    found = scaled_r1(np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([0.1, 0.2]))
    assert np.isnan(found.r1) and found.n == 2


def sums_of(intensity, sigma, unique, group, n_groups, u):
    weight = 1 / sigma**2
    place = group * u + unique
    return GroupSums(
        np.bincount(place, weight * intensity, n_groups * u).reshape(n_groups, u),
        np.bincount(place, weight, n_groups * u).reshape(n_groups, u),
    )


def test_a_draw_is_the_data_merged_with_crystals_repeated():
    rng = np.random.default_rng(3)
    n, u, groups = 500, 40, 5
    unique, group = rng.integers(0, u, n), rng.integers(0, groups, n)
    intensity, sigma = rng.gamma(2.0, 10.0, n), rng.uniform(0.5, 2.0, n)
    sums = sums_of(intensity, sigma, unique, group, groups, u)
    repeats = np.array([0, 1, 2, 1, 3])
    found = sums.merged(repeats[None].astype(float))[0]
    taken = np.repeat(np.arange(n), repeats[group])
    for h in range(u):
        own = taken[unique[taken] == h]
        w = 1 / sigma[own] ** 2
        expected = np.sum(w * intensity[own]) / np.sum(w) if len(own) else np.nan
        np.testing.assert_allclose(found[h], expected)


def test_intervals_hold_the_truth():
    """Crystals with errors of their own: 95 % intervals of a difference of R1."""
    held = total = 0
    u, groups = 150, 6
    truth = np.random.default_rng(99)
    F = truth.rayleigh(size=u) + 0.1
    s_sq = truth.uniform(0.05, 1.0, u)
    # In both data sets each crystal departs from a mean that is itself wrong.
    off = {k: 0.1 * truth.normal(size=u) * size for k, size in (("a", 1), ("b", 2))}
    # What many experiments of six crystals give on average.
    many = []
    for k in range(20):
        more = np.random.default_rng([7, k])
        r = {}
        for name, error in off.items():
            mean = F**2 * np.exp(2 * error)
            own = mean * np.exp(0.3 * more.normal(size=(groups, u)))
            r[name] = scaled_r1(np.sqrt(own.mean(axis=0)), F, s_sq).r1
        many.append(r["b"] - r["a"])
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drawn_sums = {}
        for name, error in off.items():
            mean = F**2 * np.exp(2 * error)
            own = mean * np.exp(0.3 * rng.normal(size=(groups, u)))
            unique = np.tile(np.arange(u), groups)
            group = np.repeat(np.arange(groups), u)
            sigma = np.full(groups * u, 1.0)
            drawn_sums[name] = sums_of(own.ravel(), sigma, unique, group, groups, u)
        weights = ResamplingGroups("crystals", groups, {}).draws(rng, 150)
        drawn = resampled_r1(drawn_sums, weights, F, s_sq, np.ones(u, bool))
        (found,) = differences(drawn, groups)
        value = np.mean(many) * (1 if found.better == "a" else -1)
        held += found.low <= value <= found.high
        total += 1
    assert held / total > 0.87


def test_a_difference_is_signed():
    drawn = {"x": np.r_[0.3, 0.29, 0.31, 0.30], "y": np.r_[0.2, 0.21, 0.19, 0.2]}
    (found,) = differences(drawn, 4)
    assert (found.better, found.worse) == ("y", "x")
    assert found.value == pytest.approx(0.1)
    assert found.low < 0.1 < found.high
    (unknown,) = differences(drawn, 2)
    assert np.isnan(unknown.low) and not unknown.certain
