"""
What all plots have in common: colours, fonts, axes.

A plot is a dictionary for plotly with ``data``, ``layout`` and a ``help`` text, as in
dials.algorithms.scaling.plots. The page hands it to plotly.js and static.py draws it
with matplotlib, so it holds lists and numbers only.

Functions:
    axis, legend_above, new_plot: parts of a plot
    plain: numpy to what JSON knows
    sample: at most so many of n
    crystal_colours: a colour for each crystal
"""

from __future__ import annotations

import numpy as np

BLUE = "#0072B2"
"""Image a. Blue and vermilion stay apart for colour-blind readers (Okabe and Ito)."""

RED = "#D55E00"
"""Image b."""

GREY = "#9a9a9a"
INK = "#222222"
BACKGROUND_GREY = "rgba(120,120,120,0.35)"

CRYSTAL_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"),
    *("#56B4E9", "#882255", "#999933", "#332288", "#000000"),
)

SEQUENTIAL = (
    *((0.0, "#dceaf5"), (0.35, "#85b8d8"), (0.7, "#2f7fb8"), (1.0, "#08306b")),
)
"""Light to dark blue, for counts."""

WARM = ((0.0, "#08519c"), (0.4, "#9ecae1"), (0.6, "#fdbe85"), (1.0, "#a63603"))
"""Blue (good) to brown (bad), for disagreement."""

MOST_POINTS = 5000
"""Points that a browser draws as SVG without delay."""

HEIGHT = 420
"""Of a plot [pixels], where it does not say."""

FONT = {"family": "Helvetica, Arial, sans-serif", "size": 13, "color": INK}


def axis(title: str, **settings) -> dict:
    """
    Describe an axis.

    Args:
        title: Quantity with its unit.
        settings: Further plotly settings, which prevail.

    Returns:
        A plotly axis with a frame, ticks outside and no grid.
    """
    return {
        "title": {"text": title, "standoff": 8},
        "showline": True,
        "mirror": True,
        "linecolor": "#555555",
        "ticks": "outside",
        "tickcolor": "#555555",
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        **settings,
    }


def legend_above() -> dict:
    """
    Describe a legend between title and frame.

    Returns:
        For the layout, whose top margin must have room for it.
    """
    place = {"x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"}
    return {"orientation": "h", "bgcolor": "rgba(0,0,0,0)", **place}


def new_plot(data: list[dict], help_text: str, title: str, **layout) -> dict:
    """
    Put a plot together.

    Args:
        data: Plotly traces.
        help_text: What the plot shows, and what good and bad look like.
        title: Above the plot.
        layout: Further plotly layout, which prevails.

    Returns:
        The plot, free of numpy types, with null for what is not finite.
    """
    height = layout.get("height", HEIGHT)
    # Plotly anchors the last line of a title.
    drop = 14 + 18 * title.count("<br>")
    base = {
        "title": {
            **{"text": title, "font": {"size": 15}, "x": 0.02, "xanchor": "left"},
            **{"y": 1 - drop / height, "yanchor": "top", "yref": "container"},
        },
        "font": FONT,
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "margin": {"l": 70, "r": 20, "t": 50, "b": 60},
        "height": height,
    }
    return plain({"data": data, "layout": {**base, **layout}, "help": help_text})


def plain(value):
    """
    Turn numpy into what JSON knows.

    Args:
        value: Anything made of dicts, sequences, arrays, numbers and strings.

    Returns:
        The same as dicts, lists and Python's numbers; None for nan and infinity;
        floats with six significant digits, which is more than any plot shows.
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def sample(n: int, most: int = MOST_POINTS) -> np.ndarray:
    """
    Choose which of n things to draw.

    Args:
        n: How many there are.
        most: How many may be drawn.

    Returns:
        Their numbers, increasing: all of them, or a random choice, always the same.
    """
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def sample_note(n: int, drawn: int, things: str) -> str:
    """
    Say when not everything is drawn.

    Args:
        n: How many there are.
        drawn: How many are drawn.
        things: Their name in the plural.

    Returns:
        A remark for a title, or nothing.
    """
    if drawn == n:
        return ""
    return f"{drawn:,} of {n:,} {things}, chosen at random"


def crystal_colours(crystals: np.ndarray) -> dict[int, str]:
    """
    Give each crystal a colour.

    Args:
        crystals: Shape (n,), crystal numbers, at most as many different ones as there
            are colours; beyond, colours repeat.

    Returns:
        A colour by crystal number.
    """
    numbers = np.unique(crystals)
    palette = CRYSTAL_COLOURS
    return {int(c): palette[i % len(palette)] for i, c in enumerate(numbers)}
