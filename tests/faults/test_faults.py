"""
A cut of the campaign of benchmarks/faults.py: each kind of fault, a few times.

Reading must end in sentences about the input or succeed; with faults in the arguments the
command itself is run, on sound files that it refuses in the end.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from dials.util import Sorry

from dials_spread.command_line import compare_images, import_pets, ml_correct
from dials_spread.input_files import read_files
from dials_spread.observations.crystals import check_crystals
from dials_spread.structures.structure_files import read_structure

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
EACH = 2
SECONDS = 60


def _load(name: str):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


faults = _load("faults")
kinds, further = faults.first, faults.further
FILES = [k for p in (kinds, further) for k in (*p.TABLE, *p.MODEL, *p.FILE)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """What is spoiled: three crystals, and a file as PETS2 writes it."""
    return faults.make_base(tmp_path_factory.mktemp("base"))


def read(arguments) -> None:
    """Read and check files as the commands do."""
    files = [a for a in arguments if "=" not in a or a.endswith((".expt", ".refl"))]
    expt = [f for f in files if f.endswith(".expt")]
    try:
        data = read_files(expt, [f for f in files if f.endswith(".refl")])
        check_crystals(data.experiments, data.names)
        data.refuse_given_twice()
    except ValueError as error:
        raise Sorry(str(error)) from None


def fall_short(run, kind, base, phil, args=(), program="", each=EACH) -> list[str]:
    found = []
    for number in range(each):
        folder = Path(f"{number}")
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            _, words = faults.one_input(number, [kind], base, [*args], phil, 7, program)
            here = Path.cwd()
            before = faults.listing(here)
            outcome = faults.run_forked(run, words, SECONDS)
            fault = faults.judge(outcome, before, faults.listing(here), here)
        if fault:
            found.append(f"{number}: {fault}: {outcome.said[-300:]}")
    return found


@pytest.mark.parametrize("kind", FILES)
def test_spoiled_files_are_read_or_refused(kind, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fall_short(read, kind, base, ml_correct.phil_scope) == []


@pytest.mark.parametrize("kind", [*kinds.ARGUMENT, *further.ARGUMENT])
def test_spoiled_arguments_are_refused(kind, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["matching.min_common=1000000"]  # which no image has: refused in the end
    scope = compare_images.phil_scope
    assert fall_short(compare_images.run, kind, base, scope, args) == []


def read_text(arguments) -> None:
    """Read a structure as the commands do."""
    (name,) = (a.split("=")[1] for a in arguments if a.startswith("structure="))
    try:
        read_structure(name)
    except ValueError as error:
        raise Sorry(str(error)) from None


@pytest.mark.parametrize("number", range(len(faults.TEXT)))
def test_spoiled_texts_are_read_or_refused(number, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for program, run in (("import_pets", import_pets.run), ("simulate_ed", read_text)):
        kind = faults.with_texts(program, base.pets)[number]
        short = fall_short(run, kind, base, import_pets.phil_scope, (), program, 1)
        assert short == [], program
        shutil.rmtree("0")


def test_the_judge_sees_what_falls_short(tmp_path, monkeypatch):
    """Each kind of failure, made on purpose."""
    monkeypatch.chdir(tmp_path)

    def fault_of(run, limit=20) -> str:
        before = faults.listing(tmp_path)
        outcome = faults.run_forked(run, [], limit)
        return faults.judge(outcome, before, faults.listing(tmp_path), tmp_path)

    def refuse(told, write=False):
        def run(_):
            if write:
                Path("a.txt").write_text("x")
            raise Sorry(told)

        return run

    assert fault_of(refuse("a.refl: no flags")) == ""
    assert fault_of(refuse("[Errno 36] File name too long")).startswith("vague")
    assert fault_of(lambda _: 1 / 0) == "traceback"
    assert fault_of(lambda _: importlib.import_module("time").sleep(60), 0.5) == "hangs"
    assert fault_of(lambda _: bytearray(2**40)) == "traceback"
    assert fault_of(lambda _: Path("b.json").write_text('{"a": NaN}')).startswith(
        "nons"
    )
    assert fault_of(lambda _: Path("b.json").write_text('{"a": 1e200}')) != ""
    assert fault_of(lambda _: Path("b.json").write_text('{"a": null}')) == ""
    assert fault_of(refuse("no", write=True)) == "refused, but files are changed"
    assert fault_of(lambda _: Path("run_by_x").mkdir()) == "ran code of the input"
