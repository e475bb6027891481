"""Gross outliers of integrated data: of sets where it is known which observations are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.prepare.gross import FEWEST, gross_outliers, out_of_range
from dials_spread.prepare.normalisation import normalise
from dials_spread.prepare.scaling import fit_scales


@pytest.fixture(scope="module")
def scaled(small):
    return small.divided(fit_scales(small).scale)


def planted(scaled, times, part=0.01, seed=1):
    """Some observations of reflections that can be judged and are strong, multiplied."""
    rng = np.random.default_rng(seed)
    mean = scaled.merged()
    N = normalise(mean, scaled.d_star_sq, scaled.epsilon).N
    n = np.bincount(scaled.unique)
    candidates = np.flatnonzero(((mean > N) & (n >= FEWEST))[scaled.unique])
    # One of a reflection: of two of three nobody would know.
    first = np.unique(scaled.unique[rng.permutation(candidates)], return_index=True)[1]
    candidates = np.sort(rng.permutation(candidates)[first])
    hit = np.zeros(len(scaled), dtype=bool)
    k = min(int(part * len(scaled)), len(candidates))
    chosen = rng.choice(candidates, k, replace=False)
    chosen = chosen[np.unique(scaled.unique[chosen], return_index=True)[1]]
    hit[chosen] = True
    factor = np.where(hit, times, 1.0)
    sigma = scaled.sigma * np.sqrt(np.maximum(factor, 1.0))
    return scaled.with_intensity(scaled.intensity * factor, sigma), hit


def test_ordinary_data_have_none(scaled):
    assert not gross_outliers(scaled)[0].any()


@pytest.mark.parametrize("times", [20.0, 0.02, 0.0, -1.0, 1e6])
def test_what_was_multiplied_is_found_and_nothing_else(scaled, times):
    changed, hit = planted(scaled, times)
    found, middle = gross_outliers(changed)
    assert hit.sum() > 10
    assert found[hit].mean() > 0.9
    assert not found[~hit].any()
    # One of three or more does not move the middle far.
    ratio = middle[hit] / gross_outliers(scaled)[1][hit]
    assert np.median(np.abs(ratio - 1)) < 0.2


def test_of_two_that_differ_none_is_called_gross(scaled):
    n = np.bincount(scaled.unique)
    pairs = scaled.select((n == 2)[scaled.unique])
    others = scaled.select((n > 2)[scaled.unique])
    assert len(pairs) > 20 and len(others) > 100
    first = np.unique(scaled.unique, return_index=True)[1]
    hit = np.zeros(len(scaled), dtype=bool)
    hit[first[n == 2]] = True
    wild = scaled.with_intensity(
        scaled.intensity * np.where(hit, 50.0, 1.0), scaled.sigma
    )
    found = gross_outliers(wild)[0]
    assert not found[(n == 2)[wild.unique]].any()


def test_what_is_as_uncertain_as_it_is_far_off_is_not_gross(scaled):
    changed, hit = planted(scaled, 20.0)
    vague = np.where(hit, np.abs(changed.intensity), changed.sigma)
    assert not gross_outliers(changed.with_intensity(changed.intensity, vague))[0].any()


def test_equivalents_that_differ_much_in_all_data_make_nothing_gross(scaled):
    """Spread of the data is counted as error: here intensities differ as at random."""
    rng = np.random.default_rng(3)
    spread = scaled.with_intensity(
        scaled.intensity * rng.exponential(size=len(scaled)), scaled.sigma
    )
    far = out_of_range(
        spread.intensity, spread.merged()[spread.unique], np.zeros(len(spread))
    )
    assert far.mean() > 0.01
    assert gross_outliers(spread)[0].mean() < 0.001


def test_a_reflection_whose_own_equivalents_differ_keeps_them(scaled):
    """Seven of a set that agrees well, and of them half far off: who is right?"""
    n = np.bincount(scaled.unique)
    often = np.argmax(n)
    own = np.flatnonzero(scaled.unique == often)
    assert len(own) >= 5
    factor = np.ones(len(scaled))
    factor[own[: len(own) // 2]] = 30.0
    wild = scaled.with_intensity(scaled.intensity * factor, scaled.sigma)
    assert not gross_outliers(wild)[0][own].any()


def test_one_listing_of_a_crossing_is_told_from_the_others(scaled):
    """Overlapping virtual frames list a crossing several times: each crossing counts once."""
    rows = np.repeat(np.arange(len(scaled)), 5)
    often = scaled.select(rows)
    assert often.n_passages == scaled.n_passages
    assert not gross_outliers(often)[0].any()
    mean = often.merged()
    N = normalise(mean, often.d_star_sq, often.epsilon).N
    strong = np.flatnonzero((mean > N)[often.unique])[::501]
    factor = np.ones(len(often))
    factor[strong] = 20.0
    wild = often.with_intensity(often.intensity * factor, often.sigma)
    found = gross_outliers(wild)[0]
    assert found[strong].mean() > 0.9 and found.sum() == found[strong].sum()


def test_too_little_that_was_measured_twice_tells_nothing(scaled):
    few = scaled.select(scaled.unique < 10)
    wild = few.with_intensity(
        few.intensity * np.where(np.arange(len(few)) == 3, 100.0, 1.0), few.sigma
    )
    if np.bincount(few.unique)[few.unique].size < 60:
        assert not gross_outliers(wild)[0].any()
    nothing = few.with_intensity(-np.abs(few.intensity), few.sigma)
    assert not gross_outliers(nothing)[0].any()
    assert (gross_outliers(nothing)[1] == 0).all()


def test_the_order_of_rows_does_not_matter(scaled):
    changed, _ = planted(scaled, 20.0)
    order = np.random.default_rng(5).permutation(len(changed))
    turned = replace(changed.select(order))
    found = gross_outliers(changed)[0]
    assert found.any() and np.array_equal(gross_outliers(turned)[0], found[order])


@pytest.mark.parametrize("times, are_left_out", [(5.5, False), (1e4, True)])
def test_a_few_overlaps_count_and_a_hot_pixel_does_not(
    scaled, times, are_left_out, monkeypatch
):
    """The model has learnt from data with some: R_meas tells whether they matter."""
    changed, hit = planted(scaled, times, part=1.5 / len(scaled))
    assert hit.sum() == 1
    assert (gross_outliers(changed)[0] == (hit & are_left_out)).all()
    monkeypatch.setattr("dials_spread.prepare.gross.FEW", 1.1)
    assert (gross_outliers(changed)[0] == hit).all()
    monkeypatch.undo()
    shadow, hit = planted(scaled, 0.02, part=1.5 / len(scaled))
    assert (gross_outliers(shadow)[0] == hit).all()
