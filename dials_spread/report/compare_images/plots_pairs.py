"""
The plots of one pair of images.

Functions:
    spots_plot: every common reflection, with all other observations behind it
    scatter_plot: one image against the other
"""

from __future__ import annotations

import numpy as np

from dials_spread.pairs import SpotComparison
from dials_spread.report.page.labels import counted, digits, hkl_label
from dials_spread.report.page.plot_style import (
    BACKGROUND_GREY,
    BLUE,
    GREY,
    MOST_POINTS,
    RED,
    axis,
    legend_above,
    log_axis,
    new_plot,
    sample,
)

BACKGROUND_PERCENTILE = 98
"""Of the other observations, that are inside the frame in any case."""

MOST_INDEX_TICKS = 45
"""Spots up to which every tick bears its Miller index."""

SPOTS_HELP = """
Every column is one reflection that both images recorded, from low to high resolution.
Blue and red are its intensities on the two images, with one standard deviation either
way. Grey dots are all other observations of the same reflection, on other images at
other orientations; the small black dot is the mean of all. Everything is on the scale
of image a. Good: blue and red touch within their bars, even where the grey dots lie far
apart. That means that the spread comes from orientation, not from chance. Bad: blue and
red are as far apart as any two grey dots; then a common orientation explains nothing.
Error bars much shorter than the distance from blue to red say that sigma is too small.
"""

SCATTER_HELP = """
Each dot is a reflection that both images recorded: its intensity on image a to the
right, on image b upwards (on the scale of a), with one standard deviation either way.
On the dashed line both are equal. Good: the dots follow the line within their bars over
the whole range. A straight band of another slope means a wrong scale between the
images; a cloud without direction means that the images do not agree. CC is Pearson's
correlation, which a few strong reflections can dominate; R is the sum of the absolute
differences divided by the mean sum.
"""


def spot_texts(spots: SpotComparison) -> list[str]:
    """
    Describe each common reflection, for hovering.

    Args:
        spots: The comparison, n common reflections.

    Returns:
        n texts with index, d, both intensities, z and percentiles.
    """
    lines = []
    for i, hkl in enumerate(spots.miller_index):
        text = [
            f"<b>{hkl_label(hkl)}</b>   d = {digits(spots.d_spacing[i])} Å",
            f"a: {digits(spots.intensity_a[i])} ± {digits(spots.sigma_a[i], 2)}",
            f"b: {digits(spots.intensity_b[i])} ± {digits(spots.sigma_b[i], 2)}",
            f"z = (a − b)/σ = {digits(spots.z[i], 2)}",
        ]
        if spots.background_n[i] > 0:
            text += [
                f"{int(spots.background_n[i])} other observations: "
                f"mean {digits(spots.background_mean[i])}, "
                f"sd {digits(spots.background_sd[i])}",
                f"percentile of a: {digits(spots.percentile_a[i], 2)} %, "
                f"of b: {digits(spots.percentile_b[i], 2)} %",
            ]
        lines.append("<br>".join(text))
    return lines


def _spots_trace(spots, intensity, sigma, shift, name, colour) -> dict:
    """One image's intensities, a little beside the middle of the column."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": np.arange(len(spots.miller_index)) + shift,
        "y": intensity,
        "error_y": {"array": sigma, "color": colour, "thickness": 1.2, "width": 2},
        "marker": {"color": colour, "size": 7},
        "text": spot_texts(spots),
        "hovertemplate": "%{text}<extra></extra>",
    }


def _highest(spots: SpotComparison) -> float:
    """Upper end of the intensity axis: a few outliers must not flatten the rest."""
    own = np.concatenate(
        [spots.intensity_a + spots.sigma_a, spots.intensity_b + spots.sigma_b]
    )
    others = spots.background_intensity
    usual = np.percentile(others, BACKGROUND_PERCENTILE) if len(others) else 0.0
    return 1.06 * float(
        max(own.max(initial=0), usual, spots.merged_mean.max(initial=0))
    )


def _background_traces(spots: SpotComparison, highest: float) -> list[dict]:
    """All other observations, and the mean of all."""
    above = int((spots.background_intensity > highest).sum())
    drawn = sample(len(spots.background_spot), MOST_POINTS)
    others = {
        "type": "scatter",
        "mode": "markers",
        "name": "all other images" + (f" ({above} above the frame)" if above else ""),
        "x": spots.background_spot[drawn],
        "y": spots.background_intensity[drawn],
        "marker": {"color": BACKGROUND_GREY, "size": 5},
        "hovertemplate": "%{y:.4g} on another image<extra></extra>",
    }
    merged = {
        "type": "scatter",
        "mode": "markers",
        "name": "merged mean",
        "x": np.arange(len(spots.miller_index)),
        "y": spots.merged_mean,
        "marker": {"color": "#000000", "size": 4},
        "hovertemplate": "merged mean %{y:.4g}<extra></extra>",
    }
    return [others, merged]


def _index_axis(spots: SpotComparison) -> dict:
    """The axis of reflections: their indices where there is room."""
    n = len(spots.miller_index)
    if n > MOST_INDEX_TICKS:
        return axis("Common reflections, by falling d", range=[-1, n])
    return axis(
        "Miller index of the common reflections, by falling d",
        tickvals=np.arange(n),
        ticktext=[hkl_label(h) for h in spots.miller_index],
        tickangle=-60,
        tickfont={"size": 11},
        range=[-0.7, n - 0.3],
    )


def _log_toggle(linear_range: list[float], values: np.ndarray) -> dict:
    """Buttons that switch the intensity axis, which the page sets above the plot."""
    log = log_axis("", values)
    ticks = {f"yaxis.{k}": log[k] for k in ("tickmode", "tickvals", "ticktext")}
    linear = {"yaxis.type": "linear", "yaxis.tickmode": "auto"}
    settings = {
        "linear": {**linear, "yaxis.range": linear_range},
        "linear, all": {**linear, "yaxis.autorange": True},
        "logarithmic": {"yaxis.type": "log", **ticks, "yaxis.range": log["range"]},
    }
    buttons = [
        {"label": name, "method": "relayout", "args": [args]}
        for name, args in settings.items()
    ]
    return {
        "type": "buttons",
        "name": "Intensity axis:",
        "buttons": buttons,
    }


def spots_plot(spots: SpotComparison, label_a: str, label_b: str) -> dict:
    """
    Draw every common reflection of two images, before all other observations.

    Args:
        spots: The comparison, n common reflections.
        label_a: Name of image a.
        label_b: Name of image b.

    Returns:
        A plot.
    """
    highest = _highest(spots)
    own = np.concatenate(
        [spots.intensity_a - spots.sigma_a, spots.intensity_b - spots.sigma_b]
    )
    limits = [min(-0.03 * highest, 1.1 * float(own.min(initial=0))), highest]
    data = [
        *_background_traces(spots, highest),
        _spots_trace(
            spots, spots.intensity_a, spots.sigma_a, -0.14, f"a: {label_a}", BLUE
        ),
        _spots_trace(
            spots, spots.intensity_b, spots.sigma_b, 0.14, f"b: {label_b}", RED
        ),
    ]
    return new_plot(
        data,
        SPOTS_HELP,
        f"{counted(len(spots.miller_index), 'common reflection')}, one by one",
        xaxis=_index_axis(spots),
        yaxis=axis("Intensity [scale of image a]", range=limits),
        legend=legend_above(),
        updatemenus=[_log_toggle(limits, spots.background_intensity)],
        height=460,
        meta={"wide": True},
    )


def scatter_plot(
    spots: SpotComparison, label_a: str, label_b: str, cc: float, r_factor: float
) -> dict:
    """
    Draw the intensities of one image against those of the other.

    Args:
        spots: The comparison.
        label_a: Name of image a.
        label_b: Name of image b.
        cc: Pearson's correlation; nan where undefined.
        r_factor: R between the two; nan where undefined.

    Returns:
        A plot.
    """
    values = np.concatenate([spots.intensity_a, spots.intensity_b])
    high = float(values.max(initial=1e-6)) * 1.06
    low = min(0.0, float(values.min(initial=0)) * 1.1)
    equal = {
        "type": "scatter",
        "mode": "lines",
        "name": "equal",
        "x": [low, high],
        "y": [low, high],
        "line": {"color": GREY, "dash": "dash", "width": 1.2},
        "hoverinfo": "skip",
    }
    across = {"range": [low, high], "constrain": "domain"}
    bars = {"color": "rgba(60,60,60,0.45)", "thickness": 1, "width": 0}
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "common reflections",
        "x": spots.intensity_a,
        "y": spots.intensity_b,
        "error_x": {"array": spots.sigma_a, **bars},
        "error_y": {"array": spots.sigma_b, **bars},
        "marker": {"color": "#5b3a8c", "size": 7},
        "text": spot_texts(spots),
        "hovertemplate": "%{text}<extra></extra>",
    }
    return new_plot(
        [equal, dots],
        SCATTER_HELP,
        "Image b against image a",
        f"CC = {digits(cc)}, R = {digits(r_factor)}, "
        f"{counted(len(spots.miller_index), 'reflection')}",
        xaxis=axis(f"Intensity on image a ({label_a}) [scale of a]", **across),
        yaxis=axis(
            f"Intensity on image b ({label_b}) [scale of a]", scaleanchor="x", **across
        ),
        showlegend=False,
        height=560,
        meta={"square": True},
    )
