"""R1, wR2 and the goodness of fit by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, miller
from cctbx.array_family import flex

from dials_spread.refinement import agreement

FO_SQ = np.array([9.0, 4.0, -1.0, 16.0])
FC_SQ = np.array([4.0, 4.0, 1.0, 25.0])


def test_by_hand():
    # Fo 3 2 0 4, Fc 2 2 1 5
    assert agreement.r1(FO_SQ, FC_SQ) == pytest.approx(3 / 9)
    w = np.array([1.0, 1.0, 0.5, 0.1])
    misfit = 25 + 0 + 0.5 * 4 + 0.1 * 81
    total = 81 + 16 + 0.5 + 25.6
    assert agreement.wr2(FO_SQ, FC_SQ, w) == pytest.approx(np.sqrt(misfit / total))
    found = agreement.goodness_of_fit(FO_SQ, FC_SQ, w, 2)
    assert found == pytest.approx(np.sqrt(misfit / 2))
    assert np.isnan(agreement.goodness_of_fit(FO_SQ, FC_SQ, w, 4))
    assert np.isnan(agreement.r1(-FO_SQ[:2], FC_SQ[:2]))


def test_outliers_are_listed_by_size():
    points = miller.set(
        crystal.symmetry((5, 6, 7, 90, 90, 90), "P 1"),
        flex.miller_index([(1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0)]),
        anomalous_flag=False,
    )
    f_sq = miller.array(points, flex.double(FO_SQ), flex.double([1.0, 1, 1, 1]))
    rows, which = agreement.find_outliers(f_sq, FC_SQ, np.array([9.0, 9, 9, 4]))
    assert [row.hkl for row in rows] == [(4, 0, 0), (1, 0, 0)]
    assert [row.z for row in rows] == pytest.approx([-18, 15])
    assert which.tolist() == [True, False, False, True]
