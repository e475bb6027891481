"""
Plots of special orientations.

Functions:
    special_plots: all of them by name
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.report.page.labels import (
    counted,
    digits,
    hkl_label,
    image_label,
    zone_label,
)
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
from dials_spread.spread.orientations.special import Orientations

FEWEST_FOR_LINE = 30

IMAGES_HELP = """
Each dot is an image: the angle between the beam and the nearest simple zone axis (indices
up to 1), and the mean size of the residuals of its spots over that of the same reflections
on all images: 1 is the average. If special orientations matter, dots rise towards the left. Flat: they
do not. High dots anywhere else are bad images. The line is the running median.
"""

CORRELATION_HELP = """
Rank correlation between the size of residuals on an image, over that of the same
reflections elsewhere, and its angle to a special direction: the nearest zone axis up to the chosen index, the nearest of the simplest ones,
and the axes of both lattices. Negative: residuals are larger near that direction. The
p-value comes from giving whole crystals the orientations of other crystals, because
neighbouring images are not independent; it takes four crystals. Good: all bars blue and
short. Red bars have q below 0.05 after correction for the number of angles: orientation
matters. Long bars with a high p or none mean nothing.
"""

EXTREMES_HELP = """
The observations that are farthest from the mean of the others of their reflection, in
standard deviations with the overall spread included, against the angle to the nearest
simple zone axis. Grey bars show where all observations are (axis on the right): extremes that follow the grey need
no explanation by zone axes; extremes crowded at the left do. Above the reflection's mean
(blue) near a zone axis is typical of multiple scattering into weak reflections; below it
(red) of strong ones losing intensity. The log and the JSON file list them.
"""

NAMES = {"low_index_zone": "simple zone", "zone": "any zone"}


def images_plot(observations: Observations, found: Orientations) -> dict:
    """
    Draw the size of residuals against the angle to the nearest simple zone axis.

    Args:
        observations: With the images.
        found: About these.

    Returns:
        A plot.
    """
    x, y = found.low_zone_angle, found.relative_residual
    known = np.flatnonzero(np.isfinite(y))
    drawn = known[sample(len(known))]
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "images",
            "x": x[drawn],
            "y": y[drawn],
            "marker": {"color": BLUE, "size": 6, "opacity": 0.45},
            "text": [
                f"{image_label(observations, i)}: {digits(x[i], 2)}° from "
                f"{zone_label(found.low_zone[i])}, nearest {zone_label(found.zone[i])} "
                f"at {digits(found.zone_angle[i], 2)}°, {found.image_n[i]} spots"
                for i in drawn
            ],
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]
    if len(known) >= FEWEST_FOR_LINE:
        order = known[np.argsort(x[known], kind="stable")]
        groups = np.array_split(order, min(len(order) // 15, 12))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "running median",
                "x": [np.median(x[g]) for g in groups],
                "y": [np.median(y[g]) for g in groups],
                "line": {"color": RED, "width": 2.5},
                "marker": {"color": RED, "size": 6},
                "hovertemplate": "median %{y:.3g} at %{x:.2g}°<extra></extra>",
            }
        )
    note = sample_note(len(known), len(drawn), "images")
    return new_plot(
        data,
        IMAGES_HELP,
        "Residuals and zone axes",
        note,
        xaxis=axis("Angle to the nearest simple zone axis [°]", rangemode="tozero"),
        yaxis=axis(
            "Mean residual over that of the same reflections", rangemode="tozero"
        ),
        legend=legend_above(),
    )


def correlation_plot(found: Orientations) -> dict:
    """
    Draw the correlation of residuals with each angle.

    Args:
        found: About the images.

    Returns:
        A plot.
    """
    known = [a for a in found.associations if np.isfinite(a.correlation)]
    data = [
        {
            "type": "bar",
            "name": a.angle,
            "x": [place],
            "y": [a.correlation],
            "width": [0.6],
            "marker": {"color": RED if a.q_value < 0.05 else BLUE},
            "opacity": 0.8,
            "text": [f"p = {digits(a.p_value, 2)}" if np.isfinite(a.p_value) else ""],
            "textposition": "outside",
            "constraintext": "none",
            "textfont": {"size": 11},
            "cliponaxis": False,
            "showlegend": False,
            "hovertemplate": f"{digits(a.correlation, 2)}, p = {digits(a.p_value, 2)}, "
            f"q = {digits(a.q_value, 2)}, {counted(a.n_images, 'image')} of "
            f"{counted(a.n_crystals, 'crystal')}<extra></extra>",
        }
        for place, a in enumerate(known)
    ]
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "none",
            "x": [-0.6, len(known) - 0.4],
            "y": [0, 0],
            "line": {"color": INK, "width": 1},
            "showlegend": False,
            "hoverinfo": "skip",
        }
    )
    texts = [NAMES.get(a.angle, a.angle.replace("_", " ")) for a in known]
    highest = max([abs(a.correlation) for a in known], default=0.0)
    edge = min(1.0, 1.2 * highest + 0.1)
    return new_plot(
        data,
        CORRELATION_HELP,
        "Residuals and the angle to special directions",
        counted(known[0].n_crystals if known else 0, "crystal"),
        xaxis=named_axis("Angle to", texts),
        yaxis=axis("Spearman's rank correlation", range=[-edge, edge]),
        showlegend=False,
        height=400,
    )


def extremes_plot(found: Orientations) -> dict:
    """
    Draw the extreme observations against the angle to the nearest simple zone axis.

    Args:
        found: About the images.

    Returns:
        A plot.
    """
    weight = found.image_n / max(found.image_n.sum(), 1)
    edges = np.linspace(0, max(float(found.low_zone_angle.max()), 1.0), 16)
    share, _ = np.histogram(found.low_zone_angle, edges, weights=weight)
    data = [
        {
            "type": "bar",
            "name": "all observations (right axis)",
            "yaxis": "y2",
            "x": 0.5 * (edges[1:] + edges[:-1]),
            "y": 100 * share,
            "width": np.diff(edges),
            "marker": {"color": GREY},
            "opacity": 0.3,
            "hoverinfo": "skip",
        }
    ]
    for above, colour in ((True, BLUE), (False, RED)):
        own = [e for e in found.extremes if (e["z"] > 0) == above]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "above the mean" if above else "below the mean",
                "x": [e["low_index_zone_angle"] for e in own],
                "y": [abs(e["z"]) for e in own],
                "marker": {"color": colour, "size": 8, "opacity": 0.8},
                "text": [_text(e) for e in own],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    return new_plot(
        data,
        EXTREMES_HELP,
        f"The {len(found.extremes)} most extreme observations",
        xaxis=axis("Angle to the nearest simple zone axis [°]", rangemode="tozero"),
        yaxis=axis("Distance from the mean of the others [σ]", rangemode="tozero"),
        yaxis2=axis(
            "Share of all observations [%]",
            overlaying="y",
            side="right",
            range=[0, 125 * max(share.max(), 1e-12)],
            mirror=False,
        ),
        legend=legend_above(),
        margin={"l": 65, "r": 65, "t": 16, "b": 50},
    )


def _text(e: dict) -> str:
    return (
        f"{hkl_label(e['miller_index'])} on {e['crystal']} / {e['image']}<br>"
        f"I = {digits(e['intensity'])}, mean of {e['others']} others "
        f"{digits(e['mean_of_others'])}, z = {digits(e['z'])}<br>"
        f"{digits(e['zone_angle'], 2)}° from {zone_label(e['zone'])}, "
        f"{digits(e['low_index_zone_angle'], 2)}° from {zone_label(e['low_index_zone'])}"
    )


def special_plots(observations: Observations, found: Orientations) -> dict[str, dict]:
    """
    Draw special orientations.

    Args:
        observations: With the images.
        found: About these.

    Returns:
        Plots by name; none without residuals.
    """
    if not found.extremes:
        return {}
    return {
        "special_images": images_plot(observations, found),
        "special_correlations": correlation_plot(found),
        "special_extremes": extremes_plot(found),
    }
