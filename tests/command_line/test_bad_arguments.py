"""Arguments that do not serve: one clear line for each problem, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dials_spread.command_line.compare_images import run


def test_no_files(good, refused):
    assert refused() == [
        "no files given. Give .expt and .refl files; -h shows examples"
    ]
    assert refused("image_width=2")[0].startswith("no files given")


def test_one_kind_of_file_only(good, refused):
    assert refused(good.expt) == [
        f"no reflections given (.refl); beside {good.expt} there is {good.refl}"
    ]
    assert refused(good.refl) == [
        f"no experiments given (.expt); beside {good.refl} there is {good.expt}"
    ]


def test_arguments_that_are_nothing(good, refused):
    Path("broken.phil").write_text("matching {")
    files = (good.expt, good.refl)
    told = refused(
        *files, "cell.cif", "tip=3", "matching.top=", "broken.phil", "no.phil"
    )
    assert told == [
        "cell.cif: a structure, which this command does not take; give the .expt and "
        ".refl files of dials.integrate or dials.scale",
        "tip=3: no parameter is called tip; did you mean matching.top?",
        "matching.top=: a value is missing",
        "broken.phil: not understood as phil",
        "no.phil: no such file",
    ]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("matching.top=0", "matching.top element is less than the minimum"),
        ("matching.top=abc", "matching.top=abc: a whole number is needed"),
        ("matching.top=None", "matching.top cannot be None"),
        ("matching.top=Auto", "matching.top cannot be Auto"),
        ("image_width=-1", "image_width element is less than the minimum"),
        ("image_width=nan", "image_width cannot be nan"),
        ("image_width=inf", "image_width element is greater than the maximum"),
        ("intensity=wrong", "intensity=wrong: choose auto, scale, profile or sum"),
        ("intensity=None", "intensity cannot be None"),
        ("friedel=None", "friedel cannot be None"),
        ("nproc=abc", "nproc=abc: a whole number or Auto is needed"),
        ("friedel=maybe", "friedel=maybe: True or False is needed"),
        ("nproc=0", "nproc element is less than the minimum"),
        ("dask.scheduler=there", "dask.scheduler=there: not an address"),
        (
            "dask.scheduler=tcp://127.0.0.1:1",
            "dask.scheduler=tcp://127.0.0.1:1: nothing",
        ),
        ("dask.local=0", "dask.local element is less than the minimum"),
        ("pair=0,1,2", "Not enough values for pair"),
        ("pair=0,1,9,2", "pair=0,1,9,2: crystal 9 has no reflections on frame 2"),
        ("pair=0,1,1,500", "pair=0,1,1,500: crystal 1 has no reflections on frame 500"),
        ("pair=0,-1,1,5", "pair element is less than the minimum"),
    ],
)
def test_values_that_do_not_serve(good, refused, argument, expected):
    told = refused(good.expt, good.refl, argument)
    assert len(told) == 1
    assert told[0].startswith(expected)


def test_phil_files_with_what_does_not_exist(good, refused):
    Path("bad.phil").write_text("nonsense = 3\n")
    told = refused(good.expt, good.refl, "bad.phil")
    assert told == [
        "bad.phil: no parameter is called nonsense; -c lists all parameters"
    ]


def test_earlier_results_that_are_none(good, refused):
    def told(name):
        (line,) = refused(good.expt, good.refl, f"compare_with={name}")
        return line

    name = "dials.compare_images"
    assert told("no.json") == "no.json: No such file or directory"
    assert told(good.folder).endswith("Is a directory")
    assert told(good.refl) == "good.refl: not a JSON file"
    assert told(good.expt) == f"good.expt: not a JSON file of {name}"
    for content in ({}, {"agreement_same_orientation": {"cc": {"median": "x"}}}):
        Path("odd.json").write_text(json.dumps({"command": name, **content}))
        assert told("odd.json") == f"odd.json: damaged, or of another version of {name}"


def test_all_problems_are_told_at_once(good, refused):
    assert refused(
        "no.expt", good.refl, "output.json=no/a.json", "compare_with=none.json"
    ) == [
        "output.json=no/a.json: no such folder",
        "none.json: No such file or directory",
        "no.expt: no such file",
    ]


@pytest.mark.slow
def test_status_and_output_of_the_process(good, listing):
    """What a shell sees: the status, one line on standard error, and no file."""
    before = listing(good.folder)
    command = [sys.executable, "-m", run.__module__, "no.expt", good.refl]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "Sorry: no.expt: no such file\n"
    assert "Traceback" not in done.stdout
    assert listing(good.folder) == before
