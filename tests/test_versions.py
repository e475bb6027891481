"""Both generations of DIALS refuse arguments in their own way, and we in one."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime

import pytest

import dials_spread
from dials_spread.versions import cif_error, experiments_file, parsed_or_refused


def test_what_is_parsed_is_given_back(capsys):
    def parse():
        sys.stderr.write("a warning\n")
        return 3

    assert parsed_or_refused(parse) == 3
    assert capsys.readouterr().err == "a warning\n"


def test_the_way_of_3_12():
    def parse():
        raise RuntimeError("definitions were not recognised")

    with pytest.raises(RuntimeError, match="^definitions were not recognised$"):
        parsed_or_refused(parse)


def test_the_way_of_argparse_and_of_3_30(capsys):
    parser = argparse.ArgumentParser(prog="dials.x")
    parser.add_argument("--number", type=int)
    with pytest.raises(RuntimeError, match="^argument --number: invalid int value"):
        parsed_or_refused(lambda: parser.parse_args(["--number", "x"]))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("code", "told"),
    [("Error: tip = 3 is unknown", "tip = 3 is unknown"), (2, "are not understood")],
)
def test_leaving_with_words_or_with_none(code, told):
    with pytest.raises(RuntimeError, match=told):
        parsed_or_refused(lambda: sys.exit(code))


def test_help_ends_the_program():
    with pytest.raises(SystemExit) as error:
        parsed_or_refused(lambda: sys.exit(0))
    assert error.value.code == 0


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("Wrong number of data items for loop containing _b", ("_b", None)),
        ("memory(line 2) : lexer error 1 :\n\tUnexpected", ("", 2)),
        ("<string>:6:1: loop containing tag '_b' has 1 values, not", ("_b", 6)),
        ("<string>:2:4: unterminated single-quoted string", ("", 2)),
        ("Binary file detected, aborting parsing.", ("", None)),
    ],
)
def test_both_parsers_of_cif_are_understood(told, found):
    assert cif_error(told) == found


def experiments_with(lines):
    model = pytest.importorskip("dxtbx.model")
    experiment = model.Experiment(identifier="a")
    if hasattr(model, "History") and lines:
        experiment.history = model.History(lines)
    return model.ExperimentList([experiment])


IMPORTED = "2026-01-01T00:00:00Z|dials.import|v3.30.0"


def test_the_program_and_its_version_are_in_the_history():
    experiments = experiments_with([IMPORTED])
    content = json.loads(experiments_file(experiments, "dials.ml_correct"))
    usual = json.loads(experiments.as_json())
    lines = content.pop("history", [])
    usual.pop("history", None)
    assert content == usual
    if not hasattr(experiments[0], "history"):
        assert not lines
        return
    assert lines[0] == IMPORTED
    ((when, *rest),) = (line.split("|") for line in lines[1:])
    assert rest == ["dials.ml_correct", f"v{dials_spread.__version__}"]
    assert datetime.fromisoformat(when.replace("Z", "+00:00")).year >= 2026
    assert experiments[0].history.get_history()[:2] == lines


@pytest.mark.parametrize("lines", [[IMPORTED], []])
def test_without_a_program_the_history_stays(lines):
    experiments = experiments_with(lines)
    content = json.loads(experiments_file(experiments, None))
    if hasattr(experiments[0], "history"):
        assert content["history"] == lines
    assert content["experiment"][0]["identifier"] == "a"
