"""What has no value is not drawn, and nothing warns."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dials_spread.report.compare_images.origins.plots_beam import explained_plot
from dials_spread.report.compare_images.plots_maps import _side
from dials_spread.report.compare_images.spread.plots_sources import components_plot
from dials_spread.report.compare_images.spread.plots_spread import (
    images_plot,
    not_drawn,
    spread_plots,
)
from dials_spread.report.compare_images.spread.spread_section import spread_section
from dials_spread.report.page.log_text import Step
from dials_spread.report.page.template import get_template
from dials_spread.spread.beam.beam_shares import Explained
from dials_spread.spread.sources.components import SOURCES
from dials_spread.spread.sources.factors import CrystalMoments, factor_variances
from dials_spread.spread.sources.told import tell_sources

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def without_intervals(components):
    parts = {
        name: replace(getattr(components, name), share_low=np.nan, share_high=np.nan)
        for name in SOURCES
    }
    return replace(components, **parts)


def draw(components):
    return components_plot(components, tell_sources(components))


def test_no_caps_where_there_is_no_interval(electrons):
    components = electrons.spread.components
    (bars,) = draw(without_intervals(components))["data"]
    assert set(bars["error_y"]["array"]) == {None}
    assert set(bars["error_y"]["arrayminus"]) == {None}
    (bars,) = draw(components)["data"]
    known = [getattr(components, s) for s in SOURCES]
    highs = [100 * p.share_high for p in known if np.isfinite(p.share)]
    ends = np.add(bars["y"], bars["error_y"]["array"])
    np.testing.assert_allclose(ends, highs, rtol=1e-4)


def test_plots_with_nothing_to_show_are_left_out(electrons):
    spread = electrons.spread
    assert not_drawn(spread) == []
    one = spread.size.by_resolution
    s = np.full(len(one.s), np.nan)
    s[0] = 0.3
    main = spread.variograms.main
    empty = replace(main, gamma=np.full(len(main.gamma), np.nan))
    spread = replace(
        spread,
        size=replace(spread.size, by_resolution=replace(one, s=s)),
        variograms=replace(spread.variograms, main=empty, corrected=None),
    )
    plots = spread_plots(electrons.observations, spread)
    assert "spread_by_resolution" not in plots and "variogram" not in plots
    assert "spread_by_intensity" in plots
    notes = " ".join(spread_section(electrons.observations, spread).notes)
    assert "Not drawn by resolution" in notes and "Not drawn against the angle" in notes


def test_what_goes_on_below_the_frame_is_counted():
    def explained(r_squared, low):
        return Explained(r_squared, low, 0.5, 1.0, 0.3, np.nan, 10, 4, "crystals")

    shares = {"annulus": explained(-0.7, np.nan), "disc": explained(0.1, -0.6)}
    shares["background"] = explained(0.2, 0.1)
    sources = SimpleNamespace(explained=shares, ceiling=0.9)
    title = explained_plot(sources)["layout"]["title"]
    assert title["subtitle"]["text"].startswith("of 2 measures,")


def test_one_crystal_has_no_legend(electrons):
    of = electrons.observations
    assert images_plot(of, electrons.spread.size, {})["layout"]["showlegend"]
    images = replace(of.images, crystal=np.zeros_like(of.images.crystal))
    one = images_plot(replace(of, images=images), electrons.spread.size, {})
    assert not one["layout"]["showlegend"]


def test_a_crystal_drawn_twice_has_no_variance_of_crystals():
    """Twice the same: no two crystals, and a difference over zero is of either sign."""
    columns = [np.array([[1.0, 1.0]] * 2) for _ in range(2)]
    product = np.array([[2.0, 0.5]] * 2)
    rest = [np.array([[0.1, 0.1]] * 2) for _ in range(3)]
    moments = CrystalMoments(columns[0], columns[1], columns[1], product, *rest)
    weights = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert np.isnan(factor_variances(moments, weights)[1]).all()


@pytest.mark.parametrize(
    ("x", "y", "side"),
    [
        (1, 0, "middle right"),
        (0, -1, "bottom center"),
        (1, 1, "top right"),
        (-0.32, 1, "top left"),
        (-1, -0.8, "bottom left"),
    ],
)
def test_names_stand_away_from_the_middle(x, y, side):
    assert _side(x, y) == side


def test_a_command_is_a_block_of_its_own():
    step = Step("Scale, as `x`.", "dials.scale a.expt a.refl").on_page
    made = get_template("macros.html").module.with_command(step)
    assert "<code>x</code>" in made
    block = '<pre class="command"><code>dials.scale a.expt a.refl</code></pre>'
    assert block in made
