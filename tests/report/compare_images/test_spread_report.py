"""The spread in words, tables, plots and the document."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from dials_spread.observations.error_model import CountingErrors
from dials_spread.report.compare_images.findings import (
    chance_findings,
    describe_chance,
    describe_size,
    describe_worst,
    spread_findings,
)
from dials_spread.report.compare_images.source_sentences import (
    LISTED_AGAIN,
    describe_sources,
)
from dials_spread.report.compare_images.spread.spread_document import spread_documents
from dials_spread.report.compare_images.spread.spread_section import spread_section
from dials_spread.report.compare_images.spread.spread_tables import (
    size_table,
    spread_tables,
)
from dials_spread.report.page.plot_style import plain
from dials_spread.significance import Significance
from dials_spread.spread.analysis import SpreadAnalysis
from dials_spread.spread.sources.told import tell_sources
from dials_spread.spread.variogram.curves import correlation


def say_sources(components, images_agree=False):
    told = tell_sources(components, images_agree)
    return describe_sources(components, told, "electrons", images_agree)


def findings(c, spread=None, significance=None):
    near = c.matches.beam_angle <= 2
    spread = spread or c.spread
    told = spread_findings(c.observations, spread)
    tested = (spread, significance or c.significance, near)
    return told + chance_findings(c.observations, *tested)


def test_the_questions_are_answered_with_numbers(electrons):
    told = " ".join(findings(electrons))
    whole = electrons.spread.size.overall
    assert f"{whole.n[0]:,} observations" in told
    assert "6 crystals" in told
    assert f"s = {100 * electrons.spread.s:.0f} % (95 %: " in told
    assert f"ISa = 1/s = {1 / electrons.spread.s:.1f}" in told
    for what in ("orientation", "counting noise", "of an image", "to a crystal"):
        assert what in told
    assert f"{electrons.spread.components.n_pairs:,} pairs of observations" in told
    assert f"{electrons.significance.n_tested} matched pairs" in told
    assert "not normally distributed" in told
    assert "quote these permutation p-values" in told
    assert "multiple scattering" in told


def test_what_is_not_shown_is_not_claimed(electrons):
    components = electrons.spread.components
    part = replace(components.orientation, share=0.3, share_low=0.0, share_high=0.5)
    not_shown = replace(components, orientation=part, orientation_p_value=0.4)
    told = " ".join(
        findings(electrons, replace(electrons.spread, components=not_shown))
    )
    assert (
        "A dependence on the orientation is not shown (p = 0.40): at most 50 % of the "
        "variance may depend on it; about 12 crystals would show whether 20 % does."
    ) in told
    assert "multiple scattering" not in told
    assert "depends on the orientation of the crystal" not in told
    # Pairs of images may show it all the same: then nothing is said to be without it.
    by_images = " ".join(say_sources(not_shown, images_agree=True))
    assert "anything else: not separable here" in by_images
    assert "even at the same orientation" not in by_images
    assert "Images of one orientation agree better than others. Pairs of" in by_images
    vague = replace(components, correlation_angle=(1.0, 0.1, 9.1))
    assert "between 0.10° and 9.1°" in " ".join(say_sources(vague))
    sharp = replace(components, correlation_angle=(0.5, 0.3, 0.9))
    told = " ".join(say_sources(sharp))
    assert "reached at 0.50° (95 %: 0.30° to 0.90°), the correlation angle" in told
    missing = replace(part, share=np.nan, share_low=np.nan, reason="too few pairs.")
    spread = replace(
        electrons.spread, components=replace(components, orientation=missing)
    )
    told = " ".join(findings(electrons, spread))
    assert "the orientation cannot be told from these data: too few pairs." in told


def test_empty_parts_say_why_in_one_sentence(electrons):
    reasons = {"spread": "no data.", "variogram": "switched off."}
    spread = SpreadAnalysis(reasons=reasons)
    nothing = np.empty(0)
    untested = Significance(nothing, nothing, nothing, reason="there are none.")
    assert findings(electrons, spread, untested) == [
        "How large is the spread? It could not be measured: no data.",
        "Do images of the same orientation agree better than expected by chance? This "
        "was not tested: there are none.",
    ]
    section = spread_section(electrons.observations, spread)
    assert section.plots == {}
    assert section.notes == ["Size of the spread: no data."]
    assert spread_tables(spread) == ["Size of the spread: no data."]
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
    low, high = plots["variogram"]["layout"]["yaxis"]["range"]
    drawn = np.concatenate([t["y"] for t in plots["variogram"]["data"]])
    assert low < drawn.min() < drawn.max() < high
    robust = next(t for t in plots["variogram"]["data"] if t.get("name") == "robust")
    assert len(robust["y"])
    main = electrons.spread.variograms.shown
    lost = 1 - correlation(main.shape, np.array(curve[0]["x"]) / main.range[0])
    expected = main.nugget[0] + (main.sill[0] - main.nugget[0]) * lost
    np.testing.assert_allclose(curve[0]["y"], expected, rtol=1e-4)


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
    for word in ("by mean intensity", "by crystal", "between crystals", "γ at 0°"):
        assert word in text
    assert "counting noise" in text


def test_no_isa_without_a_spread(electrons):
    """1/s is the asymptotic I/σ where there is an s, and nothing where there is none."""
    size = electrons.spread.size
    nothing = replace(size, overall=replace(size.overall, s=np.zeros(1)))
    told = describe_size(nothing)
    assert "ISa" not in told and "by no more than their σ explain" in told
    limited = describe_size(replace(size, scaling_limit=18.9))
    assert "; dials.scale found 18.9 for the same data." in limited


def test_scaled_data_have_the_isa_of_dials_scale(electrons):
    """1/s is no ISa where σ holds the relative term of another error model."""
    size = replace(electrons.spread.size, scaling_limit=18.9)
    left_in = describe_size(size, scaled=True)
    assert "1/s" not in left_in and "s is the b" not in left_in
    assert "is ISa = 18.9 by dials.scale" in left_in
    model = [np.array([x, np.nan]) for x in (1.01, 0.053)]
    counting = CountingErrors(np.ones(5), *model, {"integration": 5})
    taken_off = describe_size(size, scaled=True, counting=counting)
    assert f"ISa = 1/s = {1 / size.s:.1f}" in taken_off
    assert "dials.scale (a = 1.01, b = 0.053) was taken off. A robust" in taken_off
    partly = replace(counting, taken_from={"integration": 3, "as written": 2})
    told = describe_size(size, scaled=True, counting=partly)
    assert "taken off, but for 2 of 5 observations, where it is not known. A" in told


def test_without_pairs_of_one_orientation_the_rest_may_be_the_orientation(electrons):
    components = electrons.spread.components
    nothing = replace(
        components.orientation, variance=np.nan, share=np.nan, reason="too few pairs."
    )
    no_repeats = replace(
        components.thickness, variance=np.nan, share=np.nan, reason="too few repeats."
    )
    components = replace(components, thickness=no_repeats)
    unknown = replace(components, orientation=nothing)
    told = say_sources(unknown)[0]
    assert "same orientation" not in told
    assert "on the orientation or on anything else: not separable here" in told
    assert "even at the same orientation" in say_sources(components)[0]
    spread = replace(electrons.spread, components=unknown)
    assert "anything else: not separable here" in "\n".join(spread_tables(spread))
    bars = spread_section(electrons.observations, spread).plots["components"]
    assert "orientation or<br>anything else" in bars["layout"]["xaxis"]["ticktext"]


def test_tables_plots_and_document_withhold_what_sentences_withhold(electrons):
    """Two crystals: no share of the orientation anywhere, one of it and the rest together."""
    fitted = electrons.spread.components
    unknown = dict.fromkeys(("variance", "share", "share_low", "share_high"), np.nan)
    two = replace(
        fitted,
        n_crystals=2,
        orientation_p_value=np.nan,
        thickness=replace(fitted.thickness, **unknown, reason="too few repeats."),
    )
    both = fitted.orientation.share + fitted.rest.share
    spread = replace(electrons.spread, components=two)
    told = tell_sources(two)
    sentence = " ".join(say_sources(two))
    assert f"{100 * both:.0f} % depends on the orientation or on anything" in sentence
    assert sentence.endswith("cannot be told: it takes three crystals.")
    rows = [
        row for row in spread_tables(spread, told)[-1].split("\n") if "it takes" in row
    ]
    assert len(rows) == 1 and not re.search(r"\d", rows[0])
    bars = spread_section(electrons.observations, spread, told=told).plots["components"]
    names = bars["layout"]["xaxis"]["ticktext"]
    assert "orientation" not in names
    place = names.index("orientation or<br>anything else")
    assert bars["data"][0]["y"][place] == pytest.approx(100 * both, rel=1e-3)
    c = electrons
    document = spread_documents(c.observations, spread, c.significance, told)
    assert document["components"]["rest_is"] == "not apart"
    assert "it takes three" in document["components"]["not_told"]["orientation"]


def test_no_curve_is_drawn_where_no_growth_is_shown(electrons):
    shown = replace(electrons.spread.variograms.shown, growth_p_value=0.3)
    variograms = replace(electrons.spread.variograms, main=shown, corrected=None)
    spread = replace(electrons.spread, variograms=variograms)
    plot = spread_section(electrons.observations, spread).plots["variogram"]
    assert not [t for t in plot["data"] if t.get("mode") == "lines"]
    assert "growth with the angle is not shown" in str(plot["layout"])
    assert "correlation angle" not in str(plot["layout"])
    assert "correlation angle" not in "\n".join(spread_tables(spread))


def test_crossings_listed_again_are_no_evidence(electrons):
    """One crystal of overlapping frames: no share, and no number of pairs that agree."""
    one = replace(electrons.spread.components, n_crystals=1, orientation_p_value=np.nan)
    spread = replace(electrons.spread, components=one)
    sources = tell_sources(one, reason=LISTED_AGAIN)
    told = describe_sources(one, sources, "electrons")
    assert len(told) == 1 and "%" not in told[0] and "listed again" in told[0]
    table = spread_tables(spread, sources)[-1]
    assert "not given" in table and not re.search(r"\d", table)
    section = spread_section(electrons.observations, spread, told=sources)
    assert "components" not in section.plots
    assert any("listed again" in note for note in section.notes)
    apart = say_sources(one)
    assert "depends on the orientation of the crystal" not in apart[0]
    assert "in one crystal orientation, illuminated volume" in apart[1]
    same = electrons.matches.beam_angle <= 2
    told = describe_chance(electrons.significance, None, same, True, True)
    assert "nothing follows from the p-values" in told
    assert str(electrons.significance.n_tested) not in told


def test_one_crystal_has_no_intervals_in_the_table(electrons):
    size = electrons.spread.size
    assert "observations taken as independent" in size_table(size)
    single = replace(size.overall, crystals=np.ones_like(size.overall.crystals))
    text = size_table(replace(size, overall=single))
    assert "No intervals: the observations of one crystal" in text
    assert text != size_table(size)


def test_the_worst_images_are_named(electrons):
    observations, size = electrons.observations, electrons.spread.size
    quiet = replace(size.by_image, s_low=np.full(len(size.by_image), 1e-3))
    told = describe_worst(observations, replace(size, by_image=quiet))
    n = np.isfinite(size.by_image.s).sum()
    assert told.startswith(f"Which images are worst? None of {n} images has an s above")
    loud = {name: getattr(size.by_image, name).copy() for name in ("s", "s_low")}
    image = int(np.flatnonzero(np.isfinite(loud["s"]))[3])
    loud["s"][image], loud["s_low"][image] = 9.0, 8.0
    changed = replace(size, by_image=replace(quiet, **loud))
    told = describe_worst(observations, changed)
    images = observations.images
    name = f"{images.crystal[image]} / {images.first[image]}"
    assert f"(crystal / image): {name} (s = 900 %)" in told
    assert "may differ by its scale alone" in told
    few = replace(quiet, s=np.full(len(quiet), np.nan))
    told = describe_worst(observations, replace(size, by_image=few))
    assert "cannot be told: 0 images of" in told
