"""dials.ml_correct and dials.compare_images on corrected and uncorrected crystals."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.command_line import compare_images
from dials_spread.command_line.ml_correct import run

pytestmark = pytest.mark.slow

QUICK = ("method=weights", "output.html=None")


def read(name) -> flex.reflection_table:
    return flex.reflection_table.from_file(str(name))


def read_experiments(name):
    return ExperimentListFactory.from_json_file(str(name), check_format=False)


def of_crystal(name, number: int) -> dict[str, bytes]:
    table = read(name)
    own = table.select(table["id"] == number)
    return {
        key: own[key].as_numpy_array().tobytes()
        for key in own.keys()
        if key.startswith(("intensity", "ml_correction"))
    }


def named(name: str) -> list[str]:
    return [f"output.experiments={name}.expt", f"output.reflections={name}.refl"]


@pytest.fixture(scope="module")
def folder(data_folder, tmp_path_factory):
    """Quartz, a copy of it, the same corrected, and the copy joined with either."""
    made = tmp_path_factory.mktemp("joined")
    stem = data_folder / "quartz" / "integrated"
    experiments, table = read_experiments(f"{stem}.expt"), read(f"{stem}.refl")
    experiments.as_file(str(made / "plain.expt"))
    table.as_file(str(made / "plain.refl"))
    experiments[0].identifier = table.experiment_identifiers()[0] = "copy"
    # A millionth of a pixel away: the very same crystal twice is refused.
    x, y, z = table["xyzcal.px"].parts()
    table["xyzcal.px"] = flex.vec3_double(x + 1e-6, y, z)
    experiments.as_file(str(made / "copy.expt"))
    table.as_file(str(made / "copy.refl"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        run(["plain.expt", "plain.refl", *QUICK])
        for name, output in (("corrected", "mixed"), ("plain", "alike")):
            files = [
                f"{stem}.{end}" for stem in (name, "copy") for end in ("expt", "refl")
            ]
            subprocess.run(
                ["dials.combine_experiments", *files, *named(output)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
    return made


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mixed(folder, own_folder) -> list[str]:
    return [str(folder / f"mixed.{ending}") for ending in ("expt", "refl")]


def test_undo_restores_the_corrected_crystal_alone(folder, mixed, capsys):
    run([*mixed, "undo=True"])
    told = capsys.readouterr().out
    assert told.count("1 of 2 is corrected by dials.ml_correct, 1 not. The others") == 1
    assert Path("uncorrected.refl").read_bytes() == (folder / "alike.refl").read_bytes()
    run(["uncorrected.expt", "uncorrected.refl", *QUICK])  # as if never corrected
    with pytest.raises(Sorry, match="nothing to undo"):
        run(["uncorrected.expt", "uncorrected.refl", "undo=True", *named("again")])


def test_the_other_crystal_can_be_corrected(folder, mixed):
    run([*mixed, *QUICK])
    assert of_crystal("corrected.refl", 0) == of_crystal(mixed[1], 0)
    # The copy is corrected as the same data were when they were alone.
    assert of_crystal("corrected.refl", 1) == of_crystal(folder / "corrected.refl", 0)
    (told,) = [
        w
        for w in json.loads(Path("dials.ml_correct.json").read_text())["correction"][
            "warnings"
        ]
        if "mixed" in w
    ]
    assert "1 of 2 is corrected by dials.ml_correct, 1 not. Those that are stay" in told
    assert "mixed: 1 of 2" in " ".join(Path("dials.ml_correct.log").read_text().split())
    run(["corrected.expt", "corrected.refl", "undo=True"])
    assert Path("uncorrected.refl").read_bytes() == (folder / "alike.refl").read_bytes()
    with pytest.raises(Sorry, match="^These reflections are corrected already"):
        run(["corrected.expt", "corrected.refl", *QUICK, *named("twice")])


def test_files_of_both_kinds_are_joined_with_all_that_undo_needs(folder, own_folder):
    names = [
        str(folder / f"{stem}.{end}")
        for stem in ("corrected", "copy")
        for end in ("expt", "refl")
    ]
    run([*names, *QUICK, *named("joined")])
    run(["joined.expt", "joined.refl", "undo=True"])
    assert Path("uncorrected.refl").read_bytes() == (folder / "alike.refl").read_bytes()


def test_nothing_is_learnt_from_a_mixture(mixed):
    with pytest.raises(Sorry, match="^1 of 2 crystals is corrected already .*it twice"):
        run([*mixed, "mode=train", "reference=quartz"])
    assert not any(Path(".").iterdir())


@pytest.mark.parametrize("name", ["corrected", "uncorrected", "else"])
def test_the_name_that_is_given_is_written(folder, own_folder, name):
    files = [str(folder / f"corrected.{ending}") for ending in ("expt", "refl")]
    run([*files, "undo=True", f"output.reflections={name}.refl"])
    names = {path.name for path in Path(".").iterdir()} - {"dials.ml_correct.undo.log"}
    assert names == {"uncorrected.expt", f"{name}.refl"}
    assert Path(f"{name}.refl").read_bytes() == (folder / "plain.refl").read_bytes()


def test_the_name_of_an_input_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = Path("corrected.refl").read_bytes()
    files = ["corrected.expt", "corrected.refl"]
    with pytest.raises(Sorry, match="corrected.refl would overwrite an input"):
        run([*files, "undo=True", "output.reflections=corrected.refl"])
    assert Path("corrected.refl").read_bytes() == before


def test_restored_experiments_are_those_that_were_given(folder, own_folder):
    """Their models; dxtbx writes the last digits of crystals anew each time."""
    files = [str(folder / f"corrected.{ending}") for ending in ("expt", "refl")]
    run([*files, "undo=True"])
    (given,) = read_experiments(folder / "plain.expt")
    (back,) = read_experiments("uncorrected.expt")
    assert back.identifier == given.identifier
    for model in ("beam", "detector", "goniometer", "scan"):
        assert getattr(back, model) == getattr(given, model)
    np.testing.assert_allclose(back.crystal.get_A(), given.crystal.get_A(), rtol=1e-12)
    at_points = [
        [c.get_A_at_scan_point(k) for k in range(c.num_scan_points)]
        for c in (back.crystal, given.crystal)
    ]
    assert len(at_points[0]) > 0
    np.testing.assert_allclose(*at_points, rtol=1e-12, atol=1e-15)
    assert str(back.crystal.get_space_group().info()) == (
        str(given.crystal.get_space_group().info())
    )
    assert back.imageset.paths() == given.imageset.paths()
    assert back.profile.to_dict() == given.profile.to_dict()


@pytest.mark.parametrize("name, n", [("mixed", 1), ("alike", 0)])
def test_a_comparison_says_that_kinds_are_mixed(folder, own_folder, name, n):
    files = [str(folder / f"{name}.{ending}") for ending in ("expt", "refl")]
    compare_images.run([*files, "output.json=None"])
    for ending in ("log", "html"):
        told = " ".join(Path(f"dials.compare_images.{ending}").read_text().split())
        assert (
            told.count("Corrected and uncorrected crystals are mixed: 1 of 2 is") == n
        )
