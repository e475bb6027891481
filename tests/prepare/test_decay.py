"""Damage that is known is found and taken out; where there is none, nothing changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.prepare.decay import find_scales, with_decay
from dials_spread.prepare.prepared import prepare
from dials_spread.prepare.scaling import fit_scales


def along_the_scan(measured) -> np.ndarray:
    """0 at the first image of each crystal, 1 at its last."""
    when = measured.images.z[measured.entry_image[np.argsort(measured.entry)]]
    found = np.empty(len(when))
    for c in np.unique(measured.crystal):
        own = measured.crystal == c
        found[own] = (when[own] - when[own].min()) / np.ptp(when[own])
    return found


def damaged(measured, rate):
    """What is left where B grows by `rate` of each crystal [Å²]."""
    B = np.asarray(rate, float)[measured.crystal] * along_the_scan(measured)
    return measured.multiplied(np.exp(-B * measured.d_star_sq[measured.unique] / 2))


def scattered(measured, seed, error=0.3):
    """The same with errors as multiple scattering makes them, of 30 %."""
    rng = np.random.default_rng(seed)
    factor = np.exp(error * rng.standard_normal(len(measured)))
    return measured.with_intensity(measured.intensity * factor, measured.sigma)


@pytest.mark.parametrize("rate", [(2.0, 2.0, 2.0), (3.0, 1.5, 2.5)])
def test_known_damage_is_found(small, rate):
    decay = find_scales(damaged(small, rate)).decay
    assert decay.is_taken_out and decay.uncertainty < 0.4
    assert decay.mean == pytest.approx(np.mean(rate), abs=0.2)
    np.testing.assert_allclose(decay.rate, rate, atol=0.3)


def test_of_many_sets_the_stated_errors_hold(small):
    decays = [
        find_scales(damaged(scattered(small, seed), (2.0, 2.5, 1.5))).decay
        for seed in range(20)
    ]
    assert all(d.is_taken_out for d in decays)
    off = [(d.mean - 2) / d.uncertainty for d in decays]
    assert np.max(np.abs(off)) < 2.5 and np.mean(np.abs(off) < 1) >= 0.68
    assert abs(np.mean(off)) < 0.5


def test_undamaged_crystals_are_left_as_they_are(small):
    for seed in range(20):
        own = scattered(small, seed)
        scales = fit_scales(own)
        found = with_decay(own, scales)
        assert not found.decay.is_taken_out and not found.decay.rate.any()
        np.testing.assert_array_equal(found.scale, scales.scale)
        assert abs(found.decay.mean) < 2 * found.decay.uncertainty


@pytest.mark.parametrize("rate", [2.3, 4.0])
def test_one_damaged_crystal_among_others_is_found(small, rate):
    found = find_scales(damaged(small, (0, rate, 0))).decay
    np.testing.assert_allclose(found.rate, (0, rate, 0), atol=0.4)
    np.testing.assert_allclose(found.own, (0, rate, 0), atol=0.5)
    if rate < 3:  # not told by the mean of all
        np.testing.assert_array_equal(found.rate > 0, [False, True, False])
        assert found.mean == pytest.approx(rate, abs=found.uncertainty)


def test_damage_that_crystals_do_not_share_is_told_of_those_that_have_it(small):
    found = find_scales(damaged(small, (0, 8, 2.5))).decay
    np.testing.assert_array_equal(found.rate > 0, [False, True, True])
    np.testing.assert_allclose(found.rate, (0, 8, 2.5), atol=0.5)
    assert found.mean == pytest.approx(5.25, abs=2 * found.uncertainty)


def test_strong_damage_is_found_as_well(small):
    found = find_scales(damaged(small, (12, 9, 15))).decay
    np.testing.assert_allclose(found.rate, (12, 9, 15), rtol=0.1)


def test_a_falloff_that_shrinks_is_no_damage(small):
    found = find_scales(damaged(small, (-3, -3, -3))).decay
    assert found.mean < -2 and not found.is_taken_out


def test_intensities_are_taken_back_to_the_beginning(small):
    whole, own = prepare(small, 1), prepare(damaged(small, (3, 3, 3)), 1)
    kept = whole.merged > 0.2 * np.median(whole.merged)
    x, rest = small.d_star_sq[kept], np.log(own.merged[kept] / whole.merged[kept])
    # Overall scales differ; a B would be left as a slope.
    slope, at_0 = np.polyfit(x, rest, 1)
    assert abs(2 * slope) < 0.2
    assert np.std(rest - at_0) < 0.1
    left = np.polyfit(x, np.log((own.with_damage.merged() / whole.merged)[kept]), 1)[0]
    assert -2 * left == pytest.approx(1.5, abs=0.3)  # half of it
    assert whole.with_damage is whole.scaled


def test_neither_order_nor_junk_matters(small):
    own = damaged(small, (2, 2, 2))
    found = find_scales(own)
    order = np.random.default_rng(1).permutation(len(own))
    again = find_scales(own.select(order))
    np.testing.assert_allclose(again.decay.rate, found.decay.rate, rtol=1e-4)
    np.testing.assert_allclose(again.scale, found.scale[order], rtol=1e-4)
    # A fourth crystal of three rows.
    few = np.flatnonzero(own.crystal == 0)[::400][:3]
    more = own.select(np.concatenate([np.arange(len(own)), few]))
    crystal = more.crystal.copy()
    crystal[-3:] = 3
    more = replace(more, crystal=crystal, dataset=np.append(own.dataset, 0))
    with_few = find_scales(more).decay
    np.testing.assert_allclose(with_few.rate[:3], found.decay.rate, atol=0.02)
    assert with_few.rate[3] == pytest.approx(with_few.mean, abs=0.5)


def test_without_equivalents_or_scans_nothing_is_known(small):
    _, first = np.unique(small.unique, return_index=True)
    assert np.isnan(find_scales(small.select(first)).decay.mean)
    on_one = replace(small, images=replace(small.images, z=0 * small.images.z))
    found = find_scales(on_one).decay
    assert np.isnan(found.mean) and not found.is_taken_out
