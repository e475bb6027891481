"""Scales between two images: against trying all, by hand, and with a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from dials_spread.pairs.scales import (
    image_scales,
    left_by_median,
    likely_scales,
)


def r_factor(a, b, k):
    return np.abs(a - k * b).sum() / (0.5 * (a + k * b).sum())


def one_group(a, b):
    return float(image_scales(a, b, np.array([0, len(a)]), nproc=1)[0])


def likely(a, var_a, b, var_b):
    return float(likely_scales(a, var_a, b, var_b, np.array([0, len(a)]), nproc=1)[0])


def images(seed, n, noise, wild=0):
    """Two images, b three times as bright, with errors and wild spots."""
    rng = np.random.default_rng(seed)
    mu = rng.exponential(100, n)
    a = mu * (1 + 0.2 * rng.normal(size=n)) + noise * rng.normal(size=n)
    b = 3 * mu * (1 + 0.2 * rng.normal(size=n)) + noise * rng.normal(size=n)
    b[:wild] *= 30
    return a, b


@pytest.mark.parametrize("n", [1, 2, 5, 40])
@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_no_scale_gives_a_lower_r(n, noise):
    """Against a fine grid, and against every ratio."""
    for seed in range(20):
        a, b = images(seed, n, noise)
        k = one_group(a, b)
        if a.sum() <= 0 or b.sum() <= 0:
            assert np.isnan(k)
            continue
        tried = np.concatenate([np.geomspace(1e-3, 1e3, 2001), a / b])
        tried = tried[(tried > 0) & (a.sum() + tried * b.sum() > 0)]
        least = min(r_factor(a, b, x) for x in tried)
        assert r_factor(a, b, k) <= least * (1 + 1e-9) + 1e-12


def test_scales_of_two_groups_by_hand():
    a = np.array([20.0, 30.0, 90.0, 0.0, 10.0, 30.0])
    b = np.array([10.0, 10.0, 30.0, 5.0, 1.0, 3.0])
    k = image_scales(a, b, np.array([0, 4, 6]))
    # Of 2, 3 and 3: at 3 only the first (10) and the last (15) disagree.
    np.testing.assert_allclose(k, [3.0, 10.0])
    assert r_factor(a[:4], b[:4], 3.0) == pytest.approx(25 / 152.5)
    assert np.isnan(image_scales(-a[:3], b[:3], np.array([0, 3]))[0])
    assert len(image_scales(a[:0], b[:0], np.array([0]))) == 0


POSITIVE = st.floats(0.1, 1e4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=20), st.randoms())
def test_exchanged_images_have_the_inverse_scale_in_any_order_and_unit(pairs, random):
    a, b = np.array(pairs).T
    k = one_group(a, b)
    assert one_group(b, a) == pytest.approx(1 / k, rel=1e-9)
    assert one_group(1000 * a, 1000 * b) == pytest.approx(k, rel=1e-9)
    order = random.sample(range(len(a)), len(a))
    assert one_group(a[order], b[order]) == pytest.approx(k, rel=1e-9)
    v, w = 0.1 * a + 1, 0.2 * b + 2
    k = likely(a, v, b, w)
    assert likely(b, w, a, v) == pytest.approx(1 / k, rel=1e-7)
    assert likely(1e3 * a, 1e6 * v, 1e3 * b, 1e6 * w) == pytest.approx(k, rel=1e-7)


def test_the_likely_scale_solves_its_equation():
    """Found by scipy's root finder, written out once more."""
    for seed in range(10):
        a, b = images(seed, 12, 5.0)
        var = np.full(12, 25.0)

        def imbalance(log_k, a=a, b=b, var=var):
            kb = np.exp(log_k) * b
            mu = np.maximum(0.5 * (a + kb), 0)
            known = var * (1 + np.exp(2 * log_k))
            return np.sum(mu * (a - kb) / (known + 2 * 0.15**2 * mu**2))

        k = likely(a, var, b, var)
        root = optimize.brentq(imbalance, np.log(k) - 0.3, np.log(k) + 0.3)
        assert np.log(k) == pytest.approx(root, abs=1e-6)


def test_the_likely_scale_is_nearer_the_truth_and_wild_spots_hardly_move_it():
    """The scale of least R is ruled by the strongest spots; both stay at the truth."""
    errors = {"r": [], "likely": [], "wild": []}
    for seed in range(150):
        a, b = images(seed, 12, 5.0)
        var = np.full(12, 25.0)
        errors["r"].append(np.log(3 * one_group(a, b)))
        errors["likely"].append(np.log(3 * likely(a, var, b, var)))
        a, b = images(seed, 12, 5.0, wild=1)
        errors["wild"].append(np.log(3 * likely(a, var, b, var)))
    sd = {name: np.std(x) for name, x in errors.items()}
    # Of 12 relative differences of 0.28 at best: 0.08.
    assert sd["likely"] < 0.12 < sd["r"]
    assert abs(np.mean(errors["likely"])) < 0.03
    assert abs(np.mean(errors["wild"])) < 0.35


@pytest.mark.parametrize("n", [5, 8, 13, 40])
def test_a_median_takes_its_part_of_the_variance(n):
    drawn = np.random.default_rng(n).standard_normal((200_000, n))
    from_median = drawn - np.median(drawn, axis=1, keepdims=True)
    left = np.mean(from_median**2) / np.mean(drawn**2)
    assert left_by_median(np.array([n]))[0] == pytest.approx(left, abs=0.03 / n)
