"""Whole runs of dials.compare_images, and what they leave behind."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.command_line import compare_images as command
from dials_spread.command_line.compare_images import run
from dials_spread.report.compare_images import outputs
from dials_spread.report.compare_images.document import pair_entries

NAMES = [f"dials.compare_images.{ending}" for ending in ("html", "json", "log", "npz")]


def written(folder: Path = Path(".")) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(filename: str = "dials.compare_images.json") -> dict:
    return json.loads(Path(filename).read_text(encoding="utf-8"))


def test_four_files_are_written_and_nothing_else(good):
    run([good.refl, good.expt, "nproc=1"])
    assert written() == sorted([*NAMES, good.expt, good.refl])
    log = Path(NAMES[2]).read_text(encoding="utf-8")
    assert "nproc = 1" in log
    assert f"Written: {NAMES[0]}" in log


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["log", "json", "html", "tables"])
def test_each_output_can_be_left_out(good, kind):
    run([good.expt, good.refl, f"output.{kind}=None"])
    ending = "npz" if kind == "tables" else kind
    assert f"dials.compare_images.{ending}" not in written()
    assert len(written()) == 5


def test_help_and_configuration(capsys):
    for argument, expected in (
        ("-h", "scaled.expt scaled.refl"),
        ("-c", "min_common = 5"),
    ):
        with pytest.raises(SystemExit) as stop:
            run([argument])
        assert stop.value.code in (0, None)
        assert expected in capsys.readouterr().out


@pytest.mark.slow
def test_parameters_from_files_and_verbosity(good, capsys):
    Path("own.phil").write_text("matching {\n  top = 3\n  min_common = 6\n}\n")
    run([good.expt, "own.phil", good.refl, "matching.top=4", "-vv", "output.html=None"])
    used = read()["parameters"]
    assert (used["matching.top"], used["matching.min_common"]) == ("4", "6")
    assert min(read()["matches"]["n_common"]) >= 6
    assert "top = 4" in capsys.readouterr().out


@pytest.mark.slow
def test_pairs_that_are_named_are_shown(good):
    run([good.expt, good.refl, "output.html=None", "output.log=None"])
    last = pair_entries(read()["matches"])[-1]
    named = [
        last[i][key] for i in ("image_a", "image_b") for key in ("crystal", "image")
    ]
    argument = "pair=" + ",".join(map(str, named))
    run([good.expt, good.refl, argument, "n_pairs_shown=1", "output.figures=figures"])
    ranks = {name.split("_")[1] for name in written(Path("figures")) if "pair" in name}
    assert ranks == {"1", str(read()["n_matches"])}


def test_some_variances_that_do_not_serve_are_dropped_and_counted(good):
    variance = good.table["intensity.prf.variance"]
    for first, value in enumerate((np.nan, -1.0, 0.0, np.inf)):
        variance[first] = value
    good.table["intensity.prf.variance"] = variance
    good.table.as_file("some.refl")
    run([good.expt, "some.refl"])
    assert read()["input"]["dropped"]["variance not positive and finite"] == 4
    log = Path(NAMES[2]).read_text(encoding="utf-8")
    assert re.search(r"variance not positive and finite +4\n", log)


def test_one_crystal_is_allowed_and_said(good):
    good.experiments[:1].as_file("one.expt")
    good.table.select(good.table["id"] == 0).as_file("one.refl")
    run(["one.expt", "one.refl", "image_width=2"])
    assert "There is one crystal only" in Path(NAMES[2]).read_text(encoding="utf-8")
    assert read()["input"]["crystals"] == 1


@pytest.mark.slow
def test_copies_of_crystals_are_refused(good, refused):
    shutil.copy(good.expt, "copy.expt")
    shutil.copy(good.refl, "copy.refl")
    told = refused(good.expt, "copy.expt", "copy.refl", good.refl)
    assert len(told) == 3
    assert f"Crystal 3 (copy.expt) is crystal 0 ({good.expt}) again" in told[0]


@pytest.mark.parametrize("ending", ["json", "html", "log"])
def test_no_input_is_overwritten(good, refused, ending):
    Path("link").symlink_to(good.refl)
    for name in (good.expt, f"./{good.refl}", "link", good.folder / good.expt):
        told = refused(good.expt, good.refl, f"output.{ending}={name}")
        assert told == [f"output.{ending}={name} would overwrite an input"]
    earlier = "dials.compare_images.json"
    told = refused(good.expt, good.refl, f"compare_with={earlier}")
    assert told[0] == f"output.json={earlier} would overwrite an input"


@pytest.mark.slow
def test_an_interrupt_leaves_no_file(good, listing, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    before = listing(good.folder)
    for late in ("build_pictures", "compare_images_page", "save_figures"):
        with monkeypatch.context() as patch:
            patch.setattr(outputs, late, interrupt)
            with pytest.raises(KeyboardInterrupt):
                run([good.expt, good.refl, "output.figures=figures"])
        assert listing(good.folder) == before


@pytest.mark.slow
def test_a_figure_that_fails_leaves_no_file(good, listing, monkeypatch):
    from dials_spread.report.page import static

    draw, drawn = static.write_figure, []

    def fail_at_the_third(plot, path):
        drawn.append(draw(plot, path))
        if len(drawn) == 3:
            raise OSError(28, "No space left on device", str(path))
        return drawn[-1]

    before = listing(good.folder)
    monkeypatch.setattr(static, "write_figure", fail_at_the_third)
    with pytest.raises(command.Sorry, match="No space left"):
        run([good.expt, good.refl, "output.figures=figures"])
    assert listing(good.folder) == before


@pytest.mark.slow
def test_two_runs_are_alike_whatever_the_order_and_the_threads(good):
    quiet = ("output.html=None", "output.log=None")
    run([good.expt, good.refl, "nproc=1", *quiet])
    first = Path(NAMES[1]).read_text(encoding="utf-8")
    run([good.expt, good.refl, "nproc=1", *quiet])
    assert Path(NAMES[1]).read_text(encoding="utf-8") == first
    run([good.refl, "nproc=2", *quiet, good.expt])
    again, before = read(), json.loads(first)
    assert again["parameters"].pop("nproc") != before["parameters"].pop("nproc")
    assert again == before


@pytest.mark.slow
def test_the_order_of_the_crystals_changes_names_only(good):
    """Crystals in reverse, tables in another order than the experiments."""
    run([good.expt, good.refl, "output.html=None"])
    before = read()
    for i, experiment in enumerate(reversed(good.experiments)):
        ExperimentList([experiment]).as_file(f"{i}.expt")
        table = good.table.select(good.table["id"] == 2 - i)
        table.reset_ids()
        table.as_file(f"table_{i}.refl")
    tables = [f"table_{i}.refl" for i in (1, 0, 2)]
    run([*tables, "0.expt", "1.expt", "2.expt", "output.html=None"])
    after = read()
    assert pairs(after, rename=lambda c: 2 - c) == pairs(before)
    same = "agreement_same_orientation"
    for name, estimate in before[same].items():
        # A scale is that of the second image against the first.
        if name != "scale":
            np.testing.assert_allclose(
                [after[same][name]["median"], after[same][name]["n_pairs"]],
                [estimate["median"], estimate["n_pairs"]],
                rtol=1e-6,
            )


def pairs(document: dict, rename=lambda c: c) -> dict:
    """R, rounded, and number of common indices of each pair, whichever comes first."""
    found = {}
    for match in pair_entries(document["matches"]):
        images = (match["image_a"], match["image_b"])
        names = frozenset((rename(i["crystal"]), i["image"]) for i in images)
        found[names] = (match["n_common"], round(match["r_factor"], 6))
    return found


@pytest.mark.slow
def test_a_process_of_its_own(good):
    """As a shell runs it: status 0, nothing on standard error."""
    line = [sys.executable, "-m", command.__name__, good.expt, good.refl]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "median over pairs" in done.stdout
    assert written() == sorted([*NAMES, good.expt, good.refl])


@pytest.mark.slow
def test_the_function_below_changes_nothing_of_what_it_is_given(good, monkeypatch):
    monkeypatch.setattr(sys, "argv", None)  # whoever reads it fails
    tables = [good.table.select(good.table["id"] == i) for i in range(3)]
    before = [describe(table) for table in tables]
    experiments = good.experiments.to_dict()
    result = command.compare_images([*good.experiments], tables)
    assert len(result.matches) > 10
    assert [describe(table) for table in tables] == before
    assert good.experiments.to_dict() == experiments
    assert written() == [good.expt, good.refl]


def describe(table: flex.reflection_table) -> tuple:
    columns = {name: [*table[name]] for name in table.keys()}
    return columns, dict(table.experiment_identifiers())
