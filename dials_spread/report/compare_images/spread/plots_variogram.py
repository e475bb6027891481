"""
The variogram, drawn.

Functions:
    variogram_plot: with its companions and the fitted curve
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
    log_axis,
    new_plot,
)
from dials_spread.spread.analysis import Variograms
from dials_spread.spread.variogram.curves import FEWEST_PAIRS, correlation
from dials_spread.spread.variogram.variogram import Variogram

LEAST_ANGLE = 0.01
"""At the left end of the axis [°], which has no zero."""

PALE = "rgba(0,114,178,0.4)"

VARIOGRAM_HELP = """
How much two observations of one reflection disagree (half the mean squared relative
difference, free of counting noise), against the angle between the beam directions in the
crystal, on a logarithmic scale. Each point is a bin of angles, with a 95 % interval over
crystals; the number of pairs and crystals shows on hovering. γ at 0° is what differs
between crystals even at one orientation (thickness, damage, scale); the plateau is all
that differs. What lies between depends on the orientation: with electrons, multiple
scattering. Half of it is reached at the correlation angle: images further apart agree
little better than any others. X-ray data should be flat. Flat and low is good; a rise says
that no scaling can bring the observations together. Open circles: beams from opposite
sides, at 180° less their angle; by reciprocity they should lie with the others. Grey
diamonds: the robust estimate, which a few wild observations do not move (factors of images
are left in it). Black crosses:
pairs within one crystal, without second listings of one crossing of the Ewald sphere.
"""


def _chosen(variogram: Variogram, opposite: bool) -> np.ndarray:
    """Bins with pairs enough, on one side of 90°."""
    enough = (variogram.pairs >= FEWEST_PAIRS) & np.isfinite(variogram.gamma)
    return np.flatnonzero(enough & ((variogram.low >= 90) == opposite))


def _trace(variogram: Variogram, opposite: bool, values, name, colour, symbol) -> dict:
    at = _chosen(variogram, opposite)
    at = at[np.isfinite(values[at])]
    angle = variogram.angle[at]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": 180 - angle if opposite else angle,
        "y": values[at],
        "marker": {"color": colour, "size": 8, "symbol": symbol},
        "text": [
            f"{digits(variogram.low[i])}° to {digits(variogram.high[i])}°: "
            f"γ = {digits(values[i])}<br>{counted(variogram.pairs[i], 'pair')}, "
            f"{counted(variogram.crystals[i], 'crystal')}"
            for i in at
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _with_bars(variogram: Variogram, opposite: bool, name, symbol) -> dict:
    at = _chosen(variogram, opposite)
    trace = _trace(variogram, opposite, variogram.gamma, name, BLUE, symbol)
    up = variogram.gamma_high[at] - variogram.gamma[at]
    down = variogram.gamma[at] - variogram.gamma_low[at]
    bars = {"type": "data", "symmetric": False, "thickness": 1, "width": 2}
    bars.update(array=np.maximum(up, 0), arrayminus=np.maximum(down, 0), color=PALE)
    return {**trace, "error_y": bars}


def _curve(variogram: Variogram) -> list[dict]:
    if variogram.curves is None or not variogram.grows:
        # What growth is fitted all the same is noise.
        return []
    x = np.geomspace(LEAST_ANGLE, 90, 200)
    nugget, sill = variogram.nugget[0], variogram.sill[0]
    rho = correlation(variogram.shape, x / variogram.curves.angle[0])
    y = sill - (sill - nugget) * rho
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "fitted curve",
            "x": x,
            "y": y,
            "line": {"color": RED, "width": 2.5},
            "hoverinfo": "skip",
        }
    ]


def _limits(traces: list[dict]) -> tuple[list[float], int]:
    """The ends of the axis of γ, and how many intervals are longer than that."""
    values = np.concatenate([np.zeros(1), *(t["y"] for t in traces)])
    bars = [t for t in traces if "error_y" in t]
    up = [t["y"] + np.nan_to_num(t["error_y"]["array"]) for t in bars]
    highest = np.concatenate([values, *up])
    down = [t["y"] - np.nan_to_num(t["error_y"]["arrayminus"]) for t in bars]
    lowest = np.concatenate([values, *down])
    # An interval of few crystals can be so long that no point is told from another.
    top = min(highest.max(), 2 * values.max())
    bottom = max(lowest.min(), min(values.min(), 0) - 0.3 * values.max())
    space = 0.04 * (top - bottom) or 0.5
    beyond = int(np.sum(highest > top) + np.sum(lowest < bottom))
    return [float(bottom - space), float(top + space)], beyond


def variogram_plot(variograms: Variograms) -> dict:
    """
    Draw the variogram.

    Args:
        variograms: The main one and its companions.

    Returns:
        A plot.
    """
    main, within = variograms.shown, variograms.within
    data = [
        # Of factors taken off only means are free of errors: there is no robust estimate.
        _trace(main, False, variograms.main.robust, "robust", GREY, "diamond"),
        _with_bars(main, False, main.kind, "circle"),
        _with_bars(main, True, "from opposite sides", "circle-open"),
    ]
    if within is not None:
        data.append(
            _trace(within, False, within.gamma, within.kind, INK, "x-thin-open")
        )
    drawn = [t for t in data if len(t["x"])]
    fitted = "; factors of images taken off" if variograms.corrected else ""
    if main.grows:
        fitted += (
            f", γ at 0° {digits(main.nugget[0], 2)}, plateau {digits(main.sill[0], 2)}, "
            f"correlation angle {digits(main.range[0], 2)}°"
        )
    elif np.isfinite(main.growth_p_value):
        fitted += ": growth with the angle is not shown"
    limits, beyond = _limits(drawn)
    if beyond:
        fitted += f"; {counted(beyond, 'interval')} reach beyond the frame"
    ends = [float(np.max(t["x"])) for t in drawn]
    return new_plot(
        [*drawn, *_curve(main)],
        VARIOGRAM_HELP,
        "Disagreement against the angle between the beams",
        f"{main.n_pairs:,} pairs of observations{fitted}",
        xaxis=log_axis(
            "Angle between the beam directions in the crystal [°]",
            [LEAST_ANGLE, max(ends, default=90.0)],
        ),
        yaxis=axis("γ, half the mean squared relative difference", range=limits),
        legend=legend_above(),
        height=460,
        meta={"wide": True},
    )
