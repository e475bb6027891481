from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dials_spread.statistics.groups import (
    group_correlations,
    group_means,
    group_medians,
    group_numbers,
    group_quantiles,
    group_ranks,
    group_spreads,
    group_sums,
    means_of_others,
    numbered,
    order_of_groups,
    order_within,
)

LEVELS = (0, 0.1, 0.25, 0.5, 0.9, 1)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 9, 60)
    group[group == 4] = 5  # one stays empty
    group[0] = 8
    return rng.normal(size=60), group, rng.uniform(0.1, 2, 60)


def test_every_group_is_as_numpy_has_it(data):
    x, group, weights = data
    quantiles = group_quantiles(x, group, 9, LEVELS)
    sums, means = group_sums(x, group, 9), group_means(x, group, 9, weights)
    spreads = group_spreads(x, group, 9)
    for g in range(9):
        own = x[group == g]
        assert sums[g] == pytest.approx(own.sum())
        if not len(own):
            assert np.isnan(means[g]) and np.isnan(quantiles[:, g]).all()
            continue
        expected = np.average(own, weights=weights[group == g])
        assert means[g] == pytest.approx(expected)
        np.testing.assert_allclose(quantiles[:, g], np.quantile(own, LEVELS))
        if len(own) > 1:
            assert spreads[g] == pytest.approx(own.std(ddof=1))
        else:
            assert np.isnan(spreads[g])


def test_the_mean_of_others_leaves_the_element_out(data):
    x, group, _ = data
    found = means_of_others(x, group, 9)
    for i in range(len(x)):
        others = np.delete(x, i)[np.delete(group, i) == group[i]]
        if len(others):
            assert found[i] == pytest.approx(others.mean())
        else:
            assert np.isnan(found[i])


@pytest.fixture
def one_after_the_other():
    """Random groups of 3 to 30 with values that are partly equal."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(3, 31, 60)
    start = np.concatenate([[0], np.cumsum(sizes)])
    x = np.round(rng.normal(size=start[-1]), 1)
    return start, x, np.round(x + rng.normal(size=len(x)), 1)


def parts(start, *arrays):
    return zip(*(np.split(a, start[1:-1]) for a in arrays))


def test_correlations_are_those_of_scipy(one_after_the_other):
    start, x, y = one_after_the_other
    groups = group_numbers(start), 60
    expected = [stats.pearsonr(*p)[0] for p in parts(start, x, y)]
    np.testing.assert_allclose(group_correlations(x, y, *groups), expected)
    ranked = group_ranks(x, *groups), group_ranks(y, *groups)
    expected = [stats.spearmanr(*p)[0] for p in parts(start, x, y)]
    np.testing.assert_allclose(group_correlations(*ranked, *groups), expected)
    shifted = group_correlations(3 * x - 7, 0.1 * y + 5, *groups)
    np.testing.assert_allclose(shifted, group_correlations(x, y, *groups))


def test_ranks_are_those_of_scipy_in_any_order(one_after_the_other):
    start, x, _ = one_after_the_other
    group = group_numbers(start)
    expected = np.concatenate([stats.rankdata(p) - 1 for (p,) in parts(start, x)])
    np.testing.assert_array_equal(group_ranks(x, group, 60), expected)
    order = np.random.default_rng(1).permutation(len(x))
    found = group_ranks(x[order], group[order] + 2, 62)
    np.testing.assert_array_equal(found, expected[order])


def test_correlation_is_not_defined_for_two_or_where_nothing_varies():
    x = np.array([1.0, 2.0, 5.0, 5.0, 5.0, 1.0, 2.0, 3.0])
    group = np.array([0, 0, 1, 1, 1, 2, 2, 2])
    r = group_correlations(x, np.arange(8.0), group, 3)
    np.testing.assert_array_equal(np.isnan(r), [True, True, False])


def test_medians_are_those_of_numpy_sorted_or_not(one_after_the_other):
    start, x, _ = one_after_the_other
    group = group_numbers(start)
    order = np.random.default_rng(1).permutation(len(x))
    found = group_medians(x[order], group[order] + 1, 62)
    expected = [np.nan, *(np.median(p) for (p,) in parts(start, x)), np.nan]
    np.testing.assert_allclose(found, expected)
    order = np.lexsort((x, group))
    np.testing.assert_array_equal(group_medians(x[order], group + 1, 62), found)


def test_weights_of_medians_are_repetitions(one_after_the_other):
    """A whole number as a weight is as many equal elements; without weight, none."""
    start, x, _ = one_after_the_other
    group = group_numbers(start)
    weights = np.random.default_rng(3).integers(0, 4, len(x))
    weights[group == 7] = 0
    found = group_medians(x, group, 60, weights.astype(float))
    expected = group_medians(np.repeat(x, weights), np.repeat(group, weights), 60)
    np.testing.assert_allclose(found, expected)
    assert np.isnan(found[7]) and np.isfinite(np.delete(found, 7)).all()
    np.testing.assert_allclose(group_medians(x, group, 60, 0.5 * weights), expected)


def test_weighted_median_by_hand():
    x, weights = np.array([3.0, 1.0, 2.0, 9.0]), np.array([2.0, 1.0, 2.0, 0.5])
    # 1, 2, 3, 9 with 1, 2, 2, 0.5: half of 5.5 is passed at 2; of 5 met between 2 and 3.
    assert group_medians(x, np.zeros(4, int), 1, weights)[0] == 2
    weights[[0, 3]] = 3.0, 0.0
    assert group_medians(x, np.zeros(4, int), 1, weights)[0] == 2.5


PROPERTY = settings(max_examples=50, deadline=None)


@st.composite
def grouped(draw):
    """Numbers with equal ones among them, groups of which some are empty, weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_groups = draw(st.integers(0, 40)), draw(st.integers(1, 8))
    # Multiples of 1/4 are exact: sums do not depend on the order.
    x = np.round(4 * rng.normal(0, 3, n)) / 4
    weights = rng.integers(0, 4, n).astype(float)
    return x, rng.integers(0, n_groups, n), n_groups, weights, rng


def of_groups(x, group, n_groups, weights):
    """All numbers of one kind: a column a group."""
    return np.vstack(
        [
            group_sums(x, group, n_groups),
            group_means(x, group, n_groups, weights),
            group_spreads(x, group, n_groups),
            group_medians(x, group, n_groups),
            group_medians(x, group, n_groups, weights),
            group_quantiles(x, group, n_groups, LEVELS),
        ]
    )


@PROPERTY
@given(grouped())
def test_the_order_of_elements_and_the_names_of_groups_do_not_matter(data):
    x, group, n_groups, weights, rng = data
    found = of_groups(x, group, n_groups, weights)
    order = rng.permutation(len(x))
    mixed = of_groups(x[order], group[order], n_groups, weights[order])
    np.testing.assert_allclose(mixed, found, rtol=1e-12, atol=1e-12)
    new = rng.permutation(n_groups)
    renamed = of_groups(x, new[group], n_groups, weights)
    np.testing.assert_allclose(renamed[:, new], found, rtol=1e-12, atol=1e-12)
    ranks = group_ranks(x, group, n_groups)
    np.testing.assert_array_equal(
        group_ranks(x[order], group[order], n_groups), ranks[order]
    )


@PROPERTY
@given(grouped())
def test_every_group_by_numpy_whatever_it_holds(data):
    x, group, n_groups, weights, _ = data
    found = of_groups(x, group, n_groups, weights)
    for g in range(n_groups):
        own, w = x[group == g], weights[group == g].astype(int)
        with_weights = np.repeat(own, w)
        expected = [
            own.sum(),
            with_weights.mean() if len(with_weights) else np.nan,
            own.std(ddof=1) if len(own) > 1 else np.nan,
            np.median(own) if len(own) else np.nan,
            np.median(with_weights) if len(with_weights) else np.nan,
            *(np.quantile(own, LEVELS) if len(own) else [np.nan] * len(LEVELS)),
        ]
        np.testing.assert_allclose(found[:, g], expected, rtol=1e-12, atol=1e-12)


@PROPERTY
@given(grouped(), st.sampled_from([-3.0, -0.5, 0.25, 8.0]), st.integers(-5, 5))
def test_medians_and_correlations_follow_another_unit(data, factor, shift):
    """Turned upside down, the upper of two in the middle is the lower one."""
    x, group, n_groups, weights, rng = data
    for w in (None, weights):
        np.testing.assert_allclose(
            group_medians(factor * x + shift, group, n_groups, w),
            factor * group_medians(x, group, n_groups, w) + shift,
        )
    y = x + np.round(4 * rng.normal(0, 3, len(x))) / 4
    np.testing.assert_allclose(
        group_correlations(factor * x + shift, y, group, n_groups),
        np.sign(factor) * group_correlations(x, y, group, n_groups),
        atol=1e-9,
    )


def test_groups_are_counted_and_sorted_as_numpy_does():
    rng = np.random.default_rng(5)
    group, x = rng.integers(0, 40, 500), rng.integers(0, 9, 500).astype(float)
    by_group = np.argsort(group, kind="stable")
    np.testing.assert_array_equal(order_of_groups(group), by_group)
    np.testing.assert_array_equal(order_within(x, group), np.lexsort((x, group)))
    for found, expected in zip(
        numbered(7 * group, 300), np.unique(7 * group, return_inverse=True)
    ):
        np.testing.assert_array_equal(found, expected)
    assert len(order_of_groups(group[:0])) == 0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, -2.5, 7.0, np.nan])),
        max_size=40,
    ),
    st.permutations([0.0, 0.2, 0.5, 0.9, 1.0]),
)
def test_quantiles_of_equal_and_of_unknown_numbers(elements, levels):
    """Against numpy's of each group sorted, where what is unknown comes last."""
    group = np.array([g for g, _ in elements], dtype=int)
    x = np.array([value for _, value in elements], dtype=float)
    found = group_quantiles(x, group, 5, levels)
    for g in range(5):
        own = np.sort(x[group == g])
        for row, level in enumerate(levels):
            place = level * (len(own) - 1)
            low = int(place)
            ends = own[[low, min(low + 1, len(own) - 1)]] if len(own) else [np.nan] * 2
            expected = ends[0] + (place - low) * (ends[1] - ends[0])
            np.testing.assert_equal(found[row, g], expected)
