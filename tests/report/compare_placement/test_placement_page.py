"""What dials.compare_placement writes: document, page, log, files."""

from __future__ import annotations

import io
import json
import logging
import math

import pytest

from dials_spread.report.compare_placement.placement_document import placement_document
from dials_spread.report.compare_placement.placement_outputs import (
    placement_parts,
    write_placement,
)
from dials_spread.report.compare_placement.placement_sentences import warnings
from dials_spread.report.page.report_files import parts_page
from dials_spread.report.page.static import write_figure
from dials_spread.report.page.template import plotly_facts

pytestmark = pytest.mark.slow

BEST = {"best.ins": b"TITL\n", "best.hkl": b"   0   0   0    0.00    0.00\n"}


def plots_of(parts):
    return {name: p for s in parts.sections for name, p in s.plots.items()}


def numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [x for v in value for x in numbers(v)]
    return [value] if isinstance(value, float) else []


@pytest.fixture
def written(compared_quartz, provenance, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logger = logging.getLogger("dials")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    write_placement(compared_quartz, provenance, output, log, BEST)
    logger.removeHandler(handler)
    logger.setLevel(level)
    return tmp_path


def test_all_files_are_there_and_told(written, output):
    names = {f.name for f in written.iterdir()}
    assert names == {*BEST, output.log, output.json, output.html}
    log = (written / output.log).read_text()
    for title in ("Input\n-----", "Summary\n-------", "Tables\n------"):
        assert title in log
    assert "Written: best.hkl (merged intensities of the best branch" in log
    assert log.rstrip().rpartition("What to do next")[2].startswith("\n-----")
    page = (written / output.html).read_text()
    assert "broken.model" in page and "broken.model" in log


def test_nothing_is_written_where_one_file_cannot_be(
    compared_quartz, provenance, tmp_path, monkeypatch, output
):
    monkeypatch.chdir(tmp_path)
    files = {**BEST, "no/such/folder.ins": b""}
    with pytest.raises(OSError):
        write_placement(compared_quartz, provenance, output, io.StringIO(), files)
    assert list(tmp_path.iterdir()) == []


def test_the_document_is_finite_or_null(written, compared_quartz, output):
    document = json.loads((written / output.json).read_text())
    assert all(math.isfinite(x) for x in numbers(document))
    assert document["verdict"] == compared_quartz.verdict.as_dict()
    assert set(document["branches"]) == set(compared_quartz.branches)
    assert "broken.model" in document["branches"]["own"]["failed"]
    assert document["branches"]["own"]["files"] is None
    r1 = document["branches"]["before"]["r1_common"]["r1"]
    assert r1 == compared_quartz.branches["before"].r1_common.r1
    assert document["structure"]["solved_from"] is None
    assert document["resampled"] == {"kind": "parts of scans", "n": 12}


def test_a_structure_that_was_solved_here(solved_here, provenance, output):
    parts = placement_parts(solved_here, provenance, output, [*BEST])
    document = placement_document(provenance, solved_here, warnings(solved_here))
    assert document["structure"]["solved_from"] == "before"
    assert any("not independent" in text for text in document["warnings"])
    assert ("structure", "solved here from “corrected before scaling”") in parts.facts


def test_plots_hold_every_branch_that_ended(compared_quartz, provenance, output):
    plots = plots_of(placement_parts(compared_quartz, provenance, output, []))
    assert set(plots) == {
        *("difference_r1", "difference_refined_r1", "difference_mean_shift"),
        *("shells", "fo_fc", "shifts", "peaks"),
        *("solution_rates", "solution_correlations"),
    }
    titles = {b.branch.title for b in compared_quartz.finished.values()}
    for name in ("shells", "fo_fc", "shifts", "solution_rates"):
        drawn = {trace["name"] for trace in plots[name]["data"]}
        assert drawn - {"equal"} == titles, name
    shown = {
        t["name"] for t in plots["fo_fc"]["data"] if t.get("visible", True) is True
    }
    assert shown >= {"no correction"} and len(shown) <= 3


def test_dots_are_where_the_differences_are(compared_quartz, provenance, output):
    plots = plots_of(placement_parts(compared_quartz, provenance, output, []))
    base = compared_quartz.branches["none"].r1_common.r1
    for trace in plots["difference_r1"]["data"]:
        (branch,) = [
            b
            for b in compared_quartz.finished.values()
            if b.branch.title == trace["name"]
        ]
        assert trace["x"][0] == pytest.approx(branch.r1_common.r1 - base, abs=1e-3)
        if branch.branch.name != "none":
            bar = trace["error_x"]
            assert bar["array"][0] >= 0 and bar["arrayminus"][0] >= 0


def test_every_plot_can_be_drawn(compared_quartz, provenance, tmp_path, output):
    plots = plots_of(placement_parts(compared_quartz, provenance, output, []))
    known = set(plotly_facts()["traces"].split())
    assert {t["type"] for p in plots.values() for t in p["data"]} <= known
    for name, plot in plots.items():
        assert len(plot["help"]) > 100
        write_figure(plot, tmp_path / f"{name}.png")


@pytest.mark.parametrize("width", [1300, 420])
def test_nothing_overlaps_at_this_width(
    compared_quartz, provenance, width, layout_of, output
):
    parts = placement_parts(compared_quartz, provenance, output, [*BEST])
    document = placement_document(provenance, compared_quartz, parts.warnings)
    page = parts_page(document, parts, {"best.hkl": "for SHELXL"}).decode("utf-8")
    layout = layout_of(page, width)
    assert layout["faults"] == []
    assert layout["width"] == width
    assert layout["plots"] == len(plots_of(parts))
