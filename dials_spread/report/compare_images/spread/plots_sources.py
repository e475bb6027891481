"""
Plots of the sources of the spread and of the distribution of residuals.

Functions:
    components_plot: shares of the sources
    quantile_plot: residuals against a normal distribution
    error_bars: an interval for plotly
"""

from __future__ import annotations

import numpy as np

from dials_spread.report.page.labels import counted, digits
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    INK,
    RED,
    axis,
    legend_above,
    named_axis,
    new_plot,
)
from dials_spread.spread.sources.components import Components
from dials_spread.spread.sources.normality import Normality
from dials_spread.spread.sources.told import (
    REST_AT_ONE_ORIENTATION,
    REST_NOT_APART,
    REST_WITHIN_CRYSTAL,
    ToldSources,
)

COMPONENTS_HELP = """
What share of the variance of one measurement each source has; the shares add up to
100 %. Lines are 95 % intervals over crystals. Image: a factor common to all reflections
of an image (beam, exposure, volume); scaling can remove it. Crystal: a factor common to a
crystal; likewise. Orientation: what differs between orientations, reflection by
reflection: multiple scattering, if these are electrons; no scaling removes it. Thickness:
what differs between crystals at one orientation, but not between repeats on one crystal
(bending and damage, too). Counting noise: a longer exposure reduces it. Same orientation,
different intensity: what is left; with thickness in it, where no crystal repeats an
orientation. Good data have mostly counting noise.
"""

QUANTILE_HELP = """
Residuals in units of what sigma and spread together predict, against what a normal
distribution of the same number would give. Good: on the line. Ends that bend away from
the line (up on the right, down on the left): a few observations are far out, more than a
normal distribution has; the likelihood ratios of matched pairs, which assume one, are
then too large or too small, and the permutation p-values are the ones to quote.
"""

LABELS = {
    "image": "image",
    "crystal": "crystal",
    "orientation": "orientation",
    "thickness": "thickness",
    "noise": "counting noise",
}

REST_LABELS = {
    REST_AT_ONE_ORIENTATION: "same orientation,<br>different intensity",
    REST_WITHIN_CRYSTAL: "errors of single<br>observations",
    REST_NOT_APART: "orientation or<br>anything else",
}
"""Of what no other source explains."""


def error_bars(middle, low, high) -> dict:
    """
    Describe an interval for plotly.

    Args:
        middle: Shape (n,).
        low: Shape (n,), nan where there is none.
        high: Likewise.

    Returns:
        For error_x or error_y of a trace.
    """
    # Not a number where there is no interval: of length zero, its ends would be drawn.
    return {
        "type": "data",
        "symmetric": False,
        "array": np.maximum(high - middle, 0),
        "arrayminus": np.maximum(middle - low, 0),
        "thickness": 1.2,
        "width": 3,
    }


def components_plot(components: Components, told: ToldSources) -> dict:
    """
    Draw the shares of the sources.

    Args:
        components: The sources, for the numbers that they rest on.
        told: What is said of them.

    Returns:
        A plot.
    """
    known = [s for s, p in told.parts.items() if np.isfinite(p.share)]
    parts = [told.parts[s] for s in known]
    share, low, high = (
        100
        * np.array([[p.share, p.share_low, p.share_high] for p in parts])
        .reshape(-1, 3)
        .T
    )
    top = np.max(high, initial=100.0, where=np.isfinite(high))
    colours = [RED if s == "orientation" else BLUE for s in known]
    labels = {**LABELS, "rest": REST_LABELS[told.rest]}
    texts = [
        f"{labels[s].replace('<br>', ' ')}: {digits(p.share * 100)} %<br>standard deviation of the relative "
        f"intensity {digits(np.sqrt(p.variance), 2)}"
        for s, p in zip(known, parts)
    ]
    trace = {
        "type": "bar",
        "x": np.arange(len(known)),
        "width": np.full(len(known), 0.7),
        "y": share,
        "error_y": {**error_bars(share, low, high), "color": INK},
        "marker": {"color": colours},
        "text": texts,
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
    }
    return new_plot(
        [trace],
        COMPONENTS_HELP,
        "Where the spread comes from",
        f"{counted(components.n_crystals, 'crystal')}, "
        f"{counted(components.n_pairs, 'pair')} of observations",
        xaxis=named_axis("", [labels[s] for s in known]),
        yaxis=axis("Share of the variance [%]", range=[0, 1.02 * top]),
    )


def quantile_plot(normality: Normality) -> dict:
    """
    Draw residuals against a normal distribution.

    Args:
        normality: With its quantiles.

    Returns:
        A plot.
    """
    ends = [normality.normal_quantiles[0], normality.normal_quantiles[-1]]
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "normal distribution",
        "x": ends,
        "y": ends,
        "line": {"color": GREY, "width": 1.5},
        "hoverinfo": "skip",
    }
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "residuals",
        "x": normality.normal_quantiles,
        "y": normality.quantiles,
        "marker": {"color": BLUE, "size": 5},
        "hovertemplate": "expected %{x:.2f}, found %{y:.2f}<extra></extra>",
    }
    return new_plot(
        [line, dots],
        QUANTILE_HELP,
        "Are residuals normal?",
        f"n = {normality.n:,}, excess kurtosis "
        f"{digits(normality.excess_kurtosis[0], 2)}",
        xaxis=axis("Quantile of a normal distribution [σ]"),
        yaxis=axis("Quantile of the residuals [σ]"),
        legend=legend_above(),
    )
