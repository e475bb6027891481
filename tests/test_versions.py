"""Both generations of DIALS refuse arguments in their own way, and we in one."""

from __future__ import annotations

import argparse
import sys

import pytest

from dials_spread.versions import cif_error, parsed_or_refused


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
