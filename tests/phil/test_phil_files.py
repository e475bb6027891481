"""The files of settings: each is understood, says why, and its command runs with it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import libtbx.phil
from dials.array_family import flex
from dials.util import Sorry
from dxtbx.model import Experiment, ExperimentList

from dials_spread.arguments import argument_problems
from dials_spread.phil import FOLDER, phil_file, phil_files
from dials_spread.phil.__main__ import main

KINDS = (
    *("one_crystal", "protein_microed", "serial_stills"),
    "small_molecule_many_crystals",
)
COMMANDS = ("compare_images", "ml_correct", "simulate_ed")
FILES = [(kind, name) for kind, files in phil_files().items() for name in files]


def command(name):
    return importlib.import_module(f"dials_spread.command_line.{name}")


def definitions(path):
    return libtbx.phil.parse(file_name=str(path)).all_definitions()


def test_every_kind_has_a_file_for_every_command():
    assert set(FILES) == {(kind, name) for kind in KINDS for name in COMMANDS}


@pytest.mark.parametrize("kind, name", FILES)
def test_its_command_understands_it(kind, name):
    path = phil_file(kind, name)
    assert argument_problems(command(name).phil_scope, [str(path)]) == []
    # The file of another command is refused, so that this can fail.
    other = next(n for n in COMMANDS if n != name and definitions(path))
    alien = phil_file("protein_microed", other)
    assert argument_problems(command(name).phil_scope, [str(alien)])


@pytest.mark.parametrize("kind, name", FILES)
def test_every_setting_differs_from_the_default_and_says_why(kind, name):
    path = phil_file(kind, name)
    scope = command(name).phil_scope
    given = definitions(path)
    changed = scope.fetch_diff(libtbx.phil.parse(file_name=str(path)))
    assert {d.path for d in changed.all_definitions()} == {d.path for d in given}
    lines = path.read_text(encoding="ascii").splitlines()
    assert lines[0].startswith(f"# dials.{name}: ")
    kinds = [line.strip()[:1] == "#" for line in lines]
    for n, line in enumerate(lines):
        if "=" in line and not kinds[n]:
            # A comment above it, or above the scope that begins with it.
            above = n - 2 if lines[n - 1].endswith("{") else n - 1
            assert above > 0 and kinds[above], f"{line.strip()} has no reason"


def test_where_they_are_is_printed(capsys):
    assert main(["one_crystal", "dials.ml_correct"]) == 0
    printed = capsys.readouterr().out
    assert printed == f"{FOLDER / 'one_crystal' / 'ml_correct.phil'}\n"
    assert main([]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(FILES)


@pytest.mark.parametrize(
    "args, message",
    [
        (
            ["two_crystals", "ml_correct"],
            "no kind 'two_crystals'; there are one_crystal",
        ),
        (
            ["one_crystal", "scale"],
            "no file of one_crystal for 'scale'; there are comp",
        ),
        (["one_crystal"], "give a command too, as one_crystal ml_correct"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(args, message, capsys):
    assert main(args) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith(f"Sorry: {message}")
    assert told.err.count("\n") == 1


def test_the_shell_can_ask_for_a_path():
    ask = [sys.executable, "-m", "dials_spread.phil", "serial_stills", "ml_correct"]
    result = subprocess.run(ask, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(phil_file("serial_stills", "ml_correct"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, data, says",
    [
        ("small_molecule_many_crystals", "abiraterone", "within 1° of each other"),
        ("one_crystal", "quartz", "within 3° of each other"),
        ("serial_stills", "cunir_stills", "at least 3 indices in common"),
        ("protein_microed", "abiraterone", "30 indices in common"),
    ],
)
def test_compare_images_runs_with_it(
    kind, data, says, data_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    files = [str(data_folder / data / f"integrated.{end}") for end in ("expt", "refl")]
    quick = ["output.html=None", "noisy_spots.analyse=False", "beam.analyse=False"]
    quick += ["likelihood.permutations=99", "variogram.analyse=False"]
    command("compare_images").run(
        [*files, str(phil_file(kind, "compare_images")), *quick]
    )
    log = (tmp_path / "dials.compare_images.log").read_text()
    assert says in " ".join(log.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, data, merged",
    [
        ("small_molecule_many_crystals", "abiraterone", "merged.hkl"),
        ("one_crystal", "quartz", "merged.hkl"),
        ("protein_microed", "abiraterone", "merged.mtz"),
    ],
)
def test_ml_correct_runs_with_it(
    kind, data, merged, data_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    files = [str(data_folder / data / f"integrated.{end}") for end in ("expt", "refl")]
    command("ml_correct").run(
        [*files, str(phil_file(kind, "ml_correct")), "output.html=None"]
    )
    assert (tmp_path / merged).stat().st_size > 5_000
    assert (tmp_path / "corrected.refl").is_file()


@pytest.mark.slow
def test_stills_without_lp_are_corrected_with_their_file(tmp_path, monkeypatch):
    """And are refused without it: the correction was not trained on them."""
    monkeypatch.chdir(tmp_path)
    simulated = [str(phil_file("serial_stills", "simulate_ed")), "structure=quartz"]
    command("simulate_ed").run([*simulated, "n_crystals=90", "d_min=0.6", "seed=1"])
    turned = ExperimentList.from_file("simulated.expt", check_format=False)
    stills = ExperimentList(
        [
            Experiment(
                beam=one.beam,
                detector=one.detector,
                crystal=one.crystal,
                identifier=one.identifier,
            )
            for one in turned
        ]
    )
    stills.as_file("stills.expt")
    table = flex.reflection_table.from_file("simulated.refl")
    del table["lp"]
    table.as_file("stills.refl")
    run = command("ml_correct").run
    with pytest.raises(Sorry, match="90 of 90 crystals are stills"):
        run(["stills.expt", "stills.refl"])
    with pytest.raises(Sorry, match="no Lorentz factor can be computed"):
        run(["stills.expt", "stills.refl", "force=True"])
    run(["stills.expt", "stills.refl", str(phil_file("serial_stills", "ml_correct"))])
    assert (tmp_path / "merged.hkl").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_simulate_ed_runs_with_it(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = str(phil_file(kind, "simulate_ed"))
    smaller = ["n_crystals=2", "d_min=1.5", "structure=quartz", "scan_width=15"]
    if kind == "serial_stills":
        smaller = ["n_crystals=20", "d_min=1.0", "structure=quartz"]
    command("simulate_ed").run([given, *smaller])
    read = ExperimentList.from_file("simulated.expt", check_format=False)
    assert len(read) == (20 if kind == "serial_stills" else 2)
    assert len(flex.reflection_table.from_file("simulated.refl")) > 20
