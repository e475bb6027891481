"""
All pairs at a glance.

Functions:
    distribution_plots: of common indices, CC, R and excess spread
    angle_plot: do images of the same orientation agree?
    pair_texts: what a pair says when hovered
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.pairs import Matches, PairAgreement
from dials_spread.report.page.labels import digits, image_label
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    RED,
    axis,
    legend_above,
    new_plot,
    sample,
    sample_note,
)

BINS = 40

OUTLIERS_OUT = 1.25
"""Frames end there, in units of the 98th percentile, to show what most pairs do."""

NAMES = {
    "n_common": "Common reflections of a pair [number]",
    "cc": "CC of a pair",
    "r_factor": "R of a pair",
    "excess_spread": "Relative error not covered by σ, s, of a pair",
}

DISTRIBUTION_HELP = {
    "n_common": """
How many reflections the images of a pair have in common, over all pairs. CC, R and s of
a pair rest on that many: below about ten they say little. If most pairs share few, join
more frames of a scan (a larger image_width; stills have none to join) or add crystals.
""",
    "cc": """
Pearson's correlation between the intensities of two images, over all pairs. Good: most
pairs above 0.9. Few common reflections and one strong one among them can make it high
by chance, so look at R and s beside it.
""",
    "r_factor": """
Sum of the absolute differences between the images of a pair, divided by their mean sum.
0 is perfect. X-ray data of one compound usually stay below 0.1; for electrons 0.2 to
0.4 is common. It contains the counting noise: weak images have a high R in any case.
""",
    "excess_spread": """
The relative spread between the images of a pair beyond what their sigmas explain. 0
means that sigma accounts for all of it; 0.3 that two images at one orientation differ
by a further 30 % each. In grey, where drawn, the same for the images of a pair against
the mean of all other images: if the coloured distribution lies to the left of the grey
one, images of one orientation agree better with one another than with the rest, and
orientation (multiple scattering) is a cause of the spread.
""",
}

ANGLE_HELP = """
Each dot is a pair of images: the angle between their beam directions in the crystal,
and how much their intensities disagree. The line is the running median, the band the
middle half of the pairs. Grey dots are pairs that share indices only with Friedel's
law, one crystal seen from the opposite side: the nearly flat Ewald sphere of electrons
makes them frequent, and multiple scattering may treat the two sides differently. If multiple scattering dominates, disagreement is small at
small angles and rises within a few degrees. Flat and low: the data agree whatever the
orientation, as X-ray data do. Flat and high: the images disagree even at the same
orientation, so that scale, thickness, damage or integration are to blame first.
"""


def _histogram(values: np.ndarray, edges: np.ndarray, name: str, colour: str) -> dict:
    """Shares of the pairs [%] in bins, as bars that may overlap."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return {
        "type": "bar",
        "name": f"{name} (median {digits(np.median(values))}, n = {len(values):,})",
        "x": 0.5 * (edges[1:] + edges[:-1]),
        "y": 100 * counts / len(values),
        "width": np.diff(edges),
        "marker": {"color": colour, "line": {"width": 0}},
        "opacity": 0.6,
        "hovertemplate": "%{x:.3g}: %{y:.1f} % of the pairs<extra></extra>",
    }


def _edges(quantity: str, values: np.ndarray) -> np.ndarray:
    """Bins over what is of interest; the last one takes in what lies beyond."""
    if quantity == "cc":
        return np.linspace(min(0.0, max(-1.0, float(values.min()))), 1, BINS + 1)
    if quantity == "n_common":
        low, high = int(values.min()), int(values.max())
        step = max(1, -(-(high - low + 1) // BINS))
        return np.arange(low, high + step + 1, step) - 0.5
    end = float(np.percentile(values, 99)) * 1.1
    return np.linspace(0, end if end > 0 else 1.0, BINS + 1)


def distribution_plot(quantity: str, series: list[tuple]) -> dict:
    """
    Draw how one quantity is distributed over the pairs.

    Args:
        quantity: A key of NAMES.
        series: For each set of pairs its name, colour and values, shape (n,); what is
            not finite is left out.

    Returns:
        A plot.
    """
    finite = [(n, c, v[np.isfinite(v)]) for n, c, v in series]
    finite = [(n, c, v) for n, c, v in finite if len(v)]
    data = []
    if finite:
        edges = _edges(quantity, np.concatenate([v for _, _, v in finite]))
        data = [_histogram(v, edges, n, c) for n, c, v in finite]
    return new_plot(
        data,
        DISTRIBUTION_HELP[quantity],
        NAMES[quantity],
        barmode="overlay",
        bargap=0,
        xaxis=axis(
            NAMES[quantity].replace(", of a pair", "").replace(" of a pair", "")
        ),
        yaxis=axis("Share of the pairs [%]", rangemode="tozero"),
        showlegend=True,
        legend=legend_above(),
        height=400,
    )


def distribution_plots(
    matches: Matches,
    agreement: PairAgreement,
    name: str = "these data",
    reference: dict | None = None,
    reference_name: str = "reference",
) -> dict[str, dict]:
    """
    Draw the distributions of common indices, CC, R and excess spread.

    Args:
        matches: The pairs.
        agreement: Of the pairs.
        name: Of the data.
        reference: Arrays by quantity of an earlier run to compare with.
        reference_name: Of the earlier run.

    Returns:
        A plot by quantity.
    """
    plots = {}
    for quantity in NAMES:
        own = matches if quantity == "n_common" else agreement
        values = np.asarray(getattr(own, quantity), dtype=float)
        series = [(name, BLUE, values)]
        if reference is not None:
            series.append((reference_name, RED, reference[quantity]))
        elif quantity == "excess_spread":
            spread = agreement.background_spread
            series.insert(0, ("against all other images", GREY, spread))
        plots[quantity] = distribution_plot(quantity, series)
    return plots


def pair_texts(
    observations: Observations,
    matches: Matches,
    agreement: PairAgreement,
    pairs: np.ndarray,
) -> list[str]:
    """
    Describe pairs for hovering.

    Args:
        observations: With the images.
        matches: All pairs.
        agreement: Of all pairs.
        pairs: Shape (n,), the numbers of the pairs to describe.

    Returns:
        n texts.
    """
    texts = []
    for p in pairs:
        a = image_label(observations, matches.image_a[p])
        b = image_label(observations, matches.image_b[p])
        texts.append(
            f"a: {a}   b: {b}<br>n = {matches.n_common[p]}, "
            f"{digits(matches.beam_angle[p], 2)}° apart<br>"
            f"CC = {digits(agreement.cc[p])}, R = {digits(agreement.r_factor[p])}, "
            f"s = {digits(agreement.excess_spread[p], 2)}"
        )
    return texts


def _running_quartiles(x: np.ndarray, y: np.ndarray) -> list[dict]:
    """Median and middle half in up to 12 groups of equal size along x."""
    groups = np.array_split(np.argsort(x, kind="stable"), np.clip(len(x) // 25, 1, 12))
    centre = np.array([np.median(x[g]) for g in groups])
    low, middle, high = np.array([np.percentile(y[g], [25, 50, 75]) for g in groups]).T
    band = {
        "type": "scatter",
        "mode": "lines",
        "name": "middle half",
        "x": np.concatenate([centre, centre[::-1]]),
        "y": np.concatenate([high, low[::-1]]),
        "fill": "toself",
        "fillcolor": "rgba(213,94,0,0.18)",
        "line": {"width": 0, "color": RED},
        "hoverinfo": "skip",
    }
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "running median",
        "x": centre,
        "y": middle,
        "line": {"color": RED, "width": 2.5},
        "marker": {"color": RED, "size": 6},
        "hovertemplate": "median %{y:.3g} at %{x:.2g}°<extra></extra>",
    }
    return [band, line]


def _dots(x, y, name: str, colour: str, texts: list[str]) -> dict:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": x,
        "y": y,
        "marker": {"color": colour, "size": 5 if len(x) > 200 else 8, "opacity": 0.5},
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }


def angle_plot(
    observations: Observations,
    matches: Matches,
    agreement: PairAgreement,
    quantity: str = "excess_spread",
) -> dict:
    """
    Draw the disagreement of pairs against the angle between their beam directions.

    Args:
        observations: With the images.
        matches: The pairs.
        agreement: Of the pairs.
        quantity: "r_factor" or "excess_spread".

    Returns:
        A plot.
    """
    y = getattr(agreement, quantity)
    known = np.flatnonzero(np.isfinite(y) & np.isfinite(matches.beam_angle))
    drawn = known[sample(len(known))]
    angle = matches.beam_angle
    opposite = angle > 90
    dots = []
    for side, colour in ((False, BLUE), (True, GREY)):
        own = drawn[opposite[drawn] == side]
        x = 180 - angle[own] if side else angle[own]
        name = "from opposite sides (180° − angle)" if side else "pairs"
        if len(own):
            texts = pair_texts(observations, matches, agreement, own)
            dots.append(_dots(x, y[own], name, colour, texts))
    same = known[~opposite[known]]
    lines = []
    if len(same) >= 15:
        lines = _running_quartiles(angle[same], y[same])
    highest = OUTLIERS_OUT * float(np.percentile(y[known], 98)) if len(known) else 1.0
    above = int((y[known] > highest).sum())
    notes = (
        sample_note(len(known), len(drawn), "pairs"),
        f"{above:,} above the frame" if above else "",
    )
    note = "; ".join(filter(None, notes))
    symbol = "R" if quantity == "r_factor" else "s"
    title = f"{symbol} of a pair against the angle between the beams"
    return new_plot(
        [*dots, *lines],
        ANGLE_HELP,
        title,
        f"{len(known):,} pairs" + (f"; {note}" if note else ""),
        xaxis=axis(
            "Angle between the beam directions in the crystal [°]", rangemode="tozero"
        ),
        yaxis=axis(NAMES[quantity], range=[-0.02 * (highest or 1), highest or 1]),
        legend=legend_above(),
        height=450,
    )
