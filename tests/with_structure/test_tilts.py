"""Errors of orientation are found from intensities, and only where there are some."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from dxtbx.model import Experiment, ExperimentList
from scitbx import matrix

from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.reindexing import Reindexing
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure import StructureInput
from dials_spread.with_structure.local_simulation import local_crystal, tilted
from dials_spread.with_structure.problem import set_up
from dials_spread.with_structure.tilts import fit_tilts

SAME = Reindexing("h,k,l", np.eye(3), True)


def beam_tilted(experiment, degrees):
    """The same experiment with its beam tilted towards the rotation axis."""
    beam = copy.deepcopy(experiment.beam)
    s0 = matrix.col(beam.get_s0())
    across = matrix.col(experiment.goniometer.get_rotation_axis()).cross(s0)
    beam.set_s0(s0.rotate_around_origin(across.normalize(), degrees, deg=True))
    return Experiment(
        beam=beam, detector=experiment.detector, goniometer=experiment.goniometer,
        scan=experiment.scan, crystal=experiment.crystal,
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(crystals):
    return estimate(crystals.subject.counted, choose_model(), nproc=2)


def problem_of(crystals, first, experiments):
    means = [np.median(t["truth.thickness"].as_numpy_array()) for t in crystals.tables]
    return set_up(
        StructureInput(
            crystals.subject,
            first,
            crystals.structure,
            SAME,
            experiments,
            crystals.tables,
            nproc=2,
            shapes=[Shape(float(x)) for x in means],
        )  # fmt: skip
    )[0]


@pytest.mark.parametrize("degrees", [0.2, -0.35])
def test_a_tilt_is_that_of_the_beam(crystals, degrees):
    """Crossings come at the moments, and at the rates, that a tilted beam gives them."""
    experiment, table = crystals.experiments[0], crystals.tables[0]
    own = local_crystal(0, experiment, table, 1.0)
    turned = tilted(own, np.full(len(own), np.radians(degrees)))
    other = local_crystal(0, beam_tilted(experiment, degrees), table, 1.0)
    rows = np.flatnonzero((own.of_row >= 0) & (other.of_row >= 0))
    mine, there = own.of_row[rows], other.of_row[rows]
    slow = own.rate[mine] > 0.2 * np.median(own.rate)
    assert np.abs(turned.phi - own.phi)[mine][slow].max() > np.radians(0.05)
    np.testing.assert_allclose(
        turned.phi[mine][slow], other.phi[there][slow], atol=np.radians(2e-3)
    )
    np.testing.assert_allclose(
        turned.rate[mine][slow], other.rate[there][slow], rtol=0.02
    )


OFF = (0.15, -0.15, 0.1)
"""Of the beams of three crystals [°]."""


def tilted_problem(crystals, first):
    """Crystals whose beams are given wrongly, each in its own direction."""
    given = ExperimentList(
        [beam_tilted(e, d) for e, d in zip(crystals.experiments, OFF)]
    )
    return problem_of(crystals, first, given)


def test_what_was_tilted_is_tilted_back(crystals, first):
    """Of crystals given with beams 0.15° off, each in its own direction."""
    problem = tilted_problem(crystals, first)
    better, tilts = fit_tilts(problem, np.random.default_rng(0))
    assert tilts.used and tilts.z > 4
    table = problem.table
    for c, degrees in enumerate(OFF):
        found = np.degrees(np.median(tilts.tilt[table.crystal == c]))
        assert found == pytest.approx(-degrees, abs=0.05)
    every = np.ones(len(table), bool)
    r1 = []
    for one in (problem, better):
        I, _ = one.simulated(one.potential.calculated, gradient=False)
        r1.append(one.r1(I, one.scales(I, every), every))
    assert r1[1] < 0.8 * r1[0]


def test_right_orientations_stay(crystals, first):
    problem = problem_of(crystals, first, crystals.experiments)
    _, tilts = fit_tilts(problem, np.random.default_rng(0))
    small = replace(tilts, used=True).rms
    assert not tilts.used or small < 0.03


def test_of_shuffled_intensities_nothing_is_learnt(crystals, first):
    problem = problem_of(crystals, first, crystals.experiments)
    order = np.random.default_rng(1).permutation(len(problem.table))
    table = replace(problem.table, intensity=problem.table.intensity[order])
    same, tilts = fit_tilts(replace(problem, table=table), np.random.default_rng(0))
    assert not tilts.used and tilts.rms == 0
    assert same.crystals is problem.crystals


def test_tilts_apart_do_not_know_their_observations(crystals, first):
    """Intensities of one part are exchanged: tilts at its own observations stay."""
    problem = tilted_problem(crystals, first)
    _, tilts = fit_tilts(problem, np.random.default_rng(0))
    own = tilts.part == 0
    # Within one crystal: scales along a rotation, which all tilts share, change little.
    intensity = np.array(problem.table.intensity)
    rows = np.flatnonzero(own)
    intensity[rows] = intensity[rows[::-1]]
    table = replace(problem.table, intensity=intensity)
    _, other = fit_tilts(replace(problem, table=table), np.random.default_rng(0))
    np.testing.assert_array_equal(tilts.part, other.part)
    moved = np.degrees(np.abs(tilts.apart - other.apart))
    assert np.sqrt(np.mean(moved[own] ** 2)) < 0.4 * np.sqrt(np.mean(moved[~own] ** 2))
    assert other.used
