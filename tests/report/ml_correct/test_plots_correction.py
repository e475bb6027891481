"""Plots of a correction: what is drawn are the numbers, and axes say what they are."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from dials_spread.report.ml_correct.before_after import compare
from dials_spread.report.ml_correct.correction_sections import correction_sections
from dials_spread.report.ml_correct.correction_tables import changes_tables
from dials_spread.report.ml_correct.plots_amplitudes import (
    before_after_plot,
    error_plots,
    reference_plot,
)
from dials_spread.report.ml_correct.plots_correction import changes_plot, images_r1_plot
from dials_spread.report.ml_correct.plots_crystals import crystals_merge_plot
from dials_spread.report.ml_correct.plots_merging import (
    distribution_plot,
    merging_plots,
    wilson_plot,
)
from dials_spread.report.page.labels import digits
from dials_spread.report.page.plot_parts import nice_resolutions, resolution_axis

THICK = 600.0
BARE = {"R", "R1", "R_merge", "CC½", "⟨I/σ⟩", "N(z)", "R1 against kinematic Fc"}
"""Quantities that have no unit."""


@pytest.fixture(scope="module")
def result(correct):
    return correct(7, "dynamical", THICK, known=True)


@pytest.fixture(scope="module")
def pair(result):
    return compare(result)


@pytest.fixture(scope="module")
def plots(result, pair):
    return {k: p for s in correction_sections(result, pair) for k, p in s.plots.items()}


def test_every_plot_is_explained_titled_and_json(plots):
    assert list(plots) == [
        *("before_after", "changes", "factors"),
        *("errors_by_resolution", "errors_by_strength"),
        *("amplitudes", "shells_r1", "images_r1", "crystals_r1"),
        *("r_by_shell", "cc_half", "i_over_sigma", "wilson", "n_z"),
        *("most_changed", "crystals_merge"),
    ]
    for name, plot in plots.items():
        json.dumps(plot, allow_nan=False)
        assert len(plot["help"].split()) > 25, name
        # How good and bad differ is told by a word, or by a line to compare with.
        assert re.search("Good|dashed line|thin line|change", plot["help"]), name
        assert 5 < len(plot["layout"]["title"]["text"]) < 45, name
        assert plot["data"] and all(len(t["x"]) == len(t["y"]) for t in plot["data"])


def test_every_axis_says_its_quantity_and_unit(plots):
    unit = re.compile(
        r"\[.+\]|scale|relative|average|unit|number|factor|at most|z = I|⟨E²⟩ = 1"
    )
    for name, plot in plots.items():
        for key in ("xaxis", "yaxis"):
            title = plot["layout"][key]["title"]["text"]
            bare = title in BARE or title in ("R1 before", "R1 after", "ΣF")
            assert bare or unit.search(title) or "scaled to" in title, (name, title)


def test_amplitudes_are_drawn_with_their_errors(pair):
    dots, most, diagonal = before_after_plot(pair)["data"]
    low = diagonal["x"][0]
    x, y = np.array(dots["x"]), np.array(dots["y"])
    assert x == pytest.approx(np.maximum(pair.before.F, low), rel=1e-5)
    assert y == pytest.approx(np.maximum(pair.after.F, low), rel=1e-5)
    up = np.array(dots["error_y"]["array"])
    assert up == pytest.approx(pair.predicted_sigma_F, rel=1e-5)
    # No error bar reaches nought, which has no place on a logarithmic axis.
    for values, key in ((x, "error_x"), (y, "error_y")):
        assert (values - np.array(dots[key]["arrayminus"]) > 0).all()
    assert len(most["x"]) == 20


def test_the_curves_of_the_merging_plots_are_the_statistics(pair):
    drawn = merging_plots(pair)
    before, after = pair.before.statistics.by_shell, pair.after.statistics.by_shell
    names = [t["name"] for t in drawn["r_by_shell"]["data"]]
    assert names == ["R_meas before", "R_meas after", "R_pim before", "R_pim after"]
    for trace, shells in zip(drawn["cc_half"]["data"], (before, after)):
        assert trace["y"] == pytest.approx([s.cc_half for s in shells], rel=1e-5)
    assert drawn["cc_half"]["layout"]["xaxis"]["ticktext"][-1] == "1.1"


def test_the_distribution_stands_beside_what_is_expected(pair):
    data = {t["name"]: t for t in distribution_plot(pair)["data"]}
    assert {"acentric expected", "acentric before", "acentric after"} <= set(data)
    z, expected = (np.array(data["acentric expected"][k]) for k in "xy")
    assert expected == pytest.approx(1 - np.exp(-z), abs=1e-5)
    own = ~pair.centric
    k = int(np.flatnonzero(z == 1.0)[0])
    part = np.mean(pair.after.z[own] <= 1.0)
    assert data["acentric after"]["y"][k] == pytest.approx(part, abs=1e-5)


def test_the_wilson_plot_falls(pair):
    before, after = wilson_plot(pair)["data"]
    for trace in (before, after):
        assert np.polyfit(trace["x"], trace["y"], 1)[0] < 0


def test_errors_are_drawn_where_some_are_predicted(pair, correct):
    drawn = error_plots(correct(7, "dynamical", THICK), pair)
    assert set(drawn) == {"errors_by_resolution", "errors_by_strength"}
    half = correct(7, "dynamical", THICK, strength=0.5)
    assert not error_plots(half, compare(half))


def test_plots_by_resolution_have_the_numbers_of_the_table(correct):
    """Each number that is drawn, rounded, stands in the table under the same label."""
    result = correct(7, "dynamical", THICK)
    pair = compare(result)
    table = changes_tables(result)[0]
    plots = [
        error_plots(result, pair)["errors_by_resolution"],
        changes_plot(result, pair),
    ]
    curves = [trace for plot in plots for trace in plot["data"]]
    assert len(curves) == 4
    for trace in curves:
        column = table.header.index(trace["name"])
        told = [row[column] for row in table.rows]
        assert told == [digits(float(y)) for y in trace["y"]]
    # And they are what their label says, of the last shell.
    low = float(re.search(r"to (\S+) Å", table.rows[-1][0]).group(1))
    high = float(table.rows[-1][0].split()[0])
    own = (pair.d_spacing < high + 0.005) & (pair.d_spacing > low - 0.005)
    before, after = pair.before.F[own], pair.after.F[own]
    change = np.abs(after - before).sum() / before.sum()
    assert curves[0]["y"][-1] == pytest.approx(change, rel=0.02)


def test_fo_is_nearer_to_fc_after(result, pair):
    before, after, _ = reference_plot(result, result.truth, pair)["data"]

    def off(trace):
        return np.mean(np.abs(np.log(np.array(trace["y"]) / np.array(trace["x"]))))

    assert off(after) < off(before)


def test_one_dot_a_crystal(pair):
    before, after = crystals_merge_plot(pair)["data"]
    assert before["x"] == [0, 1, 2, 3]
    assert after["y"] == pytest.approx(pair.after.r_merge_crystal, rel=1e-5)


@pytest.mark.parametrize("limits", [(20.0, 0.8), (4.27, 0.55), (3.0, 2.5)])
def test_ticks_of_resolution_are_where_they_say(limits):
    drawn = resolution_axis(*limits)
    assert 3 <= len(nice_resolutions(*limits)) <= 9
    for place, text in zip(drawn["tickvals"], drawn["ticktext"]):
        assert place == pytest.approx(1 / float(text) ** 2, rel=1e-9)
        assert limits[1] - 0.01 <= float(text) <= limits[0]
    # Nowhere is more than a third of the axis without a tick.
    ends = [limits[0] ** -2, *drawn["tickvals"], limits[1] ** -2]
    assert np.diff(ends).max() <= (ends[-1] - ends[0]) / 3


def test_ticks_of_resolution_are_round():
    assert {1.0, 2.0} <= set(nice_resolutions(20.0, 0.8))
    assert all(
        round(20 * d) == pytest.approx(20 * d) for d in nice_resolutions(5, 0.53)
    )


def test_the_axis_of_r1_of_images_ends_with_the_data():
    image = SimpleNamespace(r1=np.array([0.12, 0.47, np.nan, 0.9]), n=[9, 9, 9, 2])
    image.n = np.array(image.n)
    one = SimpleNamespace(image=image)
    plot = images_r1_plot(SimpleNamespace(before=one, after=one))
    assert plot["layout"]["xaxis"]["range"] == pytest.approx([0, 0.475])
    assert [sum(t["y"]) for t in plot["data"]] == [2, 2]
