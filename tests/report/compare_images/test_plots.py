"""The plots say what the arrays say, and are JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dials_spread.pairs import Matches
from dials_spread.report.compare_images.figures import overview_plots
from dials_spread.report.compare_images.plots_maps import CELLS, _image_density
from dials_spread.report.compare_images.plots_overview import distribution_plot
from dials_spread.report.compare_images.plots_pairs import scatter_plot, spots_plot
from dials_spread.report.compare_images.plots_picture import picture_plot
from dials_spread.report.compare_images.sphere import choose_region
from dials_spread.report.page.labels import digits, document_label, hkl_label
from dials_spread.report.page.plot_style import MOST_POINTS, plain, sample


def traces(plot):
    return {trace["name"].split(":")[0]: trace for trace in plot["data"]}


def test_spots_plot_shows_both_images_the_others_and_the_mean(three_spots):
    found = traces(spots_plot(three_spots, "0 / 1", "1 / 7"))
    assert found["a"]["y"] == [100, 50, -2]
    assert found["a"]["error_y"]["array"] == [5, 4, 3]
    assert found["b"]["y"] == [110, 40, 1]
    assert found["merged mean"]["y"] == [95, 120, -0.9]
    others = found["all other images"]
    assert others["x"] == [0, 0, 0, 1]
    assert others["y"] == [70, 80, 120, 300]
    # The two images stand beside one another, either side of the others.
    assert all(a < x < b for a, x, b in zip(found["a"]["x"], range(3), found["b"]["x"]))


def test_one_outlier_does_not_flatten_the_spots(three_spots):
    others = np.append(np.full(199, 80.0), 9000.0)
    crowded = replace(
        three_spots, background_spot=np.zeros(200, int), background_intensity=others
    )
    plot = spots_plot(crowded, "", "")
    low, high = plot["layout"]["yaxis"]["range"]
    assert 120 < high < 150
    assert low < -5  # -2 with its bar
    assert "all other images (1 above the frame)" in traces(plot)


def test_hover_texts_name_the_reflection(three_spots):
    text = traces(spots_plot(three_spots, "", ""))["a"]["text"]
    assert "0 2 −1" in text[1]
    assert "d = 4 Å" in text[1]
    assert "1 other observation" in text[1]
    assert "other observation" not in text[2]


def test_ticks_are_indices_while_there_is_room(three_spots):
    axis = spots_plot(three_spots, "", "")["layout"]["xaxis"]
    assert axis["ticktext"] == ["1 0 0", "0 2 −1", "3 1 1"]


def test_scatter_plot_is_square_with_the_line_of_equality(three_spots):
    plot = scatter_plot(three_spots, "0 / 1", "1 / 7", 0.98765, 0.1234)
    found = traces(plot)
    assert found["equal"]["x"] == found["equal"]["y"]
    assert found["common reflections"]["x"] == [100, 50, -2]
    assert found["common reflections"]["y"] == [110, 40, 1]
    note = plot["layout"]["title"]["subtitle"]["text"]
    assert note == "CC = 0.988, R = 0.123, 3 reflections"
    assert plot["layout"]["xaxis"]["range"] == plot["layout"]["yaxis"]["range"]


def test_positions_are_drawn_without_raw_images(three_spots):
    found = traces(picture_plot(three_spots, "0 / 1", "1 / 7", None))
    assert found["a"]["x"] == [0.1, 0.2, -0.3, 0.5]
    assert found["b"]["y"] == [0.01, 0.15, 0.25]
    assert found["in common (3)"]["text"] == ["1 0 0", "0 2 −1", "3 1 1"]


@pytest.mark.parametrize("case", ["parts", "undefined"])
def test_plots_are_json_with_help(case, request):
    parts = request.getfixturevalue(case)
    plots = overview_plots(
        parts.observations, parts.operators, parts.matches, parts.agreement
    )
    for plot in plots.values():
        json.dumps(plot, allow_nan=False)
        assert len(plot["help"]) > 200
        assert plot["layout"]["title"]["text"]


def test_distribution_holds_every_pair_and_its_median():
    values = np.array([0.1, 0.2, 0.3, 0.9, np.nan, 55.0])
    plot = distribution_plot("r_factor", [("these", "#0072B2", values)])
    (bars,) = plot["data"]
    assert sum(bars["y"]) == pytest.approx(100)
    assert "median 0.300, n = 5" in bars["name"]


def test_a_reference_is_laid_over_the_distributions(parts):
    reference = {
        "input": {"radiation": "X-rays"},
        "matches": {
            "n_common": [9, 7],
            "cc": [0.99, 0.98],
            "r_factor": [0.05, 0.07],
            "excess_spread": [None, 0.02],
        },
    }
    args = (parts.observations, parts.operators, parts.matches, parts.agreement)
    plots = overview_plots(*args, reference)
    own, other = plots["distribution_r_factor"]["data"]
    assert own["name"].startswith("these data (electrons)")
    assert other["name"] == "reference (X-rays) (median 0.0600, n = 2)"
    assert "n = 1)" in plots["distribution_excess_spread"]["data"][1]["name"]


def test_every_pair_is_on_the_map_of_images(parts):
    plot = overview_plots(
        parts.observations, parts.operators, parts.matches, parts.agreement
    )["matched_images"]
    above, below = plot["data"]
    assert above["marker"]["color"] == parts.matches.n_common.tolist()
    assert all(x < y for x, y in zip(above["x"], above["y"]))
    assert below["x"] == above["y"]


def test_a_hundred_thousand_pairs_stay_usable(parts):
    chosen = np.random.default_rng(1).integers(len(parts.matches), size=100_000)
    many = Matches(**{k: v[chosen] for k, v in vars(parts.matches).items()})
    agreement = type(parts.agreement)(
        **{k: v[chosen] for k, v in vars(parts.agreement).items()}
    )
    plots = overview_plots(parts.observations, parts.operators, many, agreement)
    for name in ("orientations", "matched_images", "angle_r_factor"):
        note = plots[name]["layout"]["title"]["subtitle"]["text"]
        # The map of pairs has them all in its cells, that of orientations some of them.
        all_of_them = name == "matched_images" and note == "100,000 pairs"
        assert all_of_them or "of 100,000 pairs" in note or name == "angle_r_factor"
        assert all(len(t["x"]) <= 3 * MOST_POINTS for t in plots[name]["data"])
    assert sum(map(len, map(json.dumps, plots.values()))) < 5e6


def test_of_many_pairs_every_one_counts_in_a_cell_of_the_map(parts):
    chosen = np.random.default_rng(2).integers(len(parts.matches), size=20_000)
    many = Matches(**{k: v[chosen] for k, v in vars(parts.matches).items()})
    agreement = type(parts.agreement)(
        **{k: v[chosen] for k, v in vars(parts.agreement).items()}
    )
    plot = overview_plots(parts.observations, parts.operators, many, agreement)
    above, below = plot["matched_images"]["data"]
    assert sum(above["marker"]["color"]) == 20_000
    assert all(x <= y for x, y in zip(above["x"], above["y"]))
    assert all(x > y for x, y in zip(below["x"], below["y"]))
    # One cell by hand.
    n = len(parts.observations.images)
    cells = np.floor(np.stack([many.image_a, many.image_b]) / (n / CELLS)).astype(int)
    low, high = cells.min(axis=0), cells.max(axis=0)
    k = int(np.argmax(low != high))
    own = (low == low[k]) & (high == high[k]) & np.isfinite(agreement.r_factor)
    place = (np.array([high[k], low[k]]) + 0.5) * (n / CELLS) - 0.5
    at = np.isclose(below["x"], place[0], atol=1e-2)
    at &= np.isclose(below["y"], place[1], atol=1e-2)
    (mean,) = np.array(below["marker"]["color"])[at]
    assert mean == pytest.approx(agreement.r_factor[own].mean(), rel=1e-2)


def test_of_many_images_every_one_counts_in_a_cell_of_the_map():
    rng = np.random.default_rng(3)
    place = rng.uniform(0, 1, (12_000, 2))
    (trace,) = _image_density(place, [np.array([-0.1, -0.1]), np.array([1.1, 1.1])])
    assert sum(trace["marker"]["color"]) == 12_000
    assert min(trace["x"]) > -0.1 and max(trace["y"]) < 1.1


def test_the_sample_is_always_the_same_and_never_larger():
    assert len(sample(10)) == 10
    assert len(sample(10**6)) == MOST_POINTS == len(np.unique(sample(10**6)))
    assert (sample(10**6) == sample(10**6)).all()


def test_the_region_takes_one_of_each_set_of_equivalent_directions(parts):
    # P212121: the Laue group mmm, whose region is the positive octant.
    region = choose_region(parts.operators)
    vectors = np.random.default_rng(2).normal(size=(500, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reduced, number = region.reduce(vectors)
    np.testing.assert_allclose(reduced, np.abs(vectors), atol=1e-12)
    assert len(np.unique(number)) == 8


def test_the_outline_of_an_octant_has_its_corners_and_area(parts):
    region = choose_region(parts.operators)
    edge = region.outline(7201)
    for corner in np.eye(3):
        assert (edge @ corner).max() > 0.9999
    assert edge.min() > -1e-9
    x, y = region.project(edge).T
    area = 0.5 * abs(np.sum(x[1:] * y[:-1] - x[:-1] * y[1:]))
    assert area == pytest.approx(np.pi / 2, rel=1e-3)  # 4π / 8, in equal area


def test_plain_leaves_no_numpy_and_no_nan():
    given = {"a": np.array([1.0, np.nan, np.inf]), "b": (np.float32(0.5), np.int64(3))}
    assert plain(given) == {"a": [1.0, None, None], "b": [0.5, 3]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.12345, "0.123"), (1234.56, "1,235"), (-0.5, "−0.500"), (7.0, "7")),
        *((float("nan"), "–"), (None, "–"), (0.0, "0"), (1e-9, "1.00e−09")),
    ],
)
def test_digits(value, text):
    assert digits(value) == text


def test_names_of_images_and_indices():
    entry = {"dataset": 0, "crystal": 3, "image": 12}
    assert document_label(entry) == "0 / 3 / 12"
    assert document_label({**entry, "image_last": 15}) == "0 / 3 / 12–15"
    assert hkl_label(np.array([-1, 0, 12])) == "−1 0 12"
