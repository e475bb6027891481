"""dials.compare_placement with the real programs on real files."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from dials.array_family import flex
from dials.util import Sorry

from dials_spread.command_line import compare_placement
from dials_spread.observations.correction_state import FACTOR, original_name

QUICK = ["solution.starts=4", "resampling.draws=40", "output.html=None"]


def files_of(data_folder, name: str) -> list[str]:
    return [str(data_folder / name / f"integrated.{e}") for e in ("expt", "refl")]


@pytest.fixture(scope="module")
def quartz(data_folder, tmp_path_factory):
    """One run on measured quartz, with its report."""
    folder = tmp_path_factory.mktemp("quartz")
    here = Path.cwd()
    os.chdir(folder)
    try:
        arguments = [a for a in QUICK if not a.startswith("output")]
        compare_placement.run(
            [*files_of(data_folder, "quartz"), "structure=quartz", *arguments]
        )
    finally:
        os.chdir(here)
    document = json.loads((folder / "dials.compare_placement.json").read_text())
    return folder, document


@pytest.mark.slow
def test_quartz_is_better_corrected(quartz):
    """Measured with other scripts: 0.23 without and 0.145 with, before scaling or after."""
    _, document = quartz
    assert document["verdict"]["kind"] == "correct"
    r1 = {k: b["r1_common"]["r1"] for k, b in document["branches"].items()}
    assert r1["none"] == pytest.approx(0.229, abs=0.01)
    assert r1["before"] == pytest.approx(0.145, abs=0.01)
    # What is lost after scaling is less than a tenth of the gain.
    assert r1["after"] <= r1["before"] + 0.1 * (r1["none"] - r1["before"])
    for name in ("none", "before", "after", "merged"):
        tests = document["branches"][name]["tests"]
        assert tests["moved"]["converged"] and tests["given"]["converged"]
        assert tests["moved"]["r1_strong"] == pytest.approx(
            tests["given"]["r1_strong"], abs=0.005
        )
    assert "lorentz" not in document["branches"]
    assert document["resampled"]["kind"] == "parts of scans"


@pytest.mark.slow
def test_files_of_the_best_branch_are_read_back(quartz):
    from iotbx.reflection_file_reader import any_reflection_file

    from dials_spread.structures.structure_files import read_structure

    folder, document = quartz
    atoms = read_structure(str(folder / "best.ins"))
    assert sorted(s.scattering_type for s in atoms.scatterers()) == ["O", "Si"]
    arrays = any_reflection_file(f"{folder / 'best.hkl'}=hklf4").as_miller_arrays(
        crystal_symmetry=atoms.crystal_symmetry()
    )
    best = document["verdict"]["best"]
    assert arrays[0].size() == document["branches"][best]["r1"]["n"]


@pytest.mark.slow
def test_results_are_used_again(quartz, data_folder, monkeypatch):
    folder, first = quartz
    monkeypatch.chdir(folder)
    compare_placement.run(
        [*files_of(data_folder, "quartz"), "structure=quartz", "solution.enable=False",
         "refinement.enable=False", "output.json=again.json", "output.html=None"]
    )  # fmt: skip
    again = json.loads(Path("again.json").read_text())
    steps = [s for b in again["branches"].values() for s in b["steps"]]
    assert steps and all(s["reused"] for s in steps)
    for name, branch in again["branches"].items():
        assert branch["r1_common"] == first["branches"][name]["r1_common"]


@pytest.mark.slow
def test_without_a_structure_it_is_solved_first(
    quartz, data_folder, monkeypatch, capsys
):
    """Quartz: silicon and oxygen; R1 against what was solved follows the published one."""
    folder, first = quartz
    monkeypatch.chdir(folder)
    compare_placement.run(
        [*files_of(data_folder, "quartz"), "composition=Si 1 O 2",
         "output.json=solved.json", *QUICK]
    )  # fmt: skip
    told = " ".join(capsys.readouterr().out.split())
    assert "it is not independent of the data" in told
    assert "Solved: " in told
    document = json.loads(Path("solved.json").read_text())
    assert document["verdict"]["kind"] == "correct"
    for name in ("none", "before", "after"):
        found = document["branches"][name]["r1_common"]["r1"]
        known = first["branches"][name]["r1_common"]["r1"]
        assert found == pytest.approx(known, abs=0.06)


@pytest.mark.slow
def test_a_program_that_fails_in_one_branch(data_folder, tmp_path, monkeypatch, capsys):
    """The others finish; its last lines are shown; no exit status but 0."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "dials.scale"
    real = shutil.which("dials.scale")
    script.write_text(
        "#!/bin/sh\n"
        'case "$PWD" in *before/scale) echo "Sorry: no such luck"; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (folder / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    for program in ("dials.ml_correct",):
        (folder / program).symlink_to(shutil.which(program))
    monkeypatch.chdir(tmp_path)
    compare_placement.run(
        [*files_of(data_folder, "quartz"), "structure=quartz", "solution.enable=False",
         "refinement.enable=False", *QUICK[1:]]
    )  # fmt: skip
    told = capsys.readouterr().out
    assert "Sorry: no such luck" in told
    document = json.loads(Path("dials.compare_placement.json").read_text())
    assert document["branches"]["before"]["failed"] == "Sorry: no such luck"
    assert not document["branches"]["after"]["failed"]
    assert document["verdict"]["best"] == "after"


def refused(*arguments: str) -> list[str]:
    before = sorted(Path.cwd().iterdir())
    with pytest.raises(Sorry) as told:
        compare_placement.run(list(arguments))
    assert sorted(Path.cwd().iterdir()) == before
    return str(told.value).splitlines()


def test_a_structure_of_another_compound_is_refused_before_anything_runs(
    data_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (line,) = refused(*files_of(data_folder, "quartz"), "structure=paracetamol")
    assert line.startswith("paracetamol is of another compound: The cell ")


def test_all_that_is_wrong_is_told_at_once(data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refused(
        *files_of(data_folder, "quartz"), "structure=no.cif", "model=no.model",
        "scale.output.html=x.html",
    )  # fmt: skip
    assert told == [
        "model=no.model: no such file",
        "scale.output.html cannot be given: the branches set it",
        "structure=no.cif: no such file",
    ]


def test_a_list_of_amplitudes_is_no_structure(data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.hkl").write_text("   1   0   0   10.00    1.00   1\n")
    (line,) = refused(*files_of(data_folder, "quartz"), "structure=x.hkl")
    assert line.startswith("structure=x.hkl has no atoms")


def test_other_radiation_is_refused_before_anything_runs(
    data_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    sweep = [
        str(data_folder / "l_cysteine" / f"20_integrated.{e}") for e in ("expt", "refl")
    ]
    for files in (sweep, files_of(data_folder, "cunir_stills")):
        (line,) = refused(*files, "allow_pickle=True")
        assert line.startswith("The data are of X-rays (wavelength ")


def test_corrected_data_are_refused_before_anything_runs(
    data_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    expt, refl = files_of(data_folder, "quartz")
    table = flex.reflection_table.from_file(refl)
    # As dials.ml_correct leaves it: the value before, and by what it was multiplied.
    table[FACTOR] = flex.double(len(table), 1.0)
    for what in ("value", "variance"):
        table[original_name("prf", what)] = table[f"intensity.prf.{what}"]
    table.as_file("corrected.refl")
    (line,) = refused(expt, "corrected.refl", "structure=quartz")
    assert line.startswith("These reflections are corrected already")


@pytest.mark.slow
def test_dials_scale_fails_in_all_branches(data_folder, tmp_path, monkeypatch):
    """
    By scale.model=KB: DIALS 3.12 ends at negative intensities of glycine, 3.30 refuses
    this model for one data set. What is told is the last line of all it printed.
    """
    monkeypatch.chdir(tmp_path)
    arguments = ["structure=glycine", "scale.model=KB", *QUICK]
    with pytest.raises(Sorry) as told:
        compare_placement.run([*files_of(data_folder, "glycine"), *arguments])
    (line,) = str(told.value).splitlines()
    assert line.startswith("No branch came to an end. dials.scale failed first (")
    reason, printed = line.split("first (", 1)[1].split("); all that it printed is in ")
    everything = Path(printed).read_text().splitlines()
    assert everything[0].startswith("DIALS (2018)") and len(everything) > 10
    assert reason and [x for x in everything if x.strip()][-1].endswith(reason)
