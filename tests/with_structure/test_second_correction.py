"""Simulated crystals of which the truth is known, from an incomplete structure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cctbx.array_family import flex

from dials_spread.correction.apply.correct import correct_intensities
from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.correction.apply.one_table import undo_factors
from dials_spread.correction.apply.tables import corrected_table
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.input_files import Input
from dials_spread.reindexing import Reindexing
from dials_spread.rfactor import r_factor
from dials_spread.scattering.dynamical import crystal_intensities, potential_for
from dials_spread.simulation.structures import random_structure
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure import (
    StructureInput,
    correct_with_structure,
    lay_on_data,
)
from dials_spread.with_structure.cross_validation import FOLDS, cross_validate
from dials_spread.with_structure.crossing_table import CrossingTable, crossing_table
from dials_spread.with_structure.crystal_shapes import fit_shapes
from dials_spread.with_structure.data_potential import data_potential
from dials_spread.with_structure.hands import compare_hands
from dials_spread.with_structure.inversion import INTRACLASS
from dials_spread.with_structure.local_simulation import (
    LocalSettings,
    local_crystal,
    simulate,
)
from dials_spread.with_structure.problem import StructureProblem, scales_along, set_up
from dials_spread.with_structure.second_correction import SIGNIFICANT

SAME = Reindexing("h,k,l", np.eye(3), True)


@pytest.fixture(scope="module")
def potential(crystals):
    measured = crystals.subject.prepared.measured
    return data_potential(crystals.structure, measured, SAME)


@pytest.fixture(scope="module")
def first(crystals):
    return estimate(crystals.subject.counted, choose_model(), nproc=2)


def corrected(crystals, first, structure):
    return correct_with_structure(laid(crystals, first, structure), hand=False)


def laid(crystals, first, structure):
    return StructureInput(
        crystals.subject, first, structure, SAME, crystals.experiments, crystals.tables,
        nproc=2, shapes=known_shapes(crystals),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(crystals, first):
    """Without one atom of ten; the thicknesses are known."""
    n = len(crystals.structure.scatterers())
    kept = flex.bool([i != 3 for i in range(n)])
    return corrected(crystals, first, crystals.structure.select(kept))


def known_shapes(crystals):
    means = [np.median(t["truth.thickness"].as_numpy_array()) for t in crystals.tables]
    return [Shape(float(x)) for x in means]


def truth(crystals):
    return true_amplitudes(crystals.subject.observations, crystals.tables)


def test_intensities_are_those_of_all_beams(crystals, potential):
    """Against the simulation of whole orientations, as dials.simulate_ed has it."""
    own = local_crystal(0, crystals.experiments[0], crystals.tables[0], 1.0)
    rows = np.arange(0, len(own), 3)
    whole = crystal_intensities(
        potential_for(crystals.structure, own_wavelength(crystals), 1.0),
        own.scan, own.miller_index[rows], own.phi[rows], np.array([400.0]),
    )[:, 0]  # fmt: skip
    I, _ = simulate(
        own, potential, Shape(400.0), rows, LocalSettings(), gradient=False, nproc=2
    )
    both = np.isfinite(whole) & np.isfinite(I)
    assert both.mean() > 0.9
    assert r_factor(np.sqrt(I[both]), np.sqrt(whole[both]))[0] < 0.03
    kinematic = np.abs(potential.calculated)
    assert np.isfinite(kinematic).all()


def own_wavelength(crystals):
    return crystals.experiments[0].beam.get_wavelength()


@pytest.mark.parametrize("shape", [Shape(300.0), Shape(400.0, within=0.5)])
def test_derivatives_are_differences(crystals, potential, shape):
    own = local_crystal(0, crystals.experiments[0], crystals.tables[0], 1.0)
    # All beams: which 32 matter most may change with |F|.
    rows = np.arange(5, len(own), len(own) // 12)
    settings = LocalSettings(n_beams=150)
    F = potential.calculated
    _, J = simulate(own, potential, shape, rows, settings, nproc=1)
    strongest = np.unique(np.asarray(np.abs(J).argmax(axis=1)).ravel())
    for column in strongest[:5]:
        step = 0.02 * F[column]
        moved = []
        for sign in (1, -1):
            other = F.copy()
            other[column] += sign * step
            I, _ = simulate(
                own, potential.with_amplitudes(other), shape, rows, settings, False, 1
            )
            moved.append(I)
        difference = (moved[0] - moved[1]) / (2 * step)
        derivative = J[:, column].toarray().ravel()
        known = np.isfinite(difference)
        scale = np.abs(derivative[known]).max()
        np.testing.assert_allclose(
            derivative[known], difference[known], atol=0.01 * scale
        )


def test_amplitudes_are_the_datas_and_phases_the_structures(potential):
    F = 2 * potential.calculated + 0.1
    other = potential.with_amplitudes(F)
    known = potential.unique >= 0
    size = np.sqrt(potential.F_squared)
    np.testing.assert_allclose(
        np.abs(other.table[known]) * size, F[potential.unique[known]], rtol=1e-5
    )
    np.testing.assert_array_equal(other.table[~known], potential.table[~known])
    turned = other.table[known] * np.conj(potential.table[known])
    strong = np.abs(potential.table[known]) > 1e-6
    np.testing.assert_allclose(np.angle(turned[strong]), 0, atol=1e-3)
    # The potential is real: U of -g is the conjugate of U of g.
    flipped = np.conj(other.table[::-1, ::-1, ::-1])
    np.testing.assert_allclose(other.table, flipped, atol=1e-7)


def test_the_thickness_is_found(crystals, first, potential):
    subject = crystals.subject
    own = local_crystal(0, crystals.experiments[0], crystals.tables[0], 1.0)
    prepared = subject.prepared
    table = crossing_table(prepared.scaled, prepared.sigma, [own], 1.0)
    (one,) = fit_shapes(
        [own], table, potential, LocalSettings(), np.random.default_rng(0), nproc=2
    )
    assert abs(one.shape.thickness - known_shapes(crystals)[0].thickness) < 80
    assert one.r1 < 0.6 * one.r1_kinematic


def test_scales_along_a_rotation_are_found():
    """A smooth scale, amplitudes 15 % off; and nothing where nothing was measured."""
    rng = np.random.default_rng(3)
    phi = rng.uniform(0, 1, 900)
    f_c = rng.uniform(0.5, 2, 900)
    true = 1 + 0.2 * np.sin(5 * phi)
    f_o = f_c / true * (1 + 0.15 * rng.standard_normal(900))
    found = scales_along(phi, f_o, f_c, phi)
    assert np.std(found / true) < 0.04 < np.std(true)
    np.testing.assert_allclose(scales_along(phi[:9], 0.5 * f_c[:9], f_c[:9], phi), 2)
    np.testing.assert_array_equal(scales_along(*[np.empty(0)] * 3, phi[:2]), [1, 1])


def test_scales_with_the_true_structure_leave_little(crystals, first, monkeypatch):
    """Amplitudes are true: what is left is noise, and not what scaling has done."""
    problem, _, _ = set_up(laid(crystals, first, crystals.structure))
    every = np.ones(len(problem.table), bool)
    I, _ = problem.simulated(problem.potential.calculated, gradient=False)
    along = problem.r1(I, problem.scales(I, every), every)
    monkeypatch.setattr("dials_spread.with_structure.problem.BLOCK", 10**6)
    constant = problem.r1(I, problem.scales(I, every), every)
    assert along < 0.8 * constant


def r1(crystals, F):
    true = truth(crystals)
    known = np.isfinite(true)
    return r_factor(F[known], true[known])[0]


def test_amplitudes_become_better(crystals, first, found):
    assert found.n_steps >= 1
    held = found.by_observation
    assert held.z > 2 and held.after < held.before
    assert r1(crystals, found.estimate.F) < r1(crystals, first.F)
    assert np.all(found.step.information >= 0) and np.all(found.step.information <= 1)
    whole = corrected(crystals, first, crystals.structure)
    assert r1(crystals, whole.estimate.F) < 0.6 * r1(crystals, first.F)


def moved_atoms(structure, by, seed):
    """All atoms moved in random directions [Å]."""
    moved, cell = structure.deep_copy_scatterers(), structure.unit_cell()
    rng = np.random.default_rng(seed)
    for scatterer in moved.scatterers():
        step = rng.standard_normal(3)
        site = np.array(cell.orthogonalize(scatterer.site))
        site += by * step / np.linalg.norm(step)
        scatterer.site = cell.fractionalize(tuple(site))
    return moved


def test_a_structure_that_is_nearly_right_improves_the_potential(
    crystals, first, monkeypatch
):
    """Atoms moved by 0.05 Å: amplitudes in the potential are mostly those of the structure."""
    near = moved_atoms(crystals.structure, 0.05, 3)
    found = corrected(crystals, first, near)
    assert found.believed.mean_share > 0.3
    problem = found.problem
    assert r1(crystals, found.believed.F) < r1(crystals, problem.prior.F)
    of_data = replace(found.believed, F=problem.prior.F)
    monkeypatch.setattr(StructureProblem, "believed", lambda *_: of_data)
    before = corrected(crystals, first, near)
    assert r1(crystals, found.estimate.F) < r1(crystals, before.estimate.F)


def test_a_structure_that_lacks_much_leaves_the_potential_to_the_data(crystals, first):
    """All atoms moved by 0.5 Å."""
    wrong = moved_atoms(crystals.structure, 0.5, 2)
    problem, _, _ = set_up(laid(crystals, first, wrong))
    told = problem.believed(problem.prior.F, problem.prior.sigma)
    assert told.mean_share < 0.1
    changed = r_factor(told.F, problem.prior.F)[0]
    assert changed < 0.05


@pytest.mark.parametrize("by, seed", [(0.5, 2), (0.8, 11), (0.8, 12)])
def test_a_structure_with_wrong_atoms_is_of_no_help(crystals, first, by, seed):
    """Atoms moved by 0.5 Å and more: the amplitudes of the first correction are kept."""
    found = corrected(crystals, first, moved_atoms(crystals.structure, by, seed))
    # Followed as far as errors say, predictions are not better by two standard deviations.
    problem, n = found.problem, len(found.problem.table)
    observations, _ = problem.linearised(problem.prior.F, np.ones(n, bool))
    folds = [np.random.default_rng(k).integers(0, FOLDS, n) for k in range(3)]
    as_far = cross_validate(observations, problem.prior, INTRACLASS, folds)
    assert as_far.z < 2
    assert found.by_observation.z < SIGNIFICANT
    assert found.n_steps == 0 and found.estimate is first


def test_a_step_with_atoms_somewhat_off_does_no_harm(crystals, first):
    """Atoms moved by 0.3 Å: amplitudes become better, if a step is taken at all."""
    for seed in (11, 12, 13):
        found = corrected(crystals, first, moved_atoms(crystals.structure, 0.3, seed))
        assert r1(crystals, found.estimate.F) <= r1(crystals, first.F)


def test_errors_are_as_large_as_predicted(crystals, found):
    F = truth(crystals)
    known = np.isfinite(F)
    own = found.estimate
    scale = r_factor(own.F[known], F[known])[1]
    z = np.abs(scale * own.F - F)[known] / (scale * own.sigma_F[known])
    assert 0.5 < np.mean(z < 1) < 0.9  # an atom of five lacks, beside hydrogen
    assert np.mean(z < 2) > 0.75


def test_the_hand_is_recognised(crystals, first):
    for structure, sign in (
        (crystals.structure, 1), (crystals.structure.inverse_hand(), -1),
    ):  # fmt: skip
        problem, _, _ = set_up(laid(crystals, first, structure))
        hands = compare_hands(problem, refit=False)
        assert sign * hands.z > 3
        assert (hands.probability > 0.99) == (sign > 0)


def test_the_corrected_table_merges_to_the_amplitudes(crystals, found):
    """What dials.merge makes of it, weights 1/σ², and undoing it, bit for bit."""
    subject = crystals.subject
    result = correct_intensities(subject, choose_model(), ready=found.estimate)
    reached = result.factors.reached
    F = found.estimate.F
    np.testing.assert_allclose(result.F[reached], F[reached], rtol=1e-6)
    data = Input(
        list(crystals.experiments), crystals.tables, [0] * len(crystals.tables),
        files=["a.expt", "b.expt", "a.refl", "b.refl"], unmatched={},
    )  # fmt: skip
    _, table = corrected_table(data, result)
    for name in ("ml_correction", "ml_correction.inflation", "ml_correction.common"):
        assert name in table
    back = undo_factors(table)
    for name in ("intensity.prf.value", "intensity.prf.variance"):
        if name in table:
            before = np.concatenate([t[name].as_numpy_array() for t in crystals.tables])
            np.testing.assert_array_equal(back[name].as_numpy_array(), before)


def test_another_compound_is_refused(crystals):
    cell = (5.9, 7.1, 9.3, 90.0, 90.0, 90.0)
    other = random_structure(np.random.default_rng(77), cell, "P 21 21 21")
    with pytest.raises(ValueError, match="other.cif does not agree .* R1 .* h,k,l"):
        lay_on_data(other, "other.cif", crystals.subject, np.random.default_rng(0))


def test_hydrogen_and_elements_are_looked_at(crystals):
    rng = np.random.default_rng(0)
    found = lay_on_data(crystals.structure, "my.ins", crystals.subject, rng)
    assert found.choice.symbol == "h,k,l"
    kinds = [s.scattering_type for s in crystals.structure.scatterers()]
    told = " ".join(found.warnings)
    assert ("my.ins has no hydrogen" in told) == ("H" not in kinds)
    few = crystals.structure.select(flex.bool([i < 2 for i in range(len(kinds))]))
    with pytest.raises(ValueError, match="too incomplete"):
        lay_on_data(few, "few.ins", crystals.subject, rng)


def test_too_few_observations_for_a_thickness(crystals, potential):
    own = local_crystal(0, crystals.experiments[0], crystals.tables[0], 1.0)
    none = np.zeros(10, int)
    table = CrossingTable(none, none, none, np.ones(10), np.ones(10), none)
    with pytest.raises(ValueError, match="30 observations that fitting a thickness"):
        fit_shapes([own], table, potential, LocalSettings(), np.random.default_rng(0))
