"""Corrections and refinements in turn, of simulated crystals whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.refinement.against_reference import compare_structures
from dials_spread.reindexing import Reindexing
from dials_spread.rfactor import r_factor
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure import StructureInput, correct_in_cycles
from dials_spread.with_structure.local_simulation import LocalSettings

SAME = Reindexing("h,k,l", np.eye(3), True)


@pytest.fixture(scope="module")
def given(crystals):
    """The true structure, and thicknesses that are known."""
    means = [np.median(t["truth.thickness"].as_numpy_array()) for t in crystals.tables]
    return StructureInput(
        crystals.subject,
        estimate(crystals.subject.counted, choose_model(), nproc=2),
        crystals.structure,
        SAME,
        crystals.experiments,
        crystals.tables,
        nproc=2,
        settings=LocalSettings(n_beams=20),
        shapes=[Shape(float(x)) for x in means],
    )


@pytest.fixture(scope="module")
def found(given):
    """Two cycles with all atoms moved by 0.1 Å at first."""
    moved = given.structure.deep_copy_scatterers()
    rng, cell = np.random.default_rng(2), moved.unit_cell()
    for scatterer in moved.scatterers():
        step = rng.standard_normal(3)
        site = np.array(cell.orthogonalize(scatterer.site))
        site += 0.1 * step / np.linalg.norm(step)
        scatterer.site = cell.fractionalize(tuple(site))
    return correct_in_cycles(replace(given, structure=moved), 2)


def r1(crystals, correction):
    true = true_amplitudes(crystals.subject.observations, crystals.tables)
    known = np.isfinite(true)
    return r_factor(correction.estimate.F[known], true[known])[0]


def test_atoms_go_where_they_belong_and_amplitudes_become_better(crystals, found):
    assert found.n_kept == 2 and not found.reason
    first, second = found.cycles
    assert second.structure is first.refinement.structure
    shifts = [
        compare_structures(x.structure, crystals.structure).mean_shift()
        for x in (first, second)
    ]
    assert shifts[0] == pytest.approx(0.1, abs=1e-6)
    assert shifts[1] < 0.03
    assert second.gain.z > 0 and second.gain.after < second.gain.before
    assert r1(crystals, second.correction) < 0.9 * r1(crystals, first.correction)
    assert found.last is second and second.refinement is None
    assert second.correction.hands is not None and first.correction.hands is None


def test_a_fifth_is_set_apart_the_same_in_all_cycles(found):
    apart = [np.isfinite(c.correction.predicted) for c in found.cycles]
    np.testing.assert_array_equal(*apart)
    assert 0.12 < apart[0].mean() < 0.25
    table = found.cycles[0].correction.problem.table
    assert found.cycles[1].gain.n == apart[0].sum()
    # They decide alone: the amplitudes refined against are not those that are written.
    one = found.cycles[0].correction
    assert np.abs(one.apart.F - one.estimate.F).max() > 0
    assert len(apart[0]) == len(table)


def test_a_cycle_that_predicts_worse_is_not_kept(given, monkeypatch):
    """A refinement that leaves atoms moved by 0.3 Å: they are not taken over."""
    from dials_spread.with_structure import cycles

    honest = cycles.refine_against

    def spoiled(structure, *more):
        one = honest(structure, *more)
        rng, cell = np.random.default_rng(4), structure.unit_cell()
        for scatterer in one.structure.scatterers():
            site = np.array(cell.orthogonalize(scatterer.site))
            step = rng.standard_normal(3)
            site += 0.3 * step / np.linalg.norm(step)
            scatterer.site = cell.fractionalize(tuple(site))
        return one

    monkeypatch.setattr(cycles, "refine_against", spoiled)
    found = correct_in_cycles(given, 3)
    assert found.n_kept == 1 and len(found.cycles) == 2
    assert found.last.structure is given.structure
    assert "cycle 2 does not predict observations set apart better" in found.reason
    # It need not be finished; what decides is what it would have been.
    first, second = found.cycles
    whole = cycles.correct_with_structure(
        replace(given, structure=second.structure), hand=False
    )
    assert cycles.gain_of(first.correction, whole) == second.gain
    ended = second.correction.by_reflection
    assert ended.before == ended.after
    assert first.correction.by_reflection.before != first.correction.by_reflection.after


def test_what_cannot_be_refined_ends_the_cycles(given):
    """A refinement that is not to make a cycle does not converge."""
    from dials_spread.refinement import RefinementSettings

    settings = RefinementSettings(start_shift=0.0, max_cycles=1)
    found = correct_in_cycles(given, 2, settings)
    assert found.n_kept == 1
    assert found.reason.startswith(
        "the refinement did not converge: no convergence in 1"
    )


def test_no_further_cycle_where_refinement_changes_nothing(given, monkeypatch):
    """Of the true structure; and of one that refinement changes a further one is made."""
    from dials_spread.with_structure import cycles

    found = correct_in_cycles(given, 3, least_change=0.1)
    assert (found.n_kept, len(found.cycles)) == (1, 1)
    assert found.reason.startswith("refinement changes structure factors by")
    corrected = found.cycles[0].correction
    monkeypatch.setattr(cycles, "correct_with_structure", lambda *_, **__: corrected)
    again = correct_in_cycles(given, 2, least_change=1e-4)
    # The same correction predicts no better: it is not kept.
    assert again.n_kept == 1 and len(again.cycles) == 2
    assert "by a standard deviation (z = 0.0)" in again.reason


def test_a_cycle_without_a_step_is_not_kept_after_one_with(given, monkeypatch):
    """However well it predicts what is set apart: the first estimate would be written."""
    from dials_spread.with_structure import cycles

    corrected = correct_in_cycles(given, 1).last.correction
    assert corrected.n_steps
    better = corrected.problem.table.intensity / corrected.to_F**2
    better = np.where(np.isfinite(corrected.predicted), better, np.nan)
    none = replace(corrected, predicted=better, n_steps=0)
    monkeypatch.setattr(cycles, "correct_with_structure", lambda *_, **__: none)
    found = correct_in_cycles(given, 2, begun=corrected)
    assert found.n_kept == 1 and found.cycles[1].gain.z > 3
    assert found.reason == "left-out observations bear out no step in cycle 2"
