"""The numbers of a simulated data set, against cctbx's own merging."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import miller
from dials.array_family import flex

from dials_spread.report.simulate_ed.simulation_summary import (
    crystals_table,
    shells_table,
    summarise_simulation,
    unique_numbers,
)
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.structures.structure_files import read_structure


@pytest.fixture(scope="module")
def simulated():
    structure = read_structure("quartz")
    return structure, *simulate_experiments(
        structure, np.random.default_rng(2), n_crystals=3, d_min=1.0, wave="dynamical"
    )


def test_merged_r1_is_that_of_means_by_cctbx(simulated):
    structure, experiments, table = simulated
    one = experiments[:1]
    own = table.select(table["id"] == 0)
    summary = summarise_simulation(one, own)
    indices = miller.set(structure.crystal_symmetry(), own["miller_index"], False)
    merged = [
        indices.array(own[f"intensity.{wave}.value"]).merge_equivalents().array()
        for wave in ("dynamical", "kinematic")
    ]
    assert summary.n_unique == merged[0].size()
    f_o, f_c = (np.sqrt(array.data().as_numpy_array()) for array in merged)
    # One scale: the best of a fine grid.
    scales = np.linspace(0.5, 2, 3001) * f_c.sum() / f_o.sum()
    r1 = np.abs(scales[:, None] * f_o - f_c).sum(axis=1).min() / f_c.sum()
    assert summary.merged["r1_dynamical"] == pytest.approx(r1, abs=1e-3)
    assert summary.merged["n"] == len(f_c)


def test_a_scale_of_one_crystal_changes_nothing(simulated):
    _, experiments, table = simulated
    before = summarise_simulation(experiments, table)
    table = table.copy()
    factor = np.where(table["id"].as_numpy_array() == 1, 3.0, 1.0)
    table["intensity.dynamical.value"] *= flex.double(factor)
    after = summarise_simulation(experiments, table)
    assert after.merged["r1_dynamical"] == pytest.approx(before.merged["r1_dynamical"])
    assert "thickness" in crystals_table(after)
    assert "R1" in crystals_table(after)
    assert "R1" not in crystals_table(after, wave="kinematic")
    assert shells_table(after).count("\n") == len(after.shells) + 5
    assert "R1 without noise" in shells_table(after)
    kinematic = shells_table(after, wave="kinematic")
    assert "R1 without noise" not in kinematic and "R1 as recorded" in kinematic
    last = [line.split()[-1:] for line in shells_table(after).splitlines()]
    assert last == [line.split()[-1:] for line in kinematic.splitlines()]


def test_equivalents_share_a_number(simulated):
    _, experiments, _ = simulated
    # The Laue group -3m of P3221: twelve equivalents of a general reflection.
    hkl = [(1, 2, 3), (-1, -2, -3), (2, -3, 3), (-3, 1, 3), (2, 1, -3), (1, 2, -3)]
    numbers = unique_numbers(experiments[0], flex.miller_index(hkl))
    assert len(set(numbers[:5])) == 1 and numbers[5] != numbers[0]
