"""Figures as files, from the same plots as the page."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from dials_spread.report.compare_images.page import save_figures
from dials_spread.report.compare_images.pictures import Picture
from dials_spread.report.compare_images.plots_pairs import spots_plot
from dials_spread.report.compare_images.plots_picture import picture_plot
from dials_spread.report.page.static import draw, write_figure


def test_svg_holds_labels_with_units_as_text(three_spots, tmp_path):
    plot = picture_plot(three_spots, "0 / 1", "1 / 7", None)
    text = write_figure(plot, tmp_path / "picture.svg").read_text(encoding="utf-8")
    assert "Across the beam [Å⁻¹]" in text
    assert "a: 0 / 1 (4)" in text
    assert "<br>" not in text and "<sub>" not in text


def test_the_same_plot_gives_the_same_svg(three_spots, tmp_path):
    plot = spots_plot(three_spots, "0 / 1", "1 / 7")
    one, two = (
        write_figure(plot, tmp_path / f"{n}.svg").read_bytes() for n in ("one", "two")
    )
    assert one == two


def test_png_is_large_enough_for_print_and_not_empty(three_spots, tmp_path):
    path = write_figure(spots_plot(three_spots, "a", "b"), tmp_path / "spots.png")
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    assert len(pixels) > 2000 * 1000
    for colour in ((0, 114, 178), (213, 94, 0)):  # both images are there
        assert (np.abs(pixels - np.array(colour)).max(axis=1) < 4).sum() > 100


def test_what_is_drawn_is_what_the_plot_holds(three_spots):
    figure = draw(spots_plot(three_spots, "0 / 1", "1 / 7"))
    (axes,) = figure.axes
    drawn = {c.get_label(): c.get_offsets() for c in axes.collections if c.get_label()}
    assert drawn["a: 0 / 1"][:, 1].tolist() == [100, 50, -2]
    assert drawn["b: 1 / 7"][:, 1].tolist() == [110, 40, 1]


def test_a_raw_picture_has_three_frames(three_spots, tmp_path):
    pixels = np.random.default_rng(0).poisson(3, (40, 40)).astype(float)
    picture = Picture(pixels, pixels.T, 0.6)
    figure = draw(picture_plot(three_spots, "0 / 1", "1 / 7", picture))
    assert len(figure.axes) == 3
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1]
    assert [*figure.axes[1].get_images()[0].get_extent()] == [-0.6, 0.6, -0.6, 0.6]


def test_other_formats_are_refused(three_spots, tmp_path):
    with pytest.raises(ValueError, match="not .gif"):
        write_figure(spots_plot(three_spots, "a", "b"), tmp_path / "spots.gif")


@pytest.mark.slow
def test_all_figures_are_saved(parts, tmp_path):
    paths = save_figures(
        *(tmp_path / "figures", "svg", parts.observations, parts.operators),
        *(parts.matches, parts.agreement, parts.spots[:1], [None]),
    )
    names = {path.name for path in paths}
    assert {"pair_1_spots.svg", "orientations.svg", "distribution_cc.svg"} <= names
    assert len(names) == len(paths) == 11
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert len(re.findall("<(?:path|use|image) ", text)) > 20, path.name


@pytest.mark.slow
def test_undefined_statistics_are_no_obstacle(undefined, tmp_path):
    parts = undefined
    paths = save_figures(
        *(tmp_path, "png", parts.observations, parts.operators),
        *(parts.matches, parts.agreement, [], []),
    )
    assert all(path.stat().st_size > 5000 for path in paths)
