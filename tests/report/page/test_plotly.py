"""The plotly.js that is shipped, and plots that stay within what it knows."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from dials_spread.report.compare_images.figures import overview_plots, pair_plots
from dials_spread.report.compare_images.outputs import page_sections
from dials_spread.report.page.plot_style import (
    BLUE,
    CRYSTAL_COLOURS,
    GREY,
    RED,
    log_axis,
    log_ticks,
    named_axis,
)
from dials_spread.report.page.static import draw
from dials_spread.report.page.template import STATIC, figures_parts, plotly_facts

DIMENSIONLESS = (
    # Ratios, correlations and agreement factors.
    *("Relative error not covered by σ, s", "R", "CC"),
    *("γ, half the mean squared relative difference", "Spearman's rank correlation"),
    *("Share explained, cross-validated R²", "R1 of amplitudes"),
    "Mean residual over that of the same reflections",
)


def all_plots(comparison) -> dict[str, dict]:
    parts = (comparison.observations, comparison.matches, comparison.agreement)
    plots = overview_plots(parts[0], comparison.incidence.operators, *parts[1:])
    for section in page_sections(comparison):
        plots.update(section.plots)
    pair = pair_plots(*parts, comparison.spots[0], None)
    return {**plots, **{f"pair_{name}": plot for name, plot in pair.items()}}


@pytest.fixture(scope="module")
def plots(electrons):
    return all_plots(electrons)


def test_the_bundle_is_the_one_that_was_published():
    facts = plotly_facts()
    content = (STATIC / "plotly-basic.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == facts["sha256"]
    assert f"plotly.js (basic - minified) v{facts['version']}".encode() in content[:200]
    assert facts["registry"].endswith(f"{facts['package']}-{facts['version']}.tgz")
    licence = (STATIC / "plotly-basic.LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License") and "Plotly" in licence
    # The Content-Security-Policy allows no code from text, and a page no other host.
    assert not re.search(rb"\beval\(|new Function|</script", content)


def test_every_trace_is_in_the_bundle(plots):
    known = plotly_facts()["traces"].split()
    content = (STATIC / "plotly-basic.min.js").read_text(encoding="utf-8")
    for kind in known:
        assert f'name:"{kind}",basePlotModule' in content, kind
    assert 'name:"heatmap",basePlotModule' not in content
    assert len(plots) > 20
    for name, plot in plots.items():
        assert {trace["type"] for trace in plot["data"]} <= set(known), name


def axes(plots):
    for name, plot in plots.items():
        for key, axis in plot["layout"].items():
            if re.fullmatch(r"[xy]axis\d*", key) and axis.get("visible", True):
                yield name, key, axis


def test_every_axis_has_a_unit_or_names(plots):
    for name, key, axis in axes(plots):
        title = re.sub(",? of a pair$", "", axis["title"]["text"])
        categories = "ticktext" in axis and not re.search(r"\d", axis["ticktext"][0])
        if categories or title.startswith("Miller index"):
            continue
        assert re.search(r"\[[^\]]+\]", title) or title in DIMENSIONLESS, (
            name,
            key,
            title,
        )


def test_logarithmic_axes_say_one_two_five(plots):
    found = [(n, axis) for n, _, axis in axes(plots) if axis.get("type") == "log"]
    assert len(found) >= 5
    for name, axis in found:
        low, high = sorted(10.0**end for end in axis["range"])
        shown = [
            text
            for value, text in zip(axis["tickvals"], axis["ticktext"])
            if low <= value <= high
        ]
        assert len(shown) >= 2, name
        digits = {re.sub(r"[0.,·]|10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", "", text)[:1] for text in shown}
        assert digits <= {"1", "2", "5", ""}, (name, shown)


def test_ticks_by_hand():
    values, texts = log_ticks(0.02, 3)
    shown = [t for v, t in zip(values, texts) if 0.02 <= v <= 3]
    assert shown == ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]
    values, texts = log_ticks(200, 3e6)
    shown = [t for v, t in zip(values, texts) if 200 <= v <= 3e6]
    assert shown == ["1,000", "10,000", "100,000", "10⁶"]


def test_axes_without_anything_to_draw_have_ends():
    for values in ([], [np.nan, -1.0], [5.0]):
        low, high = log_axis("Length [Å]", values)["range"]
        assert np.isfinite([low, high]).all() and low < high


def test_one_bar_does_not_fill_the_frame():
    low, high = named_axis("Crystal", ["0"])["range"]
    assert high - low > 2.5 and low + high == pytest.approx(0)
    low, high = named_axis("Crystal", list("abcde"))["range"]
    assert (low, high) == pytest.approx((-0.6, 4.6))


def test_no_row_is_half_empty():
    def plot(wide=False, square=False):
        meta = {"wide": wide, "square": square}
        title = {"text": "Title", "subtitle": {"text": ""}}
        layout = {"height": 1, "meta": meta, "title": title}
        return {"data": [], "layout": layout, "help": ""}

    some = {"a": plot(), "b": plot(), "c": plot(), "d": plot(wide=True)}
    some.update(e=plot(square=True), f=plot(), g=plot(wide=True), h=plot(square=True))
    classes = {part["name"]: part["classes"] for part in figures_parts(some)}
    assert classes == {
        **{"a": "", "b": "", "c": "alone", "d": "wide"},
        **{"e": "square", "f": "", "g": "wide", "h": "square alone"},
    }


def test_matplotlib_draws_what_plotly_does(plots):
    for name, plot in plots.items():
        figure = draw(plot)
        for key, of in (("xaxis", "x"), ("yaxis", "y")):
            if plot["layout"][key].get("visible", True):
                label = getattr(figure.axes[0], f"get_{of}label")()
                assert label == plot["layout"][key]["title"]["text"], name


# Machado, Oliveira and Fernandes (2009), IEEE Trans. Vis. Comput. Graph. 15, 1291,
# matrices on linear RGB for dichromats.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def seen(colours, kind: str) -> np.ndarray:
    """CIE L*a*b* of colours as somebody sees them, shape (n, 3)."""
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ BLINDNESS[kind].T, 0, 1)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    x = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1
    )


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("palette", [(BLUE, RED, GREY, "#222222"), CRYSTAL_COLOURS])
def test_colours_stay_apart_for_the_colour_blind(kind, palette):
    lab = seen(palette, kind)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    apart[np.diag_indices(len(lab))] = np.inf
    worst = np.unravel_index(np.argmin(apart), apart.shape)
    # 2.3 is a just noticeable difference; a dot of five pixels takes more.
    assert apart.min() > 10, [palette[i] for i in worst]
