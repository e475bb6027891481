"""Scores of amplitudes whose errors are known beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.correction.validate.learning import mean_r1, merge_rows
from dials_spread.correction.validate.scores import (
    law_amplitudes,
    plain_amplitudes,
    score,
)
from dials_spread.rfactor.merging import r_meas

METHODS = ("model", "law")


@pytest.fixture
def everything(two_compounds):
    return np.ones(len(two_compounds.table), dtype=bool)


def test_the_truth_scores_nothing_at_all(two_compounds, everything):
    data = two_compounds
    F = data.f_calc * np.where(data.compound_of == 0, 3.0, 0.2)
    found = score(data, "reflection", "model", F, everything)
    assert found.r1 == pytest.approx(0, abs=1e-12)
    assert found.cc == pytest.approx(1)
    assert found.n == np.isfinite(data.f_calc).sum() and len(found.compounds) == 2


def test_by_hand_on_each_compound(two_compounds, everything):
    data = two_compounds
    plain = plain_amplitudes(data, everything)
    found = score(data, "reflection", "none", plain, everything, data.intensity)
    assert found.gain == 0 and found.gain_su == 0
    assert found.r1 == pytest.approx(mean_r1(data, plain))
    each = []
    for k, one in enumerate(found.compounds):
        own = data.compound_of == k
        f_o, f_c = plain[own], data.f_calc[own]
        # The scale by brute force, on a grid about that of least squares.
        start = (f_o @ f_c) / (f_o @ f_o)
        scales = start * np.linspace(0.7, 1.4, 20001)[:, None]
        r1 = np.min(np.abs(scales * f_o - f_c).sum(axis=1)) / f_c.sum()
        assert one.r1 == pytest.approx(r1, rel=1e-4)
        rows = data.compound == k
        expected = r_meas(data.intensity[rows], data.unique[rows], data.n_unique)[0]
        assert one.r_meas == pytest.approx(expected)
        each.append(r1)
    assert found.r1 == pytest.approx(np.mean(each), rel=1e-4)


def test_no_scale_enters(two_compounds, everything):
    data = two_compounds
    plain = plain_amplitudes(data, everything)
    one = score(data, "reflection", "model", plain, everything)
    other = score(data, "reflection", "model", 17 * plain, everything)
    for name in ("r1", "gain_su", "cc", "log_likelihood"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-6)


def test_likelihood_rises_towards_the_truth(two_compounds, everything):
    data = two_compounds
    plain = plain_amplitudes(data, everything)
    k = np.nanmedian(plain / data.f_calc)
    half = score(data, "crystal", "model", 0.5 * (plain + k * data.f_calc), everything)
    none = score(data, "crystal", "none", plain, everything)
    assert half.log_likelihood > none.log_likelihood and half.r1 < none.r1
    assert half.gain == pytest.approx(none.r1 - half.r1)


def test_scatter_of_compounds_counts_where_these_are_unseen(two_compounds, everything):
    data = two_compounds
    plain = plain_amplitudes(data, everything)
    k = np.nanmedian(plain / data.f_calc)
    better = np.where(data.compound_of == 0, 0.5 * (plain + k * data.f_calc), plain)
    by_compound = score(data, "compound", "model", better, everything)
    by_reflection = score(data, "reflection", "model", better, everything)
    gains = [one.gain for one in by_compound.compounds]
    assert by_compound.gain_su == pytest.approx(np.std(gains, ddof=1) / np.sqrt(2))
    assert by_reflection.gain_su < by_compound.gain_su


def test_only_what_was_tested_is_compared(two_compounds):
    data = two_compounds
    tested = data.compound == 1
    plain = plain_amplitudes(data, tested)
    assert np.isnan(plain[data.compound_of == 0]).all()
    found = score(data, "crystal", "none", plain, tested)
    assert [one.compound for one in found.compounds] == [data.compounds[1].name]


def test_the_law_is_fitted_to_each_compound(two_compounds, everything):
    data = two_compounds
    plain = plain_amplitudes(data, everything)
    bent = replace(data, f_calc=plain**1.5)
    law = law_amplitudes(bent, plain)
    assert score(bent, "crystal", "law", law, everything).r1 < 0.01
    assert score(bent, "crystal", "none", plain, everything).r1 > 0.1


def test_merging_leaves_out_what_has_no_value(two_compounds):
    data = two_compounds
    values = np.where(data.unique == 3, np.nan, data.E_i)
    merged = merge_rows(data, values)
    assert np.isnan(merged[3])
    own = data.unique == 4
    assert merged[4] == pytest.approx(data.E_i[own].mean())
