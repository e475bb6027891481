from __future__ import annotations

import io

import numpy as np
import pytest

from cctbx import crystal, miller
from cctbx.array_family import flex
from iotbx.shelx import hklf

from dials_spread.shelx import write_hkl

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

SYMMETRY = crystal.symmetry((10, 11, 12, 90, 90, 90), "P 1")


def array_of(data, sigmas, indices=None):
    indices = indices or [(i % 7, i // 7 - 3, 5) for i in range(len(data))]
    points = miller.set(SYMMETRY, flex.miller_index(indices), anomalous_flag=False)
    sigmas = None if sigmas is None else flex.double(sigmas)
    array = miller.array(points, flex.double(data), sigmas)
    return array.set_observation_type_xray_intensity()


def read_back(text):
    reader = hklf.reader(io.StringIO(text))
    return reader.as_miller_arrays(crystal_symmetry=SYMMETRY, merge_equivalents=False)[
        0
    ]


@hypothesis.given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e4), st.floats(1e-2, 1e2)), min_size=2, max_size=40
    ),
    st.floats(-8, 8),
)
def test_iotbx_reads_back_intensities_on_any_scale(pairs, power):
    I, sigma = np.array(pairs).T * 10**power
    made = write_hkl(array_of(I.tolist(), sigma.tolist()))
    again = read_back(made.text)
    assert again.size() == made.n == len(I)
    found = np.array(again.data()) / made.factor
    assert found == pytest.approx(I, abs=0.00501 / made.factor)
    # It fills the format: four digits of the largest value at least, and no overflow.
    widest = max(len(line) for line in made.text.splitlines())
    assert widest == 32
    largest = np.abs(np.array(again.data())).max(initial=np.array(again.sigmas()).max())
    assert 9.0e3 < largest < 1e5


def test_columns_of_hklf_4():
    made = write_hkl(array_of([2.0, -1.0], [0.5, 0.25], [(1, -2, 3), (-10, 0, 120)]))
    # 9999.0 for -1 is the limit: a factor of three digits.
    assert made.factor == 9990.0
    assert made.text.splitlines() == [
        "   1  -2   319980.00 4995.00   1",
        " -10   0 120-9990.00 2497.50   1",
        "   0   0   0    0.00    0.00   0",
    ]


def test_fixed_columns_hold_the_values():
    made = write_hkl(array_of([2.0, 1.0], [0.5, 0.25]))
    line = made.text.splitlines()[0]
    assert float(line[12:20]) / made.factor == pytest.approx(2.0)
    assert float(line[20:28]) / made.factor == pytest.approx(0.5)


def test_tiny_errors_are_floored_and_counted():
    made = write_hkl(array_of([1e6, 1.0], [1.0, 1e-6]))
    assert made.n_floored == 1
    assert made.text.splitlines()[1][20:28] == " 0.00001"


@pytest.mark.parametrize("power", [-6, -3, 0, 4, 9])
def test_no_intensity_becomes_nought(power):
    """Five orders of magnitude in one list, both signs; read back to one part in 50."""
    I = np.array([3.0, 0.2, -0.2, 3e-4, -3e-4, 2.5e-5, 3.1e-5, 0.0]) * 10.0**power
    made = write_hkl(
        array_of(I.tolist(), (np.abs(I) / 7 + 1e-6 * 10.0**power).tolist())
    )
    assert made.n_floored == 0
    again = read_back(made.text)
    assert np.array(again.data()) / made.factor == pytest.approx(I, rel=0.02, abs=0)
    fields = [float(line[12:20]) for line in made.text.splitlines()[:-1]]
    assert np.array(fields) / made.factor == pytest.approx(I, rel=0.02, abs=0)


def test_what_is_not_finite_is_left_out():
    made = write_hkl(array_of([1.0, float("nan"), 3.0], [0.1, 0.1, -1.0]))
    assert made.n == 1


def test_refusals():
    with pytest.raises(ValueError, match="1 intensities without σ"):
        write_hkl(array_of([1.0], None))
    with pytest.raises(ValueError, match="none of 1 intensities"):
        write_hkl(array_of([float("nan")], [1.0]))
    with pytest.raises(ValueError, match="an index of 1000"):
        write_hkl(array_of([1.0], [1.0], [(1000, 0, 0)]))
