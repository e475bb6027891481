"""Repeats on one crystal at one orientation, by hand-made variograms."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.spread.variogram.angle_bins import Binned
from dials_spread.spread.variogram.curves import VariogramCurves, correlation
from dials_spread.spread.variogram.pair_table import EDGES, N_BINS
from dials_spread.spread.variogram.repeats import repeats_at_zero

ANGLE = 0.5 * (EDGES[:-1] + EDGES[1:])
FOLDED = np.minimum(ANGLE, 180 - ANGLE)
ONES = np.ones(N_BINS)
SHAPE = "2^(-u^1.25)"
CRYSTALS = np.full(N_BINS, 40)
NOISE = 0.01


def curves(at_zero=0.05, growth=0.2, draws=301):
    ones = np.ones(draws)
    return VariogramCurves((at_zero + growth) * ones, growth * ones, 0.5 * ones, SHAPE)


def within(at_zero=0.02, growth=0.2, error=0.002, pairs=400 * ONES, dyads=40 * ONES):
    """γ that grows as between crystals, with errors common to all bins."""
    gamma = at_zero + growth * (1 - correlation(SHAPE, FOLDED / 0.5))
    shift = error * np.random.default_rng(0).standard_normal((301, 1))
    shift[0] = 0
    return Binned(ONES, gamma + shift, ANGLE, pairs, dyads)


def test_what_repeats_differ_by_is_found():
    """With the growth that bins have at their angles taken off."""
    found = repeats_at_zero(within(), CRYSTALS, curves(), True, 40, NOISE)
    assert found.reason == ""
    assert found.at_zero[0] == pytest.approx(0.02)
    assert np.std(found.at_zero[1:]) == pytest.approx(0.002, rel=0.15)
    assert found.pairs > 20 and found.crystals == 40


@pytest.mark.parametrize("faster", [0.5, 2.0, 3.0])
def test_repeats_have_a_growth_of_their_own(faster):
    """Repeats are other reflections than those that two crystals have in common."""
    data = within(growth=0.2 * faster)
    found = repeats_at_zero(data, CRYSTALS, curves(), True, 40, NOISE)
    assert found.at_zero[0] == pytest.approx(0.02, rel=0.03)


def test_one_bin_takes_the_growth_of_two_crystals():
    one = np.where(np.arange(N_BINS) == 3, 400, 0)
    found = repeats_at_zero(within(pairs=one), CRYSTALS, curves(), True, 40, NOISE)
    assert found.at_zero[0] == pytest.approx(0.02)


def test_bins_of_few_crystals_do_not_rule():
    """Mates that happen to lie on the scan of one crystal, wild by one reflection."""
    data = within(dyads=np.where(ANGLE < 90, 1.5, 40))
    wild = np.where(ANGLE < 90, 2.0, 0.0)
    data = data._replace(gamma=data.gamma + wild)
    found = repeats_at_zero(data, CRYSTALS, curves(), True, 40, NOISE)
    assert found.at_zero[0] == pytest.approx(0.02)


def test_beams_from_the_other_side_count_where_they_are_alike():
    data = within(pairs=np.where(ANGLE < 90, 0, 400))
    assert repeats_at_zero(data, CRYSTALS, curves(), True, 40, NOISE).reason == ""
    told = repeats_at_zero(data, CRYSTALS, curves(), False, 40, NOISE).reason
    assert told.startswith("too few reflections were observed again on one crystal")


def test_what_is_not_known_divides_nothing():
    vague = repeats_at_zero(within(error=0.03), CRYSTALS, curves(), True, 40, NOISE)
    assert np.isnan(vague.at_zero).all()
    assert "too few or too uncertain: they differ by γ = 0.02 ± 0.03" in vague.reason
    alone = within()._replace(gamma=within().gamma[:1])
    told = repeats_at_zero(alone, CRYSTALS, curves(draws=1), True, 1, NOISE).reason
    assert "is not known" in told
