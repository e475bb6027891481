from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cctbx import crystal, xray

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution.amplitudes import sphere_amplitudes
from dials_spread.solution.peaks import highest_peaks
from dials_spread.solution.rates import (
    atom_copies,
    compare_solutions,
    wilson_interval,
)
from dials_spread.solution.shifts import moved
from dials_spread.solution.solve import Solution, Solutions


@pytest.mark.parametrize(
    ("n", "of", "low", "high"),
    [
        # Newcombe (1998), Stat. Med. 17, 857, Table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(n, of, low, high):
    assert wilson_interval(n, of) == pytest.approx((low, high), abs=6e-5)


def one_start(amplitudes, F, solved=True):
    n = 2 * 100
    sites, heights = highest_peaks(amplitudes.unit_cell, amplitudes.miller_index, F, n)
    return Solution(0, 1, 0.3, 1.0, 1.0, solved, F, sites, heights)


def judged(kinematic, name, phases):
    f_sq, structure = kinematic(name, 0.9)
    amplitudes = sphere_amplitudes(f_sq)
    true = structure_factors(structure, amplitudes.miller_index)
    starts = tuple(one_start(amplitudes, phases(amplitudes, true)) for _ in range(2))
    return compare_solutions(Solutions(amplitudes, starts, 1, 0.5), structure)


@pytest.mark.parametrize("name", ["paracetamol", "quartz", "glycine", "abiraterone"])
@pytest.mark.parametrize("inverted", [False, True])
def test_true_phases_find_all_atoms_at_any_origin(kinematic, name, inverted):
    shift = np.array([0.217, 0.481, 0.733])
    rates = judged(
        kinematic, name, lambda a, F: moved(a.miller_index, F, shift, inverted)
    )
    assert rates.correlation == pytest.approx([1.0, 1.0], abs=1e-4)
    wanted = {"paracetamol": 11, "quartz": 2, "glycine": 5, "abiraterone": 29}
    assert rates.n_atoms == wanted[name]
    assert rates.atoms_found.tolist() == [wanted[name]] * 2
    assert (rates.n_solved, rates.rate) == (2, 1.0)


def test_random_phases_find_few(kinematic):
    rng = np.random.default_rng(0)

    def random(amplitudes, F):
        return np.abs(F) * np.exp(2j * np.pi * rng.random(len(F)))

    rates = judged(kinematic, "paracetamol", random)
    assert rates.correlation.max() < 0.3
    assert rates.n_solved == 0
    assert rates.atoms_found.max() <= 4
    told = rates.as_dict()
    # They claim to be solved, and that is counted against them.
    assert told["own_criterion"] == {
        **{"solved": 2, "right": 0, "false_solved": 2, "false_unsolved": 0}
    }
    assert told["interval"][0] == 0.0


def test_another_cell_is_refused(kinematic):
    f_sq, _ = kinematic("quartz")
    _, other = kinematic("glycine")
    amplitudes = sphere_amplitudes(f_sq)
    start = one_start(amplitudes, amplitudes.F.astype(complex))
    with pytest.raises(ValueError, match=r"5\.09, 11\.81.* is not that of the data"):
        compare_solutions(Solutions(amplitudes, (start,), 1, 0.5), other)


def test_only_hydrogen_cannot_be_found():
    structure = xray.structure(
        crystal_symmetry=crystal.symmetry((5, 5, 5, 90, 90, 90), "P 1")
    )
    structure.add_scatterer(xray.scatterer("H1", (0.1, 0.2, 0.3)))
    with pytest.raises(ValueError, match="none of the 1 atoms"):
        atom_copies(structure)


def test_copies_on_special_positions(kinematic):
    _, quartz = kinematic("quartz")
    assert sorted(len(one) for one in atom_copies(quartz)) == [3, 6]


def test_results_cannot_be_changed(kinematic):
    rates = judged(kinematic, "quartz", lambda a, F: F)
    with pytest.raises(dataclasses.FrozenInstanceError):
        rates.n_atoms = 3
