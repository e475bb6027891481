"""
Plots of the size of the spread, by intensity, resolution, crystal and image.

Functions:
    spread_plots: these and those of the sources, by name
    not_drawn: those with nothing to show
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dials_spread.observations import Observations
from dials_spread.report.compare_images.spread.plots_sources import (
    components_plot,
    error_bars,
    quantile_plot,
)
from dials_spread.report.compare_images.spread.plots_variogram import variogram_plot
from dials_spread.report.page.labels import counted, digits, image_label
from dials_spread.report.page.plot_style import (
    BLUE,
    CRYSTAL_COLOURS,
    EXCESS,
    GREY,
    axis,
    crystal_colours,
    legend_above,
    log_axis,
    named_axis,
    new_plot,
    sample,
    sample_note,
)
from dials_spread.spread.analysis import SpreadAnalysis
from dials_spread.spread.size.size import SizeColumns, SpreadSize
from dials_spread.spread.sources.told import ToldSources, tell_sources

MOST_NAMES = 10
"""Crystals up to which each has its name and colour in plots."""

BINS_HELP = {
    "by_intensity": """
The relative spread s beyond the known errors, for reflections in groups of rising mean
intensity. Vertical lines are 95 % intervals over crystals. The robust estimate (grey)
does not follow a few outliers: where it is much lower, these make the spread.
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
The relative error s of the observations on each image, beyond their σ, in order of crystal
(colours) and frame. Images with fewer than ten are left out. Good: no pattern. Runs of high values
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
        edges = np.unique(np.append(columns.low, columns.high[-1:]))[::-1]
        ticks = {"tickvals": edges**-2.0, "ticktext": [f"{e:.2f}" for e in edges]}
        along = axis("Resolution d [Å], limits of the shells", **ticks)
    else:
        x = np.sqrt(np.maximum(columns.low, 1e-12) * columns.high)
        along = log_axis("Mean intensity of the reflection [arb. units]", x)
    names = [
        f"{digits(low)} to {digits(high)}{' Å' if by_d else ''}"
        for low, high in zip(columns.low, columns.high)
    ]
    return new_plot(
        [_robust(x, columns), _points(x, columns, BLUE, _texts(columns, names))],
        BINS_HELP[quantity],
        f"Relative error not covered by σ, by {quantity[3:]}",
        f"{columns.n.sum():,} observations",
        xaxis=along,
        yaxis=axis(EXCESS, rangemode="tozero"),
        legend=legend_above(),
    )


def crystals_plot(size: SpreadSize, crystal_names: Mapping[int, str]) -> dict:
    """
    Draw s of each crystal.

    Args:
        size: The size of the spread.
        crystal_names: By number.

    Returns:
        A plot.
    """
    columns = size.by_crystal
    names = [f"crystal {crystal_names.get(int(c), c)}" for c in columns.number]
    places = np.arange(len(columns.number))
    number = int((columns.n > 0).sum())
    along = axis("Crystal [number]")
    if len(places) <= MOST_NAMES:
        texts = [crystal_names.get(int(c), str(c)) for c in columns.number]
        along = named_axis("Crystal [number and name of its images]", texts)
    else:
        places = columns.number
    return new_plot(
        [
            _robust(places, columns),
            _points(places, columns, BLUE, _texts(columns, names)),
        ],
        CRYSTAL_HELP,
        "Relative error not covered by σ, by crystal",
        counted(number, "crystal"),
        xaxis=along,
        yaxis=axis(EXCESS, rangemode="tozero"),
        legend=legend_above(),
    )


def images_plot(
    observations: Observations, size: SpreadSize, crystal_names: Mapping[int, str]
) -> dict:
    """
    Draw s of each image.

    Args:
        observations: For the names of images.
        size: The size of the spread.
        crystal_names: By number.

    Returns:
        A plot.
    """
    columns = size.by_image
    known = np.flatnonzero(np.isfinite(columns.s))
    drawn = known[sample(len(known))]
    crystal = observations.images.crystal
    numbers = np.unique(crystal[drawn])
    few = len(numbers) <= MOST_NAMES
    # Beyond, colours only tell neighbours apart.
    pair = (BLUE, CRYSTAL_COLOURS[1])
    colours = crystal_colours(numbers) if few else {}
    texts = [
        f"image {image_label(observations, i)}<br>s = {digits(columns.s[i])}<br>"
        f"{columns.n[i]:,} observations"
        for i in drawn
    ]
    note = sample_note(len(known), len(drawn), "images")
    traces = []
    for place, number in enumerate(numbers):
        own = np.flatnonzero(crystal[drawn] == number)
        colour = colours.get(int(number), pair[place % 2])
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": crystal_names.get(int(number), str(number)),
                "x": drawn[own],
                "y": columns.s[drawn[own]],
                "marker": {"color": colour, "size": 5},
                "text": [texts[i] for i in own],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    shown = counted(len(known), "image")
    shown += "" if few else "; colours alternate from crystal to crystal"
    return new_plot(
        traces,
        IMAGE_HELP,
        "Relative error not covered by σ, by image",
        shown + (f"; {note}" if note else ""),
        xaxis=axis("Image, in order of crystal and frame [number]"),
        yaxis=axis(EXCESS, rangemode="tozero"),
        **_legend_of_colours(few and len(numbers) > 1),
    )


def _legend_of_colours(several: bool) -> dict:
    """One colour needs no legend."""
    if not several:
        return {"showlegend": False}
    return {"legend": {**legend_above(), "itemsizing": "constant"}}


def spread_plots(
    observations: Observations,
    spread: SpreadAnalysis,
    crystal_names: Mapping[int, str] | None = None,
    told: ToldSources | None = None,
) -> dict[str, dict]:
    """
    Draw the size of the spread and its sources.

    Args:
        observations: With the images.
        spread: The results.
        crystal_names: By number; the numbers alone by default.
        told: What is said of its sources; None takes what the sources alone tell.

    Returns:
        Plots by name, of the parts that were computed.
    """
    plots = {}
    if spread.components:
        told = told or tell_sources(spread.components)
        if np.isfinite(told.parts["noise"].share):
            plots["components"] = components_plot(spread.components, told)
    if spread.normality and len(spread.normality.quantiles):
        plots["quantiles"] = quantile_plot(spread.normality)
    if spread.variograms and np.isfinite(spread.variograms.shown.gamma).any():
        plots["variogram"] = variogram_plot(spread.variograms)
    if spread.size:
        for quantity in BINS_HELP:
            if _has_curve(getattr(spread.size, quantity)):
                plots[f"spread_{quantity}"] = bins_plot(spread.size, quantity)
        names = crystal_names or {}
        if _has_curve(spread.size.by_crystal):
            plots["spread_by_crystal"] = crystals_plot(spread.size, names)
        if _has_curve(spread.size.by_image):
            plots["spread_by_image"] = images_plot(observations, spread.size, names)
    return plots


def _has_curve(columns: SizeColumns) -> bool:
    """Say whether there is more than one point to compare."""
    return np.count_nonzero(np.isfinite(columns.s)) > 1


def not_drawn(spread: SpreadAnalysis) -> list[str]:
    """
    Say which plots would have nothing to show.

    Args:
        spread: The results.

    Returns:
        Sentences.
    """
    told = []
    if spread.variograms and not np.isfinite(spread.variograms.shown.gamma).any():
        told.append(
            "Not drawn against the angle between the beams: no group of pairs has an "
            "estimate."
        )
    size = spread.size
    if size is None:
        return told
    told += [
        f"Not drawn by {quantity[3:]}: fewer than two groups of reflections have an s."
        for quantity in BINS_HELP
        if not _has_curve(getattr(size, quantity))
    ]
    told += [
        f"Not drawn by {what}: fewer than two {what}s have enough observations for an s."
        for what, columns in (("crystal", size.by_crystal), ("image", size.by_image))
        if not _has_curve(columns)
    ]
    return told
