"""Miller indices and their symmetry, beside cctbx."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx

from dials_spread.observations.indices import Absences, as_array, as_flex


@pytest.mark.parametrize(
    "symbol", ["P 1", "P 21 21 21", "I 41/a", "F d -3 m :1", "R 3 c :H"]
)
def test_absences_are_those_of_cctbx(symbol):
    """Whether a table is kept, made larger, or not worth it; of any order of indices."""
    group = sgtbx.space_group_info(symbol).group()
    rng = np.random.default_rng(1)
    known, few = Absences(group, 300_000), Absences(group, 10)
    for reach, n in ((3, 200), (9, 3000), (5, 1000), (40, 500), (0, 1)):
        hkl = as_flex(rng.integers(-reach, reach + 1, size=(n, 3)).astype(np.int32))
        expected = group.is_sys_absent(hkl).as_numpy_array()
        assert expected.any() == (symbol != "P 1") or reach != 9
        for absences in (known, few):
            np.testing.assert_array_equal(absences.among(hkl), expected)
    assert not len(known.among(as_flex(np.zeros((0, 3), dtype=np.int32))))


def test_indices_come_back_as_they_were():
    hkl = np.array([[1, -2, 3], [0, 0, -40]], dtype=np.int32)
    np.testing.assert_array_equal(as_array(as_flex(hkl)), hkl)
