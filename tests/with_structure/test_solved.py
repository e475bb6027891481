"""A structure solved from the first correction of simulated crystals, whose truth is known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from cctbx.array_family import flex

from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.refinement.against_reference import compare_structures
from dials_spread.report.ml_correct.solved_structure_sentences import solved_sentences
from dials_spread.rfactor import r_factor
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution import solve
from dials_spread.structures.structure_files import read_structure
from dials_spread.with_structure import (
    NotSolved,
    StructureInput,
    correct_solved,
    lay_on_data,
    solve_structure,
)
from dials_spread.with_structure.local_simulation import LocalSettings
from dials_spread.with_structure.solved import WRONG_R1, believed


@pytest.fixture(scope="module")
def first(crystals):
    return estimate(crystals.subject.counted, choose_model(), nproc=2)


@pytest.fixture(scope="module")
def solved(crystals, first):
    return solve_structure(crystals.subject, first, starts=100, nproc=2)


def given(crystals, first, structure):
    laid = lay_on_data(structure, "solved", crystals.subject, np.random.default_rng(0))
    return StructureInput(
        crystals.subject, first, laid.structure, laid.choice,
        crystals.experiments, crystals.tables, nproc=2, settings=LocalSettings(n_beams=20),
    )  # fmt: skip


def r1(crystals, F):
    true = true_amplitudes(crystals.subject.observations, crystals.tables)
    known = np.isfinite(true)
    return r_factor(F[known], true[known])[0]


def test_it_is_the_structure(crystals, first, solved):
    assert solved.assigned.solved and solved.assigned.n_starts <= 100
    index = crystals.subject.prepared.measured.unique_index
    own = np.abs(structure_factors(solved.structure, index))
    # That of a wrong structure is 0.45 and more.
    assert r1(crystals, own) < 0.25
    text = " ".join(solved_sentences(solved))
    assert f"of {solved.assigned.n_starts} random starts" in text
    assert "all atoms are called carbon" in text
    told = solved.as_dict()
    assert told["mirror_image"] is False and 0 < told["r1_completed"] < 0.35


def test_the_second_correction_has_the_right_hand(crystals, first, solved):
    """Of the true structure and its mirror image, given as if solved, one comes out."""
    ends = []
    for start in (crystals.structure, crystals.structure.change_hand()):
        cycles, known = correct_solved(given(crystals, first, start), solved, 1)
        ends.append(cycles.last.structure)
        assert cycles.last.correction.n_steps > 0
        assert cycles.last.correction.hands.z > 3
        assert r1(crystals, cycles.last.correction.estimate.F) < 0.8 * r1(
            crystals, first.F
        )
        assert known.turned is (start is not crystals.structure)
        assert ("mirror image" in " ".join(solved_sentences(known))) is known.turned
    assert compare_structures(*ends).mean_shift() < 1e-6


def test_without_any_truth_it_corrects_as_with_the_structure(crystals, first, solved):
    cycles, _ = correct_solved(given(crystals, first, solved.structure), solved, 1)
    assert r1(crystals, cycles.last.correction.estimate.F) < 0.8 * r1(crystals, first.F)


def test_amplitudes_of_nothing_do_not_solve(crystals, first):
    """Exchanged among reflections of like resolution they have no structure."""
    d = 1 / np.sqrt(crystals.subject.prepared.measured.d_star_sq)
    order, rng = np.arange(len(d)), np.random.default_rng(5)
    ranked = np.argsort(d)
    for own in np.array_split(ranked, 10):
        order[own] = rng.permutation(own)
    mixed = replace(
        first, F=first.F[order], sigma_F=first.sigma_F[order],
        intensity=first.intensity[order], sigma_intensity=first.sigma_intensity[order],
    )  # fmt: skip
    with pytest.raises(NotSolved, match="no map of 40 random starts"):
        solve_structure(crystals.subject, mixed, starts=40, nproc=2)


@pytest.mark.parametrize("wrong", ["U 1 Li 9", "U 1 H 3 Li 2"])
def test_a_composition_of_another_compound_is_told(crystals, first, wrong):
    """Its atoms give no phases, and yet held-out observations may agree better."""
    told = rf"R1 0\.[4-9].* wrong composition \({wrong}\)"
    with pytest.raises(NotSolved, match=told):
        solve_structure(crystals.subject, first, wrong, starts=100, nproc=2)


def test_starts_end_when_one_has_solved(crystals, first):
    from dials_spread.with_structure.solved import first_intensities

    array = first_intensities(crystals.subject, first)
    every = solve(array, n_starts=60, nproc=2)
    some = solve(array, n_starts=60, nproc=2, until_solved=True)
    first_of = [one.start for one in every.starts if one.solved][0]
    assert len(some) == 20 * (1 + first_of // 20)
    for a, b in zip(some.starts, every.starts):
        np.testing.assert_array_equal(a.F, b.F)


def test_a_composition_that_cannot_be_read_is_told(crystals, first):
    with pytest.raises(ValueError, match="cannot be read"):
        solve_structure(crystals.subject, first, "C 8 ?", starts=20, nproc=2)


def test_a_map_that_obeys_the_space_group_by_chance_is_not_believed(data_folder):
    """
    Amplitudes exchanged among 285 reflections of natrolite, whose five atoms fit them.

    Where they were fitted R1 is that of right structures; where they were left out it is not.
    """
    structure = read_structure(str(data_folder / "structures" / "natrolite.cif"))
    structure.scattering_type_registry(table="electron")
    true = abs(structure.structure_factors(d_min=1.05).f_calc()).as_intensity_array()
    true = true.customized_copy(
        sigmas=flex.double(0.05 * true.data().as_numpy_array() + 1)
    ).set_observation_type_xray_intensity()
    believed(solve(true, n_starts=40, nproc=2, until_solved=True), true, None)
    ranked = np.argsort(true.d_spacings().data().as_numpy_array())
    low, high = [], []
    for seed in (0, 10, 15, 16):
        order, rng = np.arange(true.size()), np.random.default_rng(seed)
        for own in np.array_split(ranked, 20):
            order[own] = rng.permutation(own)
        mixed = true.select(flex.size_t([int(i) for i in order]))
        mixed = true.customized_copy(data=mixed.data(), sigmas=mixed.sigmas())
        mixed = mixed.set_observation_type_xray_intensity()
        found = solve(mixed, n_starts=40, seed=seed, nproc=2, until_solved=True)
        if not found.n_solved:
            continue
        with pytest.raises(NotSolved, match="reflections left out, as wrong") as told:
            believed(found, mixed, None)
        fitted, left_out = map(float, re.findall(r"0\.\d\d", str(told.value))[:2])
        low.append(fitted)
        high.append(left_out)
    assert len(low) >= 2 and min(low) < WRONG_R1 <= min(high)
