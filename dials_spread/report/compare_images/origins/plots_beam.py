"""
Plots of the beam: what is known of its intensity, and how much that explains.

Functions:
    beam_plots: all of them by name
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials_spread.observations import Observations
from dials_spread.report.page.labels import counted, digits, image_label
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    INK,
    RED,
    axis,
    legend_above,
    named_axis,
    new_plot,
    sample,
    sample_note,
)
from dials_spread.spread.beam.beam_shares import Explained, centred
from dials_spread.spread.beam.beam_sources import BeamSources

LABELS = {
    "annulus": "annulus of the raw images",
    "disc": "direct beam",
    "background": "background under the spots",
    "spots": "spots (other half)",
    "dials_scale": "scale of dials.scale",
}

SHORT = {
    "annulus": "annulus",
    "disc": "direct beam",
    "background": "background",
    "spots": "spots",
    "dials_scale": "dials.scale",
}

COLOURS = {
    "annulus": RED,
    "disc": "#CC79A7",
    "background": "#E69F00",
    "spots": "#56B4E9",
    "dials_scale": "#009E73",
}

MOST_IMAGES = 1500
"""Drawn along the scans; whole crystals, the first ones."""

LOWEST = -0.5
"""R² down to which is drawn: below, a measure is useless all the same."""

SCANS_HELP = """
How bright each image is, relative to the mean of its crystal, by several measures. The
dark line is the factor of the image's own spots (unscaled intensities against those of
the same reflections elsewhere). A measure of the beam that explains it runs
along with it. Good: all lines within a few per cent, or the same ups and downs in all.
Ups and downs of the dark line alone come from the crystal (thickness, illuminated volume,
multiple scattering) or are noise; those of the annulus alone say that what scatters
diffusely is not what diffracts. Gaps separate crystals.
"""

EXPLAINED_HELP = """
How much of the variation from image to image, within crystals and before scaling, each
measure predicts on crystals that it was not fitted to (on other blocks of images, where
there is one crystal). 1 is all of it, 0 none, below 0 worse than a constant. The dashed
line is the noise ceiling: the highest R² that can be reached, as the factors have noise of
their own (from two halves of the reflections). A bar of the annulus near that line: fluctuations of the
beam are the cause, and can be divided out. Near 0: the beam is steady, or its fluctuations
do not matter beside the crystal's. The scale of dials.scale is fitted to the same spots
and should come near the line; if it does not, its model is too smooth. Error bars are
95 % intervals over crystals, from four crystals on.
"""

SCATTER_HELP = """
Each dot is an image: the best measure of the beam along x, the factor of its spots along
y, both relative to the mean of the crystal. The line is where they are
proportional. Dots along the line: the beam explains the differences between images. A
round cloud: it does not. A narrow cloud of another slope: the measure contains something
besides the beam, a constant background for instance.
"""


def _relative(values: np.ndarray, crystal: np.ndarray) -> np.ndarray:
    """Relative to the geometric mean of the crystal."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logarithm = np.log(values)
    logarithm[~np.isfinite(logarithm)] = np.nan
    return np.exp(centred(logarithm, crystal))


def scans_plot(observations: Observations, sources: BeamSources) -> dict:
    """
    Draw all measures along the scans.

    Args:
        observations: With the images.
        sources: What was found about them.

    Returns:
        A plot.
    """
    crystal = observations.images.crystal
    size = np.cumsum(np.bincount(crystal))
    n = max(int(np.sum(size <= MOST_IMAGES)), 1)
    drawn = np.flatnonzero(crystal < n)[:MOST_IMAGES]
    series = {"factor of the spots": (INK, sources.factors.k)}
    for name, values in sources.indicators.items():
        if name != "spots" and np.isfinite(values).any():
            series[LABELS[name]] = (COLOURS[name], values)
    gaps = np.flatnonzero(np.diff(crystal[drawn])) + 1
    texts = [f"crystal / frames: {image_label(observations, i)}" for i in drawn]
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": np.insert(drawn.astype(float), gaps, np.nan),
            "y": np.insert(_relative(values, crystal)[drawn], gaps, np.nan),
            "text": np.insert(np.array(texts, dtype=object), gaps, "").tolist(),
            "hovertemplate": "%{text}: %{y:.3g}<extra></extra>",
            "line": {"color": colour, "width": 2 if colour == INK else 1.4},
        }
        for name, (colour, values) in series.items()
    ]
    left = len(crystal) - len(drawn)
    note = f"first {len(drawn):,} of {len(crystal):,} images" if left else ""
    return new_plot(
        data,
        SCANS_HELP,
        "Brightness of the images",
        note,
        xaxis=axis(
            "Image, in order of crystal and frame [number]",
            range=[-0.02 * len(drawn), 1.02 * len(drawn)],
        ),
        yaxis=axis("Brightness [mean of the crystal = 1]"),
        showlegend=True,
        legend=legend_above(),
        height=440,
    )


def explained_plot(sources: BeamSources) -> dict:
    """
    Draw how much each measure explains.

    Args:
        sources: What was found.

    Returns:
        A plot.
    """
    names = [n for n, e in sources.explained.items() if np.isfinite(e.r_squared)]
    results = [sources.explained[n] for n in names]
    data = []
    for place, (name, found) in enumerate(zip(names, results)):
        drawn = max(found.r_squared, LOWEST)
        data.append(
            {
                "type": "bar",
                "name": LABELS[name],
                "x": [place],
                "y": [drawn],
                "width": [0.6],
                "marker": {"color": COLOURS[name]},
                "opacity": 0.8,
                "showlegend": False,
                "hovertemplate": f"R² {digits(found.r_squared)}, "
                f"{counted(found.n_images, 'image')} of "
                f"{counted(found.n_crystals, 'crystal')}, slope "
                f"{digits(found.slope, 2)}<extra></extra>",
            }
        )
        if np.isfinite(found.low):
            data.append(_range_of(place, max(found.low, LOWEST), found.high))
    if np.isfinite(sources.ceiling):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "noise ceiling",
                "x": [-0.5, len(names) - 0.5],
                "y": [sources.ceiling] * 2,
                "line": {"color": INK, "dash": "dash", "width": 1.5},
                "hoverinfo": "skip",
            }
        )
    top = max([1.0, *(e.high for e in results if np.isfinite(e.high))])
    return new_plot(
        data,
        EXPLAINED_HELP,
        "What explains the differences between images",
        _note_below(results),
        xaxis=named_axis("Measure of the brightness", [SHORT[n] for n in names]),
        yaxis=axis(
            "Share explained, cross-validated R²", range=[LOWEST - 0.05, top + 0.05]
        ),
        legend=legend_above(),
        showlegend=bool(np.isfinite(sources.ceiling)),
        height=400,
    )


def _note_below(results: Sequence[Explained]) -> str:
    """Say of how many measures not all is inside the frame."""
    below = sum(min(e.r_squared, np.nan_to_num(e.low)) < LOWEST for e in results)
    if not below:
        return ""
    return f"of {counted(below, 'measure')}, bar or interval goes on below the frame"


def _range_of(place: float, low: float, high: float) -> dict:
    """A vertical line with ends, as an interval."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "95 % interval",
        "x": [place, place],
        "y": [low, high],
        "line": {"color": INK, "width": 1.5},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def scatter_plot(observations: Observations, sources: BeamSources) -> dict | None:
    """
    Draw the factors of the spots against the best measure of the beam.

    Args:
        observations: With the images.
        sources: What was found about them.

    Returns:
        A plot; None where there is no measure but the spots.
    """
    shares = {
        name: e.r_squared
        for name, e in sources.explained.items()
        if name in ("annulus", "disc", "background") and np.isfinite(e.r_squared)
    }
    if not shares:
        return None
    # Raw images first: the background under spots is a makeshift.
    measured = {n: r for n, r in shares.items() if n != "background"} or shares
    name = max(measured, key=measured.__getitem__)
    crystal = observations.images.crystal
    x = _relative(sources.indicators[name], crystal)
    y = _relative(sources.factors.k, crystal)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    drawn = known[sample(len(known))]
    ends = [float(min(x[drawn].min(), 1)), float(max(x[drawn].max(), 1))]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "images",
        "x": x[drawn],
        "y": y[drawn],
        "marker": {"color": BLUE, "size": 6, "opacity": 0.5},
        "text": [f"crystal / frames: {image_label(observations, i)}" for i in drawn],
        "hovertemplate": "%{text}<extra></extra>",
    }
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "proportional",
        "x": ends,
        "y": ends,
        "line": {"color": GREY, "dash": "dash", "width": 1.5},
        "hoverinfo": "skip",
    }
    note = sample_note(len(known), len(drawn), "images")
    found = sources.explained[name]
    return new_plot(
        [dots, line],
        SCATTER_HELP,
        f"Factor of the spots against {LABELS[name]}",
        f"R² = {digits(found.r_squared, 2)}" + (f"; {note}" if note else ""),
        xaxis=axis(f"{LABELS[name].capitalize()} [mean of the crystal = 1]"),
        yaxis=axis("Factor of the spots [mean of the crystal = 1]"),
        legend=legend_above(),
    )


def beam_plots(observations: Observations, sources: BeamSources) -> dict[str, dict]:
    """
    Draw what is known of the beam.

    Args:
        observations: With the images.
        sources: What was found about them.

    Returns:
        Plots by name.
    """
    plots = {"beam_scans": scans_plot(observations, sources)}
    if any(np.isfinite(e.r_squared) for e in sources.explained.values()):
        plots["beam_explained"] = explained_plot(sources)
    scatter = scatter_plot(observations, sources)
    return plots if scatter is None else {**plots, "beam_scatter": scatter}
