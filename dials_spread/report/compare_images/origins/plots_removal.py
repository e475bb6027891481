"""
What leaving out noisy spots does, against leaving out as many at random.

Functions:
    removal_plot: both ways of choosing them
"""

from __future__ import annotations

import numpy as np

from dials_spread.report.page.labels import digits
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
from dials_spread.spread.noisy_spots.noisy import NoisySpots
from dials_spread.spread.noisy_spots.removal import STATISTICS, Removal

REMOVAL_HELP = """
What leaving out noisy spots does to s, R_meas and 1 − CC½, in per cent of their values
before. Removing what disagrees always improves agreement, so grey shows what removing as
many at random does, with the range of 95 % of the random choices. Good reasons to filter: coloured
dots far below grey in all three, with few observations removed. R_meas and s always fall
below grey, because spots were chosen for it; CC½ tells more, and what happens to R1 or to
the map after refinement tells most. No dots: nothing was noisy enough.
"""


def _change(values: dict, name: str, before: dict) -> float:
    """Per cent of the value before; of 1 - CC½."""
    if name == "cc_half":
        return 100 * ((1 - values[name]) / (1 - before[name]) - 1)
    return 100 * (values[name] / before[name] - 1) if before[name] > 0 else np.nan


def _removal_traces(
    removal: Removal, shift: float, colour: str, name: str, first: bool
) -> list:
    """After removing noisy ones, and as many at random."""
    x = np.arange(len(STATISTICS)) + shift
    after = [_change(removal.after, s, removal.before) for s in STATISTICS]
    mean, low, high = (
        [_change({s: removal.control[s][k]}, s, removal.before) for s in STATISTICS]
        for k in range(3)
    )
    half = 0.5 * np.abs(np.subtract(high, low))
    text = [f"p = {digits(removal.p_value[s], 2)}" for s in STATISTICS]
    label = f"{name}: {removal.n_removed:,} observations removed"
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "as many at random",
            "x": x,
            "y": mean,
            "marker": {"color": GREY, "size": 8},
            "error_y": {"array": half, "color": GREY, "thickness": 2, "width": 5},
            "showlegend": first,
            "hovertemplate": "at random: %{y:.2f} %<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": label,
            "x": x,
            "y": after,
            "marker": {"color": colour, "size": 11},
            "text": text,
            "hovertemplate": "%{y:.2f} %, %{text}<extra></extra>",
        },
    ]


def removal_plot(found: NoisySpots) -> dict | None:
    """
    Draw what leaving out noisy spots does.

    Args:
        found: With the effects.

    Returns:
        A plot; None where there is nothing to leave out.
    """
    every = (
        (found.remove_cluster, RED, "noisiest cluster"),
        (found.remove_cut, BLUE, f"beyond {found.cut:g} standard deviations"),
    )
    kinds = [kind for kind in every if not kind[0].reason]
    if not kinds:
        return None
    # A single kind stands above its label, two on both sides of it.
    shifts = [0.0] if len(kinds) == 1 else [-0.12, 0.12]
    data: list[dict] = []
    for (removal, colour, name), shift in zip(kinds, shifts):
        data += _removal_traces(removal, shift, colour, name, first=not data)
    labels = {"s": "s", "r_meas": "R_meas", "cc_half": "1 − CC½"}
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "before",
        "x": [-0.5, len(STATISTICS) - 0.5],
        "y": [0, 0],
        "line": {"color": INK, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }
    return new_plot(
        [line, *data],
        REMOVAL_HELP,
        "What leaving out noisy spots does",
        xaxis=named_axis("", [labels[s] for s in STATISTICS]),
        yaxis=axis("Change of the value before [%]"),
        legend=legend_above(),
        showlegend=True,
        height=430,
    )
