"""
How much of the spread a simulation explains, in words.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

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
        return "Counting noise alone explains how far equivalent observations differ."
    low, high = explained["explained_share_interval"]
    interval = "" if low is None else f" (95 %: {100 * low:.0f} to {100 * high:.0f} %)"
    text = (
        f"Equivalent observations differ by s = {before:.3f} beyond their counting noise, "
        f"and by {after:.3f} from what the simulation expects: multiple scattering "
        f"explains {100 * share:.0f} % of the variance of the spread{interval}, "
        f"the rest is left as noise. {explained['observations']:,} observations of "
        f"{explained['unique']:,} reflections, {explained['crystals']} crystal"
        f"{'s' if explained['crystals'] != 1 else ''}."
    )
    if control is not None:
        found = "nothing" if control <= 0 else f"{100 * control:.0f} %"
        text += f" Dealt out at random among equivalents they would explain {found}."
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
How far equivalent observations differ beyond their counting noise: from the mean of the
others, and from what the simulation of multiple scattering expects. Bars are 95 %
intervals over crystals, where these are enough. Good is a second bar that is much lower:
then multiple scattering explains the spread. Two bars of one height say that it does not,
or that structure, orientations or thicknesses are wrong.
"""
