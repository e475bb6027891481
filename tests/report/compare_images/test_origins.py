"""Beam, zone axes and noisy spots on the page: plots, sentences, tables, reasons."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dials_spread.observations.error_model import counting_errors
from dials_spread.report.compare_images.origins.origins_findings import (
    _verdict,
    origin_findings,
)
from dials_spread.report.compare_images.origins.origins_section import (
    origin_sections,
    origin_tables,
)
from dials_spread.report.page.document import finite
from dials_spread.report.page.static import write_figure
from dials_spread.spread.origins import (
    OriginAnalysis,
    OriginChoices,
    analyse_origins,
    as_documents,
    noisy_of,
)

PLOTS = {
    *("beam_scans", "beam_explained", "beam_scatter"),
    *("special_images", "special_correlations", "special_extremes"),
    *("noisy_intensity", "noisy_d_spacing", "noisy_multiplicity"),
    *("noisy_mixture", "noisy_removal"),
}


@pytest.fixture(scope="module", params=["electrons", "raw_electrons"])
def comparison(request):
    return request.getfixturevalue(request.param)


@pytest.mark.slow
def test_every_plot_has_a_help_and_can_be_drawn(comparison, tmp_path):
    sections = origin_sections(comparison.observations, comparison.origins)
    assert [s.name for s in sections] == ["beam", "orientations", "noisy_spots"]
    plots = {name: p for s in sections for name, p in s.plots.items()}
    assert len(plots) >= 9 and set(plots) <= PLOTS
    for name, plot in plots.items():
        assert len(plot["help"].split()) > 40
        assert plot["layout"]["title"]["text"]
        json.dumps(plot, allow_nan=False)
        path = write_figure(plot, tmp_path / f"{name}.png")
        assert path.stat().st_size > 5000


def test_the_document_is_json_with_all_keys(comparison):
    document = finite(as_documents(comparison.origins))
    assert set(document) == {"beam", "orientations", "noisy_spots"}
    json.dumps(document, allow_nan=False)
    assert len(document["beam"]["image_factor"]["k"]) == len(
        comparison.observations.images
    )
    assert len(document["orientations"]["zone"]) == len(comparison.observations.images)


def test_words_and_tables_tell_the_numbers(electrons):
    told = " ".join(origin_findings(electrons.origins))
    assert "Do special orientations matter?" in told
    assert "180 images" in told or "images of 6 crystals" in told
    removed = electrons.origins.noisy_spots.remove_cut
    assert f"({removed.n_removed:,} observations)" in told
    tables = "\n".join(origin_tables(electrons.origins))
    assert "as many at random" in tables
    assert "zone axis" in tables
    extreme = electrons.origins.orientations.extremes[0]
    assert f"{abs(extreme['z']):.1f}" in tables


@pytest.mark.parametrize(
    "low, p_value, told",
    [
        (
            0.2,
            np.nan,
            "The background under the spots explains 40 % (95 %: 20 to 60 %)",
        ),
        (-0.1, np.nan, "does not explain their variance"),
        (np.nan, 0.01, "explains 40 %"),
        (np.nan, 0.3, "would fit as well in another order (p = 0.30)"),
    ],
)
def test_a_beam_is_told_where_it_is_more_than_chance(electrons, low, p_value, told):
    found = electrons.origins.beam
    share = replace(
        found.explained["background"], r_squared=0.4, low=low, high=0.6, p_value=p_value
    )
    beam = replace(found, explained={"background": share}, ceiling=0.9)
    sentence = origin_findings(replace(electrons.origins, beam=beam))[0]
    assert told in sentence


def test_raw_images_are_told(raw_electrons):
    section = origin_sections(raw_electrons.observations, raw_electrons.origins)[0]
    notes = " ".join(section.notes)
    assert "60 raw images were read, each once" in notes
    assert "saturates on every frame" in notes


def test_what_is_switched_off_is_not_shown_and_says_so(electrons):
    off = OriginChoices(beam=False, orientations=False, noisy_spots=False)
    observations, experiments = electrons.observations, electrons.experiments
    counting = counting_errors(observations, experiments, [])
    args = (observations, counting, electrons.scales, 0.5)
    nothing = analyse_origins(*args, off, np.random.default_rng(0))
    assert origin_sections(electrons.observations, nothing) == []
    assert origin_findings(nothing) == [] and origin_tables(nothing) == []
    assert as_documents(nothing)["beam"] == {"reason": "switched off."}
    with pytest.raises(ValueError, match="there are no noisy spots"):
        noisy_of(nothing, "both")
    why = OriginAnalysis(reasons={"noisy_spots": "no reflection."})
    section = origin_sections(electrons.observations, why)
    assert section[0].notes == ["Not computed: no reflection."]


def test_what_is_set_aside_is_what_was_found(electrons):
    found = electrons.origins.noisy_spots
    cut, cluster, both = (
        noisy_of(electrons.origins, which) for which in ("cut", "cluster", "both")
    )
    np.testing.assert_array_equal(cut, found.noisy_observations)
    np.testing.assert_array_equal(both, cut | cluster)


@pytest.mark.parametrize(
    ("p", "difference", "after", "told"),
    [
        (0.0099, 0.01, 0.99, "helps"),
        (0.0099, 0.01, 0.9805, "raises CC½ a little"),
        (0.0099, 0.01, 0.98, "raises CC½ above that of random choices (p = 0.0099)"),
        (0.4, 0.01, 0.99, "does not raise CC½ more than expected by chance"),
    ],
)
def test_the_verdict_on_leaving_out_agrees_with_p(p, difference, after, told):
    removal = SimpleNamespace(
        reason="",
        before={"cc_half": 0.98},
        after={"cc_half": after},
        p_value={"cc_half": p},
        difference={"cc_half": difference},
        n_removed=30,
        n_used=1000,
    )
    assert _verdict(removal).startswith(told)
    if told == "helps":
        removal.n_removed = 370
        assert "but costs 37 % of the observations" in _verdict(removal)
