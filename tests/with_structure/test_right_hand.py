"""Structures of either hand, of simulated crystals whose hand is known, and of quartz."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.refinement.against_reference import compare_structures
from dials_spread.reindexing import Reindexing
from dials_spread.rfactor import r_factor
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure
from dials_spread.structures.structure_files import read_structure, write_cif
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure import StructureInput, in_right_hand
from dials_spread.with_structure.hands import compare_hands, held_out_residuals
from dials_spread.with_structure.local_simulation import LocalSettings
from dials_spread.with_structure.problem import set_up
from dials_spread.with_structure.tilts import Tilts

SAME = Reindexing("h,k,l", np.eye(3), True)


@pytest.fixture(scope="module")
def given(crystals):
    """Simulated crystals with the mirror image of their structure."""
    first = estimate(crystals.subject.counted, choose_model(), nproc=1)
    return StructureInput(
        crystals.subject, first, crystals.structure.inverse_hand(), SAME,
        crystals.experiments, crystals.tables, nproc=1,
        settings=LocalSettings(n_beams=20),
    )  # fmt: skip


def r1(crystals, F):
    true = true_amplitudes(crystals.subject.observations, crystals.tables)
    known = np.isfinite(true)
    return r_factor(F[known], true[known])[0]


@pytest.mark.slow
def test_the_mirror_image_of_a_wrong_hand_is_taken(crystals, given):
    right = in_right_hand(given)
    assert right.turned is not None and right.turned.z < -3
    taken = right.given.structure
    assert compare_structures(taken, crystals.structure).mean_shift() < 1e-6
    assert right.correction.hands.z > 3
    kept = in_right_hand(given, bound=1000.0)
    assert kept.turned is None and kept.given is given
    first, second = given.first.F, right.correction.estimate.F
    assert r1(crystals, second) < 0.6 * r1(crystals, first)
    assert r1(crystals, second) < 0.7 * r1(crystals, kept.correction.estimate.F)


@pytest.mark.slow
def test_the_right_hand_is_kept(crystals, given):
    right = in_right_hand(replace(given, structure=crystals.structure))
    assert right.turned is None and right.correction.hands.z > 3


def test_residuals_of_an_observation_do_not_know_its_own_intensity(crystals, given):
    """Without tilts the scale of each comes from other parts: |ΔF| is linear in √I."""
    problem, _, _ = set_up(replace(given, shapes=[Shape(400.0)] * 3))
    n = len(problem.table)
    part = np.random.default_rng(0).integers(0, 5, n)
    tilts = Tilts(np.zeros(n), part, np.zeros(n), 0.0, False)
    every = np.ones(n, bool)
    before, _ = held_out_residuals(problem, tilts, every)
    intensity = np.where(
        part == 2, 100 * problem.table.intensity, problem.table.intensity
    )
    there = replace(problem, table=replace(problem.table, intensity=intensity))
    after, _ = held_out_residuals(there, tilts, every)
    I, _ = problem.simulated(problem.prior.F, gradient=False)
    strong = (part == 2) & (problem.table.intensity > 0) & np.isfinite(I)
    f_c = np.sqrt(I[strong])
    # The old scale from the old residual, and with it the new one: 10 F_o - F_c.
    sides = [10 * (f_c + sign * before[strong]) - f_c for sign in (1, -1)]
    match = np.minimum(*(np.abs(np.abs(x) - after[strong]) for x in sides))
    np.testing.assert_allclose(match / f_c.mean(), 0, atol=1e-6)


@pytest.mark.slow
def test_of_kinematic_crystals_there_is_no_hand():
    """Two chiral compounds: multiple scattering alone tells hands apart."""
    cell = (5.9, 7.1, 9.3, 90.0, 90.0, 90.0)
    for seed in (1, 2):
        rng = np.random.default_rng([3, seed])
        structure = random_structure(rng, cell, "P 21 21 21")
        experiments, table = simulate_experiments(
            structure, rng, n_crystals=2, d_min=1.0, scan_width=50.0, wave="kinematic",
            noise=NoiseModel(mean_counts=2000.0),
        )  # fmt: skip
        tables = [table.select(table["id"] == i) for i in range(2)]
        subject = get_subject(experiments, tables, force=True, nproc=1)
        first = estimate(subject.counted, choose_model(), nproc=1)
        upright, _, _ = set_up(
            StructureInput(
                subject, first, structure, SAME, experiments, tables, nproc=1
            )
        )
        hands = compare_hands(upright)
        assert abs(hands.z) < 3
        assert hands.n > 500


@pytest.mark.slow
def test_quartz_of_the_wrong_hand(data_folder, tmp_path, monkeypatch):
    """Its space group is one of an enantiomorphic pair: the other one is taken."""
    monkeypatch.chdir(tmp_path)
    stem = data_folder / "quartz" / "integrated"
    mirror = read_structure("quartz").change_hand()
    Path("mirror.cif").write_text(write_cif(mirror, "mirror"))
    told = {}
    for source in ("quartz", "mirror.cif"):
        run([
            f"{stem}.expt", f"{stem}.refl", f"structure={source}",
            "output.refined=refined.res", "nproc=1",
        ])  # fmt: skip
        told[source] = json.loads(Path("dials.ml_correct.json").read_text())
        group = read_structure("refined.res").space_group_info()
        assert str(group) == "P 32 2 1"
        refined = Path("refined.res").read_text()
    right, wrong = (told[x]["with_structure"] for x in told)
    assert right["hands_given"] is None and wrong["hands_given"]["z"] < -3
    assert right["hands"]["z"] == pytest.approx(wrong["hands"]["z"], abs=0.01)
    for key in ("first", "second"):
        assert right["r1_structure"][key] == pytest.approx(
            wrong["r1_structure"][key], abs=2e-4
        )
    assert "SYMM -Y,X-Y,Z+2/3" in refined
    (warning,) = [
        x for x in told["mirror.cif"]["correction"]["warnings"] if "wrong hand" in x
    ]
    assert (
        "mirror.cif has the wrong hand: the data agree with its mirror image" in warning
    )
    assert "space group P 32 2 1, given was P 31 2 1" in warning
    assert "wrong hand" not in " ".join(told["quartz"]["correction"]["warnings"])
