from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution.amplitudes import sphere_amplitudes
from dials_spread.solution.shifts import (
    Equivalents,
    best_shift,
    fit_symmetry,
    map_correlation,
    moved,
    symmetrised,
)

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

NAMES = ["paracetamol", "quartz", "glycine", "abiraterone"]
fractions = st.floats(0, 1, exclude_max=True)


def true_map(kinematic, name):
    f_sq, structure = kinematic(name, 1.2 if name == "abiraterone" else 1.0)
    amplitudes = sphere_amplitudes(f_sq)
    return amplitudes, structure_factors(structure, amplitudes.miller_index)


def test_one_wave_is_highest_where_its_phase_says():
    wave = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    s = np.array([0.123, 0.456, 0.789])
    amplitude = np.array([1.0, 2.0, 3.0]) * np.exp(-2j * np.pi * s)
    found, value = best_shift(wave, amplitude)
    assert found == pytest.approx(s, abs=1e-6)
    assert value == pytest.approx(6.0)


@pytest.mark.parametrize("name", NAMES)
@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(
    shift=st.tuples(fractions, fractions, fractions), inverted=st.booleans()
)
def test_true_phases_correlate_fully_at_any_origin_and_hand(
    kinematic, name, shift, inverted
):
    amplitudes, F = true_map(kinematic, name)
    elsewhere = moved(amplitudes.miller_index, F, np.array(shift), inverted)
    overlay = map_correlation(amplitudes.miller_index, elsewhere, F)
    assert overlay.correlation == pytest.approx(1.0, abs=1e-4)
    back = moved(amplitudes.miller_index, elsewhere, overlay.shift, overlay.inverted)
    assert np.abs(back - F).max() < 0.02 * np.abs(F).max()


@pytest.mark.parametrize("name", NAMES)
@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(shift=st.tuples(fractions, fractions, fractions))
def test_the_origin_of_the_space_group_is_found(kinematic, name, shift):
    amplitudes, F = true_map(kinematic, name)
    equivalents = Equivalents(amplitudes.miller_index, amplitudes.space_group)
    elsewhere = moved(amplitudes.miller_index, F, np.array(shift), False)
    fit = fit_symmetry(equivalents, elsewhere)
    assert fit.agreement == pytest.approx(1.0, abs=1e-4)
    assert not fit.inverted
    # With the symmetry in place, averaging over it changes nothing.
    placed = moved(amplitudes.miller_index, elsewhere, fit.shift, fit.inverted)
    averaged = symmetrised(equivalents, placed)
    assert np.abs(averaged - placed).max() < 0.03 * np.abs(F).max()


def test_natural_symmetry_of_a_polar_centred_group(kinematic, data_folder):
    from dials_spread.structures.structure_files import read_structure

    structure = read_structure(str(data_folder / "structures" / "natrolite.cif"))
    points = structure.build_miller_set(d_min=1.2, anomalous_flag=False).expand_to_p1()
    index = np.array(list(points.indices()))
    F = structure_factors(structure, index)
    equivalents = Equivalents(index, structure.space_group())
    elsewhere = moved(index, F, np.array([0.31, 0.17, 0.73]), True)
    fit = fit_symmetry(equivalents, elsewhere)
    assert fit.agreement == pytest.approx(1.0, abs=1e-4)


def test_the_other_enantiomorph_is_inverted(kinematic):
    amplitudes, F = true_map(kinematic, "quartz")
    equivalents = Equivalents(amplitudes.miller_index, amplitudes.space_group)
    other = moved(amplitudes.miller_index, F, np.array([0.2, 0.1, 0.4]), True)
    fit = fit_symmetry(equivalents, other)
    assert fit.inverted and fit.agreement == pytest.approx(1.0, abs=1e-4)


def test_random_phases_obey_no_symmetry(kinematic):
    amplitudes, F = true_map(kinematic, "paracetamol")
    equivalents = Equivalents(amplitudes.miller_index, amplitudes.space_group)
    rng = np.random.default_rng(1)
    phases = np.exp(2j * np.pi * rng.random((20, len(F))))
    found = [fit_symmetry(equivalents, np.abs(F) * u).agreement for u in phases]
    assert max(found) < 0.35


def test_nothing_is_known_of_p1(kinematic):
    amplitudes, F = true_map(kinematic, "glycine")
    equivalents = Equivalents(amplitudes.miller_index, sgtbx.space_group())
    assert np.isnan(fit_symmetry(equivalents, F).agreement)


def test_maps_of_nothing():
    index = np.array([[1, 0, 0], [0, 1, 0]])
    overlay = map_correlation(index, np.zeros(2, complex), np.ones(2, complex))
    assert overlay.correlation == 0.0
