"""
Plots of the size of the spread, by intensity, resolution, crystal and image.

Functions:
    spread_plots: these and those of the sources, by name
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.report.compare_images.spread.plots_sources import (
    components_plot,
    error_bars,
    quantile_plot,
)
from dials_spread.report.compare_images.spread.plots_variogram import variogram_plot
from dials_spread.report.page.labels import digits, image_label
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    axis,
    crystal_colours,
    legend_above,
    new_plot,
    sample,
    sample_note,
)
from dials_spread.spread.analysis import SpreadAnalysis
from dials_spread.spread.size.size import SizeColumns, SpreadSize

BINS_HELP = {
    "by_intensity": """
The relative spread s beyond the known errors, for reflections in groups of rising mean
intensity. Vertical lines are 95 % intervals over crystals. The robust estimate (grey)
does not follow a few wild observations: where it is much lower, these make the spread.
Good: low and flat. Falling to the right: weak reflections spread more than in proportion,
as where multiple scattering adds intensity from strong ones, or where their sigmas are
too small. Rising to the right: strong ones suffer, as from saturation or extinction.
""",
    "by_resolution": """
The relative spread s beyond the known errors, in shells of resolution, high resolution to
the right. Vertical lines are 95 % intervals over crystals. Good: low and flat. Rising to
the right: sigmas of weak high-order reflections too small, radiation damage, or
integration. Rising to the left: strong low-order reflections, which multiple scattering
hits first.
""",
}

CRYSTAL_HELP = """
The relative spread s beyond the known errors of the observations of each crystal, about
the mean of all others. Lines are 95 % intervals that take its observations as
independent. Good: all crystals alike. One that stands out disagrees with the rest: a
different thickness, another indexing choice, a second lattice, or a poor scale.
"""

IMAGE_HELP = """
The relative spread s of the observations on each image, in order of crystal (colours) and
frame. Images with fewer than ten are left out. Good: no pattern. Runs of high values
within a crystal: orientations with strong multiple scattering (zone axes), damage towards
the end, or frames on which the crystal was partly out of the beam.
"""


def _points(x, columns: SizeColumns, colour: str, texts: list[str]) -> dict:
    bars = error_bars(columns.s, columns.s_low, columns.s_high)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "maximum likelihood",
        "x": x,
        "y": columns.s,
        "error_y": {**bars, "color": colour},
        "marker": {"color": colour, "size": 8},
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _robust(x, columns: SizeColumns) -> dict:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "robust",
        "x": x,
        "y": columns.s_robust,
        "marker": {"color": GREY, "size": 7, "symbol": "diamond"},
        "hovertemplate": "robust: %{y:.3g}<extra></extra>",
    }


def _texts(columns: SizeColumns, names: list[str]) -> list[str]:
    rows = zip(names, columns.s, columns.s_low, columns.s_high, columns.n)
    return [
        f"{name}<br>s = {digits(s)} (95 %: {digits(low)} to {digits(high)})<br>"
        f"{n:,} observations"
        for name, s, low, high, n in rows
    ]


def bins_plot(size: SpreadSize, quantity: str) -> dict:
    """
    Draw s in bins.

    Args:
        size: The size of the spread.
        quantity: "by_intensity" or "by_resolution".

    Returns:
        A plot.
    """
    columns: SizeColumns = getattr(size, quantity)
    by_d = quantity == "by_resolution"
    if by_d:
        x = 0.5 * (columns.low**-2.0 + columns.high**-2.0)
        label = "Resolution d [Å]"
        edges = np.append(columns.low, columns.high[-1:])
        extra = {
            "tickvals": edges**-2.0,
            "ticktext": [digits(e) for e in edges],
        }
    else:
        x = np.sqrt(np.maximum(columns.low, 1e-12) * columns.high)
        label, extra = "Mean intensity of the reflection", {"type": "log"}
    names = [
        f"{digits(low)} to {digits(high)}{' Å' if by_d else ''}"
        for low, high in zip(columns.low, columns.high)
    ]
    return new_plot(
        [_robust(x, columns), _points(x, columns, BLUE, _texts(columns, names))],
        BINS_HELP[quantity],
        f"Spread by {quantity[3:]}, n = {columns.n.sum():,}",
        xaxis=axis(label, **extra),
        yaxis=axis("Excess relative spread s", rangemode="tozero"),
        legend=legend_above(),
        margin={"l": 70, "r": 20, "t": 80, "b": 60},
    )


def crystals_plot(size: SpreadSize) -> dict:
    """
    Draw s of each crystal.

    Args:
        size: The size of the spread.

    Returns:
        A plot.
    """
    columns = size.by_crystal
    names = [f"crystal {c}" for c in columns.number]
    number = int((columns.n > 0).sum())
    return new_plot(
        [
            _robust(columns.number, columns),
            _points(columns.number, columns, BLUE, _texts(columns, names)),
        ],
        CRYSTAL_HELP,
        f"Spread by crystal, n = {number:,}",
        xaxis=axis("Crystal", dtick=1 if number < 20 else None),
        yaxis=axis("Excess relative spread s", rangemode="tozero"),
        legend=legend_above(),
        margin={"l": 70, "r": 20, "t": 80, "b": 60},
    )


def images_plot(observations: Observations, size: SpreadSize) -> dict:
    """
    Draw s of each image.

    Args:
        observations: For the names of images.
        size: The size of the spread.

    Returns:
        A plot.
    """
    columns = size.by_image
    known = np.flatnonzero(np.isfinite(columns.s))
    drawn = known[sample(len(known))]
    crystal = observations.images.crystal
    colours = crystal_colours(np.unique(crystal[drawn]))
    texts = [
        f"image {image_label(observations, i)}<br>s = {digits(columns.s[i])}<br>"
        f"{columns.n[i]:,} observations"
        for i in drawn
    ]
    note = sample_note(len(known), len(drawn), "images")
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": drawn,
        "y": columns.s[drawn],
        "marker": {"color": [colours[int(crystal[i])] for i in drawn], "size": 5},
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
    }
    return new_plot(
        [trace],
        IMAGE_HELP,
        f"Spread by image, n = {len(known):,}" + (f" ({note})" if note else ""),
        xaxis=axis("Image, by crystal and frame"),
        yaxis=axis("Excess relative spread s", rangemode="tozero"),
    )


def spread_plots(observations: Observations, spread: SpreadAnalysis) -> dict[str, dict]:
    """
    Draw the size of the spread and its sources.

    Args:
        observations: With the images.
        spread: The results.

    Returns:
        Plots by name, of the parts that were computed.
    """
    plots = {}
    if spread.components and np.isfinite(spread.components.noise.share):
        plots["components"] = components_plot(spread.components)
    if spread.normality and len(spread.normality.quantiles):
        plots["quantiles"] = quantile_plot(spread.normality)
    if spread.variograms:
        plots["variogram"] = variogram_plot(spread.variograms)
    if spread.size:
        for quantity in BINS_HELP:
            plots[f"spread_{quantity}"] = bins_plot(spread.size, quantity)
        plots["spread_by_crystal"] = crystals_plot(spread.size)
        plots["spread_by_image"] = images_plot(observations, spread.size)
    return plots
