"""dials.ml_correct on damaged crystals: what it says, and what it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.command_line.ml_correct import run
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.structures.structure_files import write_cif

GAINED = 2.5
"""B at the end of each scan [Å²]."""


@pytest.fixture(scope="module")
def dynamical(small_structure):
    """Experiments and table of three crystals of 400 Å, undamaged."""
    experiments, table = simulate_experiments(
        small_structure,
        np.random.default_rng(12),
        n_crystals=3,
        d_min=0.95,
        scan_width=60.0,
        wave="dynamical",
        thickness=ThicknessModel(400.0),
        noise=NoiseModel(mean_counts=2000.0, scale_spread=0.3, extra_error=0.03),
    )
    return experiments, table


def decayed(table) -> flex.reflection_table:
    """The same of crystals whose B grew by GAINED along their scans."""
    found = table.copy()
    z = found["xyzobs.px.value"].parts()[2].as_numpy_array()
    crystal, t = found["id"].as_numpy_array(), np.zeros(len(found))
    for c in np.unique(crystal):
        own = crystal == c
        t[own] = (z[own] - z[own].min()) / np.ptp(z[own])
    left = np.exp(-0.5 * GAINED * t / found["d"].as_numpy_array() ** 2)
    for kind in ("sum", "prf"):
        for what, power in (("value", 1), ("variance", 2)):
            name = f"intensity.{kind}.{what}"
            found[name] = flex.double(found[name].as_numpy_array() * left**power)
    return found


def corrected(experiments, table, *args) -> tuple[dict, str, flex.reflection_table]:
    ExperimentList(experiments).as_file("a.expt")
    table.as_file("a.refl")
    run(["a.expt", "a.refl", *args])
    told = json.loads(Path("dials.ml_correct.json").read_text(encoding="utf-8"))
    log = Path("dials.ml_correct.log").read_text(encoding="utf-8")
    return (
        told,
        " ".join(log.split()),
        flex.reflection_table.from_file("corrected.refl"),
    )


def B_between(one, other) -> float:
    """How far the second of two tables of the same rows falls off less [Å²]."""
    values = [t["intensity.prf.value"].as_numpy_array() for t in (one, other)]
    kept = np.minimum(*values) > 0.3 * np.median(values[0])
    x = one["d"].as_numpy_array()[kept] ** -2.0
    return 2 * np.polyfit(x, np.log(values[1] / values[0])[kept], 1)[0]


def test_damage_is_told_and_taken_out(
    dynamical, small_structure, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    experiments, table = dynamical
    Path("true.cif").write_text(write_cif(small_structure, "true"), encoding="utf-8")
    reference = "reference=true.cif"
    whole, said, whole_table = corrected(experiments, table, reference)
    assert "Beam damage" not in said
    assert whole["correction"]["scales"]["decay"]["B_gained"] == [0, 0, 0]
    told, said, own_table = corrected(experiments, decayed(table), reference)
    B, su = re.search(r"grows steadily, by (\S+) ± (\S+) Å²", said).groups()
    assert abs(float(B) - GAINED) < 2 * float(su) < 0.8
    assert "Corrected intensities are taken back to the first image" in said
    decay = told["correction"]["scales"]["decay"]
    assert decay["mean"] == pytest.approx(float(B), abs=0.05)
    # R1 before is that of the damaged data; after, that of undamaged ones, or nearly.
    r1 = [
        d["r1"][k]["merged"]["r1"] for d in (whole, told) for k in ("before", "after")
    ]
    assert r1[2] > 1.15 * r1[0] and r1[3] < 1.1 * r1[1] and r1[3] < 0.75 * r1[2]
    # What is written, too: the falloff of the two tables is the same.
    assert abs(B_between(whole_table, own_table)) < 0.4


def test_at_half_strength_all_damage_is_taken_out(dynamical, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiments, table = dynamical
    found = [
        corrected(experiments, one, "strength=0.5")[2]
        for one in (table, decayed(table))
    ]
    assert abs(B_between(*found)) < 0.4


def test_without_correction_only_the_merge_is_taken_back(
    dynamical, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    experiments, table = dynamical
    own = decayed(table)
    _, said, written = corrected(experiments, own, "strength=0", "output.merged=m.hkl")
    assert "The tables keep it, and dials.scale takes it out" in said
    np.testing.assert_array_equal(
        written["intensity.prf.value"].as_numpy_array(),
        own["intensity.prf.value"].as_numpy_array(),
    )
