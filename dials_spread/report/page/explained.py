"""
How much of the spread a simulation explains, in words.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dials_spread.report.page.intervals import share_with_interval
from dials_spread.report.page.labels import counted
from dials_spread.report.page.plot_style import (
    BLUE,
    EXCESS,
    GREY,
    INK,
    axis,
    named_axis,
    new_plot,
)
from dials_spread.spread.sources.explained import ExplainedSpread


def explained_sentence(explained: Mapping) -> str:
    """
    Say how much of the spread a simulation explains.

    Args:
        explained: From ExplainedSpread.as_dict.
    """
    if not explained["observations"]:
        return explained["note"]
    share, control = explained["explained_share"], explained["control_share"]
    before, after = explained["spread_before"], explained["spread_after"]
    if share is None:
        return "Counting noise alone explains how far symmetry equivalents differ."
    low, high = (
        np.nan if v is None else v for v in explained["explained_share_interval"]
    )
    what = (
        f"explains {share_with_interval(share, low, high)} of the variance of the spread"
        if share > 0
        else "does not explain the variance of the spread"
    )
    text = (
        "Symmetry-equivalent observations differ by s = "
        f"{before:.3f} beyond their counting noise, and by {after:.3f} from what the "
        f"simulation expects: multiple scattering, as simulated, {what} "
        f"({counted(explained['observations'], 'observation')} of "
        f"{counted(explained['unique'], 'reflection')}, "
        f"{counted(explained['crystals'], 'crystal')})."
    )
    if control is not None:
        found = "nothing" if control <= 0 else f"{100 * control:.0f} %"
        text += (
            " Simulated intensities that are exchanged at random among symmetry "
            f"equivalents explain {found}."
        )
    return f"{text} {explained['note']}".strip()


def explained_plot(explained: ExplainedSpread) -> dict:
    """
    Draw the spread before and after a simulation.

    Args:
        explained: The two, with their intervals.

    Returns:
        A plot.
    """
    values = [explained.before, explained.after]
    ends = np.array([explained.before_interval, explained.after_interval])
    bars = {
        "type": "bar",
        "x": [0, 1],
        "width": [0.6, 0.6],
        "y": values,
        "marker": {"color": [GREY, BLUE]},
        "hovertemplate": "s = %{y:.3f}<extra></extra>",
    }
    if np.isfinite(ends).all():
        bars["error_y"] = {
            "type": "data",
            "array": ends[:, 1] - values,
            "arrayminus": values - ends[:, 0],
            "color": INK,
        }
    return new_plot(
        [bars],
        EXPLAINED_HELP,
        "Spread before and after the simulation",
        xaxis=named_axis("Differences", ["from the mean", "from the simulation"]),
        yaxis=axis(EXCESS, rangemode="tozero"),
        showlegend=False,
        height=380,
    )


EXPLAINED_HELP = """
How far symmetry-equivalent observations differ beyond their counting noise: from the mean of the
others, and from what the simulation of multiple scattering expects. Bars are 95 %
intervals over crystals, where these are enough. Good is a second bar that is much lower:
then multiple scattering explains the spread. Two bars of one height say that it does not,
or that structure, orientations or thicknesses are wrong.
"""
