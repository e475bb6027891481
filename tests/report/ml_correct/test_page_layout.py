"""The page of dials.ml_correct in a browser."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dials_spread.report.ml_correct.before_after import compare
from dials_spread.report.ml_correct.correction_outputs import (
    correction_document,
    correction_parts,
)
from dials_spread.report.ml_correct.correction_verdict import correction_verdict
from dials_spread.report.page.document import Provenance
from dials_spread.report.page.report_files import parts_page
from dials_spread.report.page.template import plotly_facts

OUTPUT = SimpleNamespace(
    experiments="corrected.expt",
    reflections="corrected.refl",
    merged="corrected.hkl",
    json="dials.ml_correct.json",
    html="dials.ml_correct.html",
    log="dials.ml_correct.log",
)


@pytest.fixture(scope="module")
def parts_and_document(correct):
    result = correct(7, "dynamical", 600.0, known=True)
    pair, verdict = compare(result), correction_verdict(result)
    provenance = Provenance("dials.ml_correct", ["a.expt", "a.refl"], {"mode": "apply"})
    document = correction_document(provenance, result, pair, verdict)
    return correction_parts(result, pair, verdict, OUTPUT), document


def test_every_trace_is_in_the_bundle(parts_and_document):
    known = set(plotly_facts()["traces"].split())
    plots = [p for s in parts_and_document[0].sections for p in s.plots.values()]
    assert len(plots) > 8
    assert {trace["type"] for plot in plots for trace in plot["data"]} <= known


@pytest.mark.slow
@pytest.mark.parametrize("width", [1300, 420])
def test_nothing_overlaps_at_this_width(parts_and_document, width, layout_of):
    parts, document = parts_and_document
    written = {"corrected.expt": "experiments", "corrected.hkl": "for SHELXL"}
    page = parts_page(document, parts, written).decode("utf-8")
    layout = layout_of(page, width)
    assert layout["faults"] == []
    assert layout["width"] == width
    assert layout["plots"] == sum(len(s.plots) for s in parts.sections)
