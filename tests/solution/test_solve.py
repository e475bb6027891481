from __future__ import annotations

import json

import numpy as np
import pytest

from cctbx import crystal, miller, sgtbx
from cctbx.array_family import flex

from dials_spread.solution import compare_solutions, solve
from dials_spread.structures.structure_files import read_structure


@pytest.mark.slow
def test_kinematic_paracetamol_solves_in_45_of_50_starts(kinematic):
    f_sq, structure = kinematic("paracetamol")
    solutions = solve(f_sq, n_starts=50, nproc=None)
    rates = compare_solutions(solutions, structure)
    assert rates.n_solved >= 45
    assert np.median(rates.correlation) > 0.9
    assert np.median(rates.atoms_found) == rates.n_atoms == 11
    # The criterion that needs no structure says the same.
    assert (rates.own_criterion == rates.solved).sum() >= 49


@pytest.mark.parametrize("name", ["quartz", "glycine"])
def test_small_structures_solve(kinematic, name):
    f_sq, structure = kinematic(name)
    rates = compare_solutions(solve(f_sq, n_starts=6), structure)
    assert rates.n_solved >= 5
    assert (rates.own_criterion == rates.solved).sum() >= 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quartz", "glycine", "natrolite"])
def test_measured_data_solve(merged, data_folder, name):
    structure = read_structure(str(data_folder / "structures" / f"{name}.cif"))
    rates = compare_solutions(solve(merged(name), n_starts=6, nproc=None), structure)
    assert rates.n_solved >= 5
    assert rates.atoms_found[rates.solved].min() == rates.n_atoms


def test_shuffled_intensities_do_not_solve(kinematic):
    """Right resolution, right distribution, no structure: nobody may claim one."""
    f_sq, structure = kinematic("glycine")
    rng = np.random.default_rng(0)
    data = rng.permutation(f_sq.data().as_numpy_array())
    shuffled = f_sq.customized_copy(data=flex.double(data))
    solutions = solve(shuffled, n_starts=8, n_cycles=150)
    rates = compare_solutions(solutions, structure)
    assert rates.n_solved == 0
    assert solutions.n_solved <= 1


def test_a_seed_gives_the_same_for_any_number_of_threads(kinematic):
    f_sq, _ = kinematic("quartz")
    one, two = (solve(f_sq, n_starts=3, seed=5, nproc=n) for n in (1, 2))
    for a, b in zip(one.starts, two.starts):
        assert np.array_equal(a.F, b.F)
    other = solve(f_sq, n_starts=1, seed=6)
    assert not np.array_equal(other.starts[0].F, one.starts[0].F)


def test_without_symmetry_repetition_decides(kinematic):
    f_sq, structure = kinematic("glycine", 1.0)
    in_p1 = f_sq.expand_to_p1()
    solutions = solve(in_p1, n_starts=4, n_cycles=150)
    assert np.isnan(solutions.threshold)
    assert solutions.amplitudes.space_group == sgtbx.space_group()
    rates = compare_solutions(solutions, structure.expand_to_p1())
    assert rates.n_solved >= 3
    # A start that nobody repeats stays unsolved; none claims what is not so.
    assert rates.own_criterion.sum() >= 2
    assert not (rates.own_criterion & ~rates.solved).any()
    json.dumps(solutions.as_dict(), allow_nan=False)


def test_equal_intensities_are_no_structure_and_no_traceback():
    symmetry = crystal.symmetry((6, 7, 8, 90, 90, 90), "P 21 21 21")
    points = symmetry.build_miller_set(d_min=0.9, anomalous_flag=False)
    array = miller.array(points, flex.double(points.size(), 1.0))
    solutions = solve(array, n_starts=2, n_cycles=20)
    told = json.loads(json.dumps(solutions.as_dict(), allow_nan=False))
    assert len(told["starts"]) == told["n_starts"] == 2


@pytest.mark.parametrize("wrong", [{"n_starts": 0}, {"n_cycles": 0}])
def test_no_starts_or_cycles(kinematic, wrong):
    with pytest.raises(ValueError, match="must be 1 or more"):
        solve(kinematic("quartz")[0], **wrong)
