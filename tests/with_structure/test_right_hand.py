"""Structures of either hand, of simulated crystals whose hand is known, and of quartz."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.refinement.against_reference import compare_structures
from dials_spread.reindexing import Reindexing
from dials_spread.rfactor import r_factor
from dials_spread.structures.structure_files import read_structure, write_cif
from dials_spread.with_structure import StructureInput, in_right_hand
from dials_spread.with_structure.local_simulation import LocalSettings

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
    from dataclasses import replace

    right = in_right_hand(replace(given, structure=crystals.structure))
    assert right.turned is None and right.correction.hands.z > 3


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
