"""
Plots of differences from no correction, with their intervals.

Functions:
    difference_plots: one for each figure that was resampled
    BRANCH_COLOURS: in all plots
    broken_title: the name of a branch in two lines
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.ticker import MaxNLocator

from dials_spread.placement.branches import AFTER, BEFORE, LORENTZ, MERGED, NONE, OWN
from dials_spread.placement.results import PlacementComparison
from dials_spread.report.compare_placement.difference_tables import (
    BranchChange,
    all_differences,
    change,
)
from dials_spread.report.page.plot_style import (
    BLUE,
    CRYSTAL_COLOURS,
    GREY,
    INK,
    RED,
    axis,
    named_axis,
    new_plot,
)

BRANCH_COLOURS = {
    NONE: GREY,
    LORENTZ: CRYSTAL_COLOURS[4],
    BEFORE: BLUE,
    AFTER: RED,
    OWN: CRYSTAL_COLOURS[2],
    MERGED: CRYSTAL_COLOURS[3],
}

TITLES = {
    "r1": "R1 against kinematic Fc",
    "refined_r1": "Refined R1",
    "mean_shift": "Mean distance of atoms from the reference",
}

AXES = {
    "r1": "R1 less that of “{base}”",
    "refined_r1": "refined R1 less that of “{base}”",
    "mean_shift": "mean shift less that of “{base}” [Å]",
}

MOST_TICKS = 5

TICK_ROOM = 0.06
"""Part of an axis at its ends that has no ticks but zero."""

DIFFERENCE_HELP = """
How each branch differs from that on the dashed line, with 95 % intervals over what was
resampled. Dots to the left are better. An interval that crosses the line
says that no difference is shown; two branches whose intervals overlap may still differ, as
both were computed from the same bootstrap samples: the table below has all pairs.
"""

HELP = {
    "r1": "R1 of merged intensities against kinematic Fc of the structure as it is, on "
    "the reflections that all branches have.",
    "refined_r1": "R1 of strong reflections after refinement with one pair of weights for "
    "all branches. R1 alone is no verdict on a structure.",
    "mean_shift": "Mean distance of the refined atoms (not hydrogen) from those of the "
    "reference. Farther away is worse only if the reference itself is right to better "
    "than this.",
}


def broken_title(text: str) -> str:
    """Break the name of a branch into two lines about its middle."""
    spaces = [i for i, letter in enumerate(text) if letter == " "]
    if len(text) < 14 or not spaces:
        return text
    middle = min(spaces, key=lambda i: abs(i - len(text) / 2))
    return f"{text[:middle]}<br>{text[middle + 1 :]}"


def difference_plots(result: PlacementComparison) -> dict[str, dict]:
    """
    Draw differences from no correction, or from the first branch where that failed.

    Args:
        result: The comparison.

    Returns:
        A plot for each figure of which two branches have one.
    """
    plots = {}
    for figure, found in all_differences(result).items():
        present = {name for d in found for name in (d.better, d.worse)}
        names = [name for name in result.finished if name in present]
        if len(names) < 2:
            continue
        base = NONE if NONE in names else names[0]
        changes = {base: BranchChange(0.0, math.nan, math.nan)}
        for name in names:
            moved = change(found, name, base)
            if moved is not None:
                changes[name] = moved
        plots[f"difference_{figure}"] = _plot(result, figure, base, changes)
    return plots


def _plot(
    result: PlacementComparison,
    figure: str,
    base: str,
    changes: dict[str, BranchChange],
) -> dict:
    titles = {name: result.branches[name].branch.title for name in changes}
    better = "nearer" if figure == "mean_shift" else "better"
    decimals = 4 if figure == "mean_shift" else 3
    data = [
        _dot(place, one, BRANCH_COLOURS.get(name, INK), titles[name], decimals)
        for place, (name, one) in enumerate(changes.items())
    ]
    named = named_axis("", [broken_title(t) for t in titles.values()])
    ends = named["range"]
    return new_plot(
        data,
        f"{HELP[figure]} {DIFFERENCE_HELP}",
        TITLES[figure],
        f"less that of “{result.branches[base].branch.title}”: to the left is {better}",
        xaxis=axis(
            AXES[figure].format(base=result.branches[base].branch.title),
            **_range(changes),
        ),
        yaxis={**named, "range": [ends[1], ends[0]]},  # the first one on top
        shapes=[
            {
                **{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1},
                "line": {"color": INK, "dash": "dash", "width": 1},
            }
        ],
        showlegend=False,
        height=130 + 52 * max(len(changes), 4),
        meta={"wide": figure == "r1"},
    )


def _range(changes: dict[str, BranchChange]) -> dict:
    """Give an axis that holds zero and all intervals, and ticks that are not cut off."""
    values = np.array([0.0, *(v for one in changes.values() for v in one)])
    values = values[np.isfinite(values)]
    space = 0.08 * (np.ptp(values) or 0.01)
    low, high = values.min() - space, values.max() + space
    ticks = MaxNLocator(MOST_TICKS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    # The text of one at an end of the frame would need more room than a phone has.
    inside = np.abs(2 * ticks - low - high) < (1 - 2 * TICK_ROOM) * (high - low)
    ticks = [float(f"{t:.6g}") for t in ticks[inside | (np.abs(ticks) < 1e-9)]]
    return {
        "range": [low, high],
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": [f"{t:g}".replace("-", "−") for t in ticks],
    }


def _dot(place: int, one: BranchChange, colour: str, title: str, decimals: int) -> dict:
    trace = {
        "type": "scatter",
        "mode": "markers",
        "name": title,
        "x": [one.value],
        "y": [place],
        "marker": {"color": colour, "size": 11},
        "hovertemplate": f"{title}: %{{x:.{decimals}f}}<extra></extra>",
    }
    if np.isfinite([one.low, one.high]).all():
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.value],
            "arrayminus": [one.value - one.low],
            "color": colour,
            "thickness": 2,
            "width": 6,
        }
        trace["hovertemplate"] = (
            f"{title}: %{{x:.{decimals}f}} (95 %: {one.low:.{decimals}f} to "
            f"{one.high:.{decimals}f})<extra></extra>"
        )
    return trace
