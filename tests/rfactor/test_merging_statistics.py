"""Merging statistics against iotbx on the same observations, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cctbx import crystal, miller
from cctbx.array_family import flex
from iotbx import merging_statistics as iotbx_statistics

from dials_spread.observations import build_observations
from dials_spread.rfactor.merging_statistics import (
    mean_i_over_sigma,
    merging_statistics,
    possible_reflections,
    r_merge,
    r_merge_by_group,
    r_pim,
)

NAMES = {
    "n_observations": "n_obs",
    "n_unique": "n_uniq",
    "multiplicity": "mean_redundancy",
    "mean_i_over_sigma": "i_over_sigma_mean",
    "r_merge": "r_merge",
    "r_meas": "r_meas",
    "r_pim": "r_pim",
    "cc_half": "cc_one_half_sigma_tau",
}


def of_iotbx(o, kept):
    """What iotbx makes of some of the observations."""
    symmetry = crystal.symmetry(unit_cell=o.unit_cell, space_group=o.space_group)
    hkl = flex.miller_index([tuple(map(int, h)) for h in o.miller_index[kept]])
    indices = miller.set(symmetry, hkl, anomalous_flag=not o.friedel)
    data = miller.array(
        indices,
        data=flex.double(o.intensity[kept]),
        sigmas=flex.double(o.sigma[kept]),
    ).set_observation_type_xray_intensity()
    return iotbx_statistics.dataset_statistics(
        data,
        n_bins=1,
        anomalous=not o.friedel,
        sigma_filtering=None,
        use_internal_variance=False,
        cc_one_half_method="sigma_tau",
    ).overall


def same(ours, theirs):
    for own, name in NAMES.items():
        assert getattr(ours, own) == pytest.approx(getattr(theirs, name), rel=1e-5), own


@pytest.mark.parametrize("name", ["abiraterone/integrated", "l_cysteine/scaled_20_25"])
def test_all_figures_are_those_of_iotbx_overall_and_by_shell(read_measured, name):
    experiments, tables = read_measured(name)
    o = build_observations([*experiments], tables)
    limits = o.d_spacing.max(), o.d_spacing.min()
    possible = possible_reflections(o.unit_cell, o.space_group, o.friedel, *limits)
    found = merging_statistics(o.intensity, o.sigma, o.unique, o.d_spacing, possible, 6)
    whole = of_iotbx(o, np.ones(len(o), dtype=bool))
    same(found.overall, whole)
    assert found.overall.completeness == pytest.approx(whole.completeness, rel=1e-9)
    assert len(found.by_shell) == 6
    d = o.d_spacing[o.unique]
    for shell in found.by_shell:
        kept = (d < shell.d_max + 1e-7) & (d > shell.d_min - 1e-7)
        same(shell, of_iotbx(o, kept))
    # Every possible reflection belongs to one shell.
    n = [s.n_unique / s.completeness for s in found.by_shell]
    assert sum(n) == pytest.approx(len(possible))


def test_completeness_against_reflections_taken_away():
    """Of a complete set 30 % are lost in one half, in reciprocal volume, none else."""
    symmetry = crystal.symmetry((11, 7, 9, 90, 100, 90), "P 1 21/c 1")
    complete = symmetry.build_miller_set(anomalous_flag=False, d_min=1.0)
    d = complete.d_spacings().data().as_numpy_array()
    possible = possible_reflections(
        symmetry.unit_cell(), symmetry.space_group(), True, d.max(), d.min()
    )
    assert sorted(possible) == pytest.approx(sorted(d))
    rng = np.random.default_rng(3)
    high = d < np.median(d)
    kept = ~high | (rng.random(len(d)) > 0.3)
    ones = np.ones(kept.sum())
    unique = np.arange(kept.sum())
    found = merging_statistics(ones, ones, unique, d[kept], possible, 2)
    assert found.overall.completeness == pytest.approx(kept.mean(), abs=0.002)
    low, outer = (s.completeness for s in found.by_shell)
    assert low > 0.8 and outer < low
    assert np.isnan(found.overall.r_meas) and np.isnan(found.overall.cc_half)
    assert found.overall.multiplicity == 1


def by_hand():
    """Reflections 10, 14 and 4, 4, 7, σ 1 and 2 alternating where told; one alone."""
    unique = np.array([0, 0, 1, 1, 1, 2])
    intensity = np.array([10.0, 14, 4, 4, 7, 1000])
    return intensity, np.ones(6), unique


def test_r_merge_and_r_pim_by_hand():
    expected = (2 + 2) + (1 + 1 + 2)
    assert r_merge(*by_hand()) == pytest.approx(expected / 39)
    expected = (2 + 2) / np.sqrt(1) + (1 + 1 + 2) / np.sqrt(2)
    assert r_pim(*by_hand()) == pytest.approx(expected / 39)


def test_means_are_weighted_by_variances():
    """10 ± 1 and 14 ± 2 have the mean (10 + 14/4)/(5/4) = 10.8, σ √(4/5)."""
    intensity, sigma = np.array([10.0, 14]), np.array([1.0, 2])
    of = (intensity, sigma, np.zeros(2, dtype=int))
    assert r_merge(*of) == pytest.approx((0.8 + 3.2) / 24)
    assert mean_i_over_sigma(*of) == pytest.approx(10.8 / np.sqrt(0.8))


def test_r_merge_of_a_crystal_is_about_the_means_of_all():
    intensity, sigma, unique = by_hand()
    crystal_of = np.array([0, 1, 0, 0, 1, 2])
    found = r_merge_by_group(intensity, sigma, unique, crystal_of, 4)
    assert found[:2] == pytest.approx([(2 + 1 + 1) / 18, (2 + 2) / 21])
    assert np.isnan(found[2:]).all()


def test_scale_and_order_do_not_matter():
    rng = np.random.default_rng(1)
    unique = rng.integers(0, 40, 300)
    _, unique = np.unique(unique, return_inverse=True)
    intensity, sigma = rng.exponential(100, 300), rng.uniform(1, 3, 300)
    d = np.linspace(5, 1, unique.max() + 1)
    first = merging_statistics(intensity, sigma, unique, d, d)
    order = rng.permutation(300)
    second = merging_statistics(
        7 * intensity[order], 7 * sigma[order], unique[order], d, d
    )
    for a, b in zip(first.by_shell, second.by_shell):
        assert a.as_dict() == pytest.approx(b.as_dict(), nan_ok=True)


def test_no_observation_or_no_sigma_is_an_error():
    nothing = np.empty(0)
    with pytest.raises(ValueError, match="0 observations"):
        merging_statistics(nothing, nothing, nothing.astype(int), nothing, nothing)
    intensity, sigma, unique = by_hand()
    with pytest.raises(ValueError, match="1 of them without a positive σ"):
        merging_statistics(
            intensity, sigma - [1, 0, 0, 0, 0, 0], unique, unique, unique
        )


@st.composite
def data_sets(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_unique = draw(st.integers(2, 30))
    n = rng.integers(1, 6, n_unique)
    unique = np.repeat(np.arange(n_unique), n)
    level = rng.exponential(100, n_unique)[unique] + 5
    sigma = np.sqrt(level) * rng.uniform(0.5, 2, len(unique))
    intensity = level + sigma * rng.standard_normal(len(unique))
    return intensity, sigma, unique, rng.uniform(0.8, 5, n_unique), rng


def table_of(statistics):
    """A row a shell, the first for all."""
    rows = [statistics.overall, *statistics.by_shell]
    return np.array([[*row.as_dict().values()] for row in rows], dtype=float)


@settings(max_examples=40, deadline=None)
@given(data_sets(), st.floats(1e-3, 1e3), st.integers(1, 6))
def test_order_numbering_and_unit_do_not_matter(data, unit, n_shells):
    intensity, sigma, unique, d, rng = data
    found = table_of(merging_statistics(intensity, sigma, unique, d, d, n_shells))
    order, new = rng.permutation(len(unique)), rng.permutation(len(d))
    spacings = np.empty_like(d)
    spacings[new] = d
    columns = (unit * intensity[order], unit * sigma[order], new[unique][order])
    again = table_of(merging_statistics(*columns, spacings, d, n_shells))
    np.testing.assert_allclose(again, found, rtol=1e-7, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(data_sets(), st.integers(1, 6))
def test_shells_add_up_and_r_factors_have_their_order(data, n_shells):
    intensity, sigma, unique, d, _ = data
    found = merging_statistics(intensity, sigma, unique, d, d, n_shells)
    for name in ("n_observations", "n_unique", "n_repeated"):
        total = sum(getattr(shell, name) for shell in found.by_shell)
        assert total == getattr(found.overall, name)
    for one in (found.overall, *found.by_shell):
        assert one.completeness == 1
        if one.n_repeated:
            # √(1/(n - 1)) ≤ 1 < √(n/(n - 1)).
            assert one.r_pim <= one.r_merge + 1e-12 < one.r_meas + 2e-12


@settings(max_examples=30, deadline=None)
@given(data_sets())
def test_observations_that_agree_have_r_zero(data):
    """And CC½ is 1 then, of as many reflections as it takes."""
    _, sigma, unique, d, rng = data
    exact = rng.uniform(10, 1000, len(d))[unique]
    found = merging_statistics(exact, sigma, unique, d, d).overall
    if found.n_repeated:
        np.testing.assert_allclose(
            [found.r_merge, found.r_meas, found.r_pim], 0, atol=1e-12
        )
    if found.n_repeated > 1:
        assert found.cc_half == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(2, 20))
def test_r_factors_of_one_multiplicity_differ_by_known_factors(seed, n, n_unique):
    rng = np.random.default_rng(seed)
    unique = rng.permutation(np.repeat(np.arange(n_unique), n))
    intensity, sigma = rng.uniform(10, 100, len(unique)), np.ones(len(unique))
    d = rng.uniform(0.8, 5, n_unique)
    found = merging_statistics(intensity, sigma, unique, d, d).overall
    assert found.multiplicity == n
    assert found.r_pim == pytest.approx(found.r_merge / np.sqrt(n - 1))
    assert found.r_meas == pytest.approx(found.r_merge * np.sqrt(n / (n - 1)))
