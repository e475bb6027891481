"""
What all plots have in common: colours, fonts, axes.

A plot is a dictionary for plotly with ``data``, ``layout`` and a ``help`` text, as in
dials.algorithms.scaling.plots. The page hands it to plotly.js and static.py draws it
with matplotlib, so it holds lists and numbers only.

Functions:
    axis, log_axis, named_axis: of numbers, their logarithms, names
    legend_above, colour_bar, new_plot: parts of a plot
    log_ticks: ticks for a logarithmic axis
    plain: numpy to what JSON knows
    rounded_column: numbers as short as they may be
    sample: at most so many of n
    crystal_colours: a colour for each crystal
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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

EXCESS = "Relative error not covered by σ, s"
"""What an axis of s says: b of an error model σ'² = σ² + (b I)²."""

MOST_POINTS = 1800
"""Points that a browser draws as SVG without delay; each has a text of 100 bytes."""

FEW = 30
"""Numbers that are rounded one by one."""

DIGITS = 6
"""Significant ones of numbers in a plot, more than any shows."""

MOST_DECADES = 2.2
"""On a logarithmic axis, up to which 2 and 5 are written too."""

FEWEST_PLACES = 3
"""On an axis of names: fewer leave room on both sides."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

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
        "title": {"text": title, "standoff": 8, "font": {"size": 13}},
        "showline": True,
        "mirror": True,
        "linecolor": "#555555",
        "ticks": "outside",
        "tickcolor": "#555555",
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        "exponentformat": "none",
        "separatethousands": True,
        **settings,
    }


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """
    Choose ticks for a logarithmic axis: 1, 2, 5, 10, ... or powers of ten alone.

    Args:
        low, high: The ends of what is drawn, both positive.

    Returns:
        Values over a decade more on either side, for who zooms out, and their texts.
    """
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    steps = (1, 2, 5) if math.log10(high / low) <= MOST_DECADES else (1,)
    # From the text, since 10**-2 * 5 is not quite 0.05.
    values = [float(f"{m}e{n}") for n in range(first, last + 1) for m in steps]
    return values, [_tick_text(value) for value in values]


def _tick_text(value: float) -> str:
    """Write a number as people do: 0.002, 50, 20,000, 10⁶."""
    exponent = math.floor(math.log10(value) + 1e-9)
    if -4 <= exponent <= 5:
        return f"{value:,.{max(-exponent, 0)}f}"
    digit = round(value / 10.0**exponent)
    power = f"10{str(exponent).translate(SUPERSCRIPTS)}"
    return power if digit == 1 else f"{digit}·{power}"


def log_axis(title: str, values, **settings) -> dict:
    """
    Describe a logarithmic axis with ticks that can be read.

    Args:
        title: Quantity with its unit.
        values: What is drawn along it; what is not positive is not seen.
        settings: Further plotly settings, which prevail.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (values.min(), values.max()) if len(values) else (1.0, 10.0)
    # Half a decade at least, so that two ticks are inside.
    space = max(0.05 * math.log10(high / low), (0.7 - math.log10(high / low)) / 2)
    ticks, texts = log_ticks(low, high)
    return axis(
        title,
        **{
            "type": "log",
            "tickmode": "array",
            "tickvals": ticks,
            "ticktext": texts,
            "range": [math.log10(low) - space, math.log10(high) + space],
            "minor": {"ticks": "outside", "ticklen": 3, "dtick": "D1"},
            **settings,
        },
    )


def named_axis(title: str, names: Sequence[str], **settings) -> dict:
    """
    Describe an axis on which the places 0, 1, 2, ... have names.

    Args:
        title: What the names are; may be empty where they say it themselves.
        names: From left to right.
        settings: Further plotly settings, which prevail.
    """
    places = list(range(len(names)))
    # A single bar does not fill the frame.
    space = 0.5 * max(FEWEST_PLACES - len(names), 0)
    ends = [-0.6 - space, len(names) - 0.4 + space]
    named = {"tickmode": "array", "tickvals": places, "ticktext": list(names)}
    return axis(title, **{**named, "range": ends, **settings})


def legend_above() -> dict:
    """
    Describe a legend above the frame; plotly widens the margin for it.

    Returns:
        For the layout.
    """
    place = {"x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"}
    return {"orientation": "h", "bgcolor": "rgba(0,0,0,0)", **place}


def colour_bar(title: str, start: float = 0.0, length: float = 1.0) -> dict:
    """
    Describe a colour bar that lies above the frame.

    Args:
        title: Quantity with its unit.
        start: Its left end, 0 to 1 of the frame.
        length: Likewise.
    """
    place = {"x": start, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    size = {"len": length, "lenmode": "fraction", "thickness": 12, "nticks": 6}
    text = {"text": title, "side": "top", "font": {"size": 13}}
    return {"orientation": "h", **place, **size, "title": text}


def new_plot(
    data: list[dict], help_text: str, title: str, note: str = "", **layout
) -> dict:
    """
    Put a plot together.

    Args:
        data: Plotly traces.
        help_text: What the plot shows, and what good and bad look like.
        title: Above the plot.
        note: Below the title: how many of what, how many not drawn.
        layout: Further plotly layout, which prevails; `meta` holds what the page goes
            by: wide (a row of its own), square (as high as wide), frames (side by side).

    Returns:
        The plot, free of numpy types, with null for what is not finite.
    """
    base = {
        "title": {"text": title, "subtitle": {"text": note}},
        "font": FONT,
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "margin": {"l": 65, "r": 18, "t": 16, "b": 50},
        "height": HEIGHT,
        # Otherwise a single trace would have no name.
        **({"showlegend": True} if "legend" in layout else {}),
    }
    return plain({"data": data, "layout": {**base, **layout}, "help": help_text})


def plain(value):
    """
    Turn numpy into what JSON knows.

    Args:
        value: Anything made of dicts, sequences, arrays, numbers and strings.

    Returns:
        The same as dicts, lists and Python's numbers; None for nan and infinity;
        floats with ``DIGITS`` significant digits.
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f" and value.ndim == 1:
            return rounded_column(value, DIGITS)
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        kinds = set(map(type, value))
        if kinds <= {str, int, bool}:
            return list(value)
        if kinds <= {float, type(None)}:
            return rounded_column(value, DIGITS)
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return rounded_column([value], DIGITS)[0]
    return value


def rounded_column(
    values: np.ndarray | Sequence[float | None], digits: int
) -> list[float | None]:
    """
    Round numbers to what is known of them at most, so that they are written briefly.

    Args:
        values: Shape (n,); nan or None for what is not known.
        digits: Significant ones.

    Returns:
        The nearest decimal numbers of so many digits; None for what is not finite.
    """
    if len(values) < FEW:
        known = [x if x is not None and math.isfinite(x) else None for x in values]
        return [x if x is None else float(f"{x:.{digits}g}") for x in known]
    x = np.asarray(values, dtype=float)
    finite = np.isfinite(x)
    size = np.abs(np.where(finite & (x != 0), x, 1.0))
    places = digits - 1 - np.floor(np.log10(size))
    # A whole number divided by a power of ten is the nearest decimal. Beyond 10**22 these
    # powers are not exact, but nothing that small is written.
    up, down = 10.0 ** np.clip(places, 0, 22), 10.0 ** np.clip(-places, 0, 300)
    with np.errstate(invalid="ignore", over="ignore"):
        nearest = (np.rint(x * up / down) / up * down).tolist()
    if finite.all():
        return nearest
    return [y if known else None for y, known in zip(nearest, finite.tolist())]


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
