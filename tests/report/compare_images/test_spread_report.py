"""The spread in words, tables, plots and the document."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.report.compare_images.findings import percent, spread_findings
from dials_spread.report.compare_images.spread.spread_document import spread_documents
from dials_spread.report.compare_images.spread.spread_section import spread_section
from dials_spread.report.compare_images.spread.spread_tables import spread_tables
from dials_spread.report.page.plot_style import plain
from dials_spread.significance import Significance
from dials_spread.spread.analysis import SpreadAnalysis


def findings(c, spread=None, significance=None):
    near = c.matches.beam_angle <= 2
    given = (spread or c.spread, significance or c.significance)
    return spread_findings(c.observations, *given, near)


def test_the_four_questions_are_answered_with_numbers(electrons):
    told = " ".join(findings(electrons))
    whole = electrons.spread.size.overall
    assert f"{whole.n[0]:,} observations" in told
    assert "6 crystals" in told
    assert f"s = {100 * electrons.spread.s:.0f} % (95 %: " in told
    for what in ("orientation", "counting noise", "each image", "each crystal"):
        assert what in told
    assert f"{electrons.spread.components.n_pairs:,} pairs of observations" in told
    assert f"{electrons.significance.n_tested} matched pairs" in told
    assert "not Gaussian" in told
    assert "quote these permutation p-values" in told
    assert "multiple scattering" in told


def test_what_is_not_shown_is_not_claimed(electrons):
    components = electrons.spread.components
    part = replace(components.orientation, share_low=0.0)
    spread = replace(electrons.spread, components=replace(components, orientation=part))
    told = " ".join(findings(electrons, spread))
    assert "A dependence on the orientation is not shown" in told
    assert "multiple scattering" not in told
    missing = replace(part, share=np.nan, share_low=np.nan, reason="too few pairs.")
    spread = replace(
        electrons.spread, components=replace(components, orientation=missing)
    )
    told = " ".join(findings(electrons, spread))
    assert "Whether it depends on the orientation is not known: too few pairs." in told


def test_empty_parts_say_why_in_one_sentence(electrons):
    reasons = {"spread": "no data.", "variogram": "switched off."}
    spread = SpreadAnalysis(reasons=reasons)
    nothing = np.empty(0)
    untested = Significance(nothing, nothing, nothing, reason="there are none.")
    assert findings(electrons, spread, untested) == [
        "The spread could not be measured: no data.",
        "Matched pairs were not tested: there are none.",
    ]
    section = spread_section(electrons.observations, spread)
    assert section.plots == {}
    assert section.notes == ["Size of the spread: no data."]
    assert spread_tables(spread) == ["spread: no data."]
    documents = spread_documents(electrons.observations, spread, untested)
    assert documents["spread"] == {"reason": "no data."}
    assert documents["variogram"] == {"reason": "switched off."}


def test_plots_say_what_good_and_bad_look_like(electrons):
    plots = spread_section(electrons.observations, electrons.spread).plots
    assert {"components", "variogram", "spread_by_crystal", "quantiles"} <= set(plots)
    for name, plot in plots.items():
        assert len(plot["help"]) > 200, name
        assert plot == plain(plot)
    bars = plots["components"]["data"][0]["y"]
    assert sum(bars) == pytest.approx(100, abs=0.01)
    curve = [t for t in plots["variogram"]["data"] if t.get("mode") == "lines"]
    assert len(curve) == 1
    main = electrons.spread.variograms.main
    assert curve[0]["y"][0] == pytest.approx(main.nugget[0], rel=1e-4)


def test_the_document_names_images_as_matches_do(electrons):
    c = electrons
    documents = spread_documents(c.observations, c.spread, c.significance)
    images = documents["spread"]["by_image"]
    assert (images["crystal"] == c.observations.images.crystal).all()
    assert (images["image"] == c.observations.images.first).all()
    assert "partial_sills" not in documents["variogram"]
    assert set(documents["variogram"]["nugget"]) == {"value", "low", "high"}


def test_tables_have_all_parts(electrons):
    text = "\n".join(spread_tables(electrons.spread))
    for word in ("by mean intensity", "by crystal", "between crystals", "nugget"):
        assert word in text
    assert "counting noise" in text


def test_percent_by_hand():
    assert percent(0.537, 0.143, 1.0) == "54 % (95 %: 14 to 100 %)"
    assert percent(0.00098) == "0.1 %"
    assert percent(0.0967) == "9.7 %"
