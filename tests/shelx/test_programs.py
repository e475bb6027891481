"""
SHELX is not installed where these tests run. The outputs below are written by hand, in the
format that its documentation shows, with invented numbers: they test the parser alone. The
programs that are run are small scripts that stand in for a program which fails, hangs, or
leaves such a file, to test how processes are handled.
"""

from __future__ import annotations

import stat
import sys

import pytest

from dials_spread.shelx import missing_programs, run_shelxl, run_shelxt
from dials_spread.shelx.programs import read_shelxl, read_shelxt

RES = """TITL invented in P2(1)/c
CELL  0.02508   5.0000   6.0000   7.0000   90.000  100.000   90.000
HKLF    4

REM  invented in P2(1)/c
REM wR2 = 0.3456, GooF = S = 1.234, Restrained GooF = 1.230 for all data
REM R1 = 0.1357 for    987 Fo > 4sig(Fo) and 0.1579 for all   1234 data
REM    101 parameters refined using     12 restraints

END

WGHT      0.1500      0.2000

REM Highest difference peak  0.123,  deepest hole -0.098,  1-sigma level  0.021
Q1    1   0.1000  0.2000  0.3000  11.00000  0.05    0.12
"""

LST = """
 Mean shift/esd = 0.011    Maximum =   -0.042 for  U11 C1       at 12:00:00
 Max. shift = 0.001 A for C1
"""

RES_T = """REM SHELXT solution in P2(1)/c: R1 0.111, Rweak 0.022, Alpha 0.033
REM <I/s> 0.444 for 55 systematic absences,  Orientation as input
REM Formula found by SHELXT:   C8 N O2
TITL invented_a.res in P2(1)/c
"""


def test_figures_of_a_refinement():
    found = read_shelxl(RES, LST)
    assert (found.r1, found.n_strong, found.r1_all, found.n_all) == (
        *(0.1357, 987),
        *(0.1579, 1234),
    )
    assert (found.wr2, found.goodness_of_fit) == (0.3456, 1.234)
    assert (found.n_parameters, found.n_restraints) == (101, 12)
    assert (found.highest_peak, found.deepest_hole) == (0.123, -0.098)
    assert found.max_shift == 0.042
    assert found.error is None
    assert found.as_dict()["r1"] == 0.1357


def test_a_refinement_that_failed_says_why():
    found = read_shelxl("TITL nothing\n", " ** UNIT CELL CONTENTS WRONG **\n")
    assert found.error == "SHELXL wrote no R1 (UNIT CELL CONTENTS WRONG)"
    assert found.r1 is None
    assert read_shelxl("").error == "SHELXL wrote no R1"


def test_figures_that_are_not_printed_are_none():
    line = "REM R1 = 0.2 for 10 Fo > 4sig(Fo) and 0.3 for all 20 data\n"
    found = read_shelxl(line)
    assert (found.r1, found.wr2, found.highest_peak, found.max_shift) == (
        0.2, None, None, None,
    )  # fmt: skip


def test_figures_of_a_solution():
    found = read_shelxt(RES_T, "invented_a.res")
    assert (found.space_group, found.formula) == ("P2(1)/c", "C8 N O2")
    assert (found.r1, found.r_weak, found.alpha) == (0.111, 0.022, 0.033)
    assert (found.res, found.error) == ("invented_a.res", None)
    assert read_shelxt("").error == "SHELXT found no solution"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder alone on PATH, and a function that puts a script into it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, body: str) -> None:
        path = folder / name
        # A path with a space cannot stand behind #!.
        script = path.with_suffix(".py")
        script.write_text(body)
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return put


def test_absent_programs_are_told_in_one_line(programs, tmp_path):
    told = missing_programs()
    assert told.startswith("shelxt and shelxl are not on PATH: ") and "\n" not in told
    assert run_shelxl(tmp_path, "x").error == "shelxl is not on PATH"
    assert run_shelxt(tmp_path, "x").error == "shelxt is not on PATH"
    programs("shelxt", "")
    assert missing_programs().startswith("shelxl is not on PATH: ")
    programs("shelxl", "")
    assert missing_programs() is None


def test_a_program_that_leaves_a_file(programs, tmp_path):
    programs("shelxl", f"import sys; open(sys.argv[1] + '.res', 'w').write({RES!r})")
    programs(
        "shelxt", f"import sys; open(sys.argv[1] + '_a.res', 'w').write({RES_T!r})"
    )
    assert run_shelxl(tmp_path, "x").r1 == 0.1357
    assert run_shelxt(tmp_path, "x").res == str(tmp_path / "x_a.res")


def test_solutions_of_an_earlier_run_do_not_count(programs, tmp_path):
    (tmp_path / "x_a.res").write_text(RES_T)
    programs("shelxt", "")
    assert run_shelxt(tmp_path, "x").error == "SHELXT found no solution"


def test_a_program_that_fails(programs, tmp_path):
    programs("shelxl", "print(' ** BAD CELL **'); raise SystemExit(3)")
    assert run_shelxl(tmp_path, "x").error == (
        "shelxl ended with exit status 3: BAD CELL"
    )


def test_a_program_that_hangs(programs, tmp_path):
    programs("shelxl", "import time; time.sleep(60)")
    assert run_shelxl(tmp_path, "x", timeout=0.5).error == (
        "shelxl was stopped after 0.5 s"
    )
