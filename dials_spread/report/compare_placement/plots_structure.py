"""
Plots of what the structure says: refinement and solution.

Functions:
    shifts_plot: how far each atom is from the reference
    peaks_plot: highest peak and deepest hole of the difference map
    solution_plots: how often starts solve, and their map correlations
"""

from __future__ import annotations

import math

import numpy as np

from dials_spread.placement.results import PlacementComparison
from dials_spread.refinement.result import Refinement
from dials_spread.report.compare_placement.plots_differences import (
    BRANCH_COLOURS,
    broken_title,
)
from dials_spread.report.page.plot_style import (
    INK,
    axis,
    legend_above,
    named_axis,
    new_plot,
)
from dials_spread.solution import SolutionRates

MOST_NAMES = 16
"""Names of atoms along an axis."""

APART = 0.16
"""Between the dots of branches on one atom, as a part of the distance of atoms."""

SHIFTS_HELP = """
How far each atom (not hydrogen) is from the reference after refinement from moved
coordinates (from those as given, where that was not possible), one colour a branch. The
mean shift along polar axes is taken out. Good are dots at
about the standard uncertainties of the table. One atom far out in all branches speaks against
the reference or the model (disorder, wrong element); one far out in a single branch speaks
against the data of this branch.
"""

PEAKS_HELP = """
Highest peak and deepest hole of the difference map Fo − Fc after refinement from moved
coordinates (from those as given, where that was not possible), in volts on the scale of the
structure, so that branches can be compared. Good are short bars.
"""

RATES_HELP = """
Part of the random starts of charge flipping that solve the structure, that is, whose map
correlates with that of the reference to more than 0.6, with binomial 95 % intervals.
"""

CORRELATIONS_HELP = """
Correlation of the map of each start with that of the reference, at the best origin and
hand, in rising order. The dashed line is at 0.6: solved above. A step from low to high is
normal; it should be as far to the left as possible, and high on the right.
"""


def _refinements(result: PlacementComparison) -> dict[str, Refinement]:
    """Give one refinement of each branch: from moved coordinates, else as given."""
    found = {}
    for name, branch in result.finished.items():
        if branch.tests is None:
            continue
        one = branch.tests.moved or branch.tests.given
        if one is not None:
            found[name] = one
    return found


def shifts_plot(result: PlacementComparison) -> dict:
    """
    Draw how far each atom is from the reference.

    Args:
        result: The comparison.
    """
    found = _refinements(result)
    atoms = list(dict.fromkeys(label for one in found.values() for label in one.shifts))
    place = {label: k for k, label in enumerate(atoms)}
    data = []
    for k, (name, one) in enumerate(found.items()):
        title = result.branches[name].branch.title
        off = APART * (k - 0.5 * (len(found) - 1))
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": title,
                "x": [place[label] + off for label in one.shifts],
                "y": list(one.shifts.values()),
                "text": list(one.shifts),
                "marker": {"color": BRANCH_COLOURS.get(name, INK), "size": 7},
                "hovertemplate": "%{text}: %{y:.3f} Å",
            }
        )
    every = max(1, math.ceil(len(atoms) / MOST_NAMES))
    named = named_axis("atom", atoms)
    named["tickvals"] = named["tickvals"][::every]
    named["ticktext"] = named["ticktext"][::every]
    if len(atoms) > 4:
        named["tickangle"] = -90
    return new_plot(
        data,
        SHIFTS_HELP,
        "Shifts of atoms from the reference",
        "every second name is written" if every == 2 else "",
        xaxis=named,
        yaxis=axis("shift [Å]", rangemode="tozero"),
        legend=legend_above(),
        meta={"wide": len(atoms) > MOST_NAMES},
        height=460,
    )


def peaks_plot(result: PlacementComparison) -> dict:
    """
    Draw highest peak and deepest hole of the difference map.

    Args:
        result: The comparison.
    """
    found = _refinements(result)
    titles = [broken_title(result.branches[name].branch.title) for name in found]
    data = []
    for which, label in (("highest_peak", "highest"), ("lowest_peak", "deepest")):
        peaks = [getattr(one, which) for one in found.values()]
        data.append(
            {
                "type": "bar",
                "name": label,
                "x": list(range(len(found))),
                "width": [0.6] * len(found),
                "y": [math.nan if p is None else p.height for p in peaks],
                "text": [
                    ""
                    if p is None
                    else f"{p.in_sigma:.1f} σ, {p.distance:.1f} Å from {p.atom}"
                    for p in peaks
                ],
                "textposition": "none",
                "marker": {"color": [BRANCH_COLOURS.get(name, INK) for name in found]},
                "hovertemplate": "%{y:.1f} V, %{text}<extra></extra>",
            }
        )
    return new_plot(
        data,
        PEAKS_HELP,
        "Highest peak and deepest hole of Fo − Fc",
        xaxis=named_axis("", titles, tickangle=-90 if len(titles) > 3 else 0),
        yaxis=axis("height [V]", zeroline=True, zerolinecolor=INK),
        barmode="overlay",
        showlegend=False,
        height=460,
    )


def _solutions(result: PlacementComparison) -> dict[str, SolutionRates]:
    return {
        name: b.tests.solution
        for name, b in result.finished.items()
        if b.tests is not None and b.tests.solution is not None
    }


def solution_plots(result: PlacementComparison) -> dict[str, dict]:
    """
    Draw how often starts solve, and the map correlation of each.

    Args:
        result: The comparison.
    """
    found = _solutions(result)
    titles = {name: result.branches[name].branch.title for name in found}
    return {
        "solution_rates": _rates(found, titles),
        "solution_correlations": _correlations(found, titles),
    }


def _rates(found: dict[str, SolutionRates], titles: dict[str, str]) -> dict:
    data = []
    for place, (name, one) in enumerate(found.items()):
        low, high = one.interval
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": titles[name],
                "x": [place],
                "y": [100 * one.rate],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [100 * (high - one.rate)],
                    "arrayminus": [100 * (one.rate - low)],
                    "color": BRANCH_COLOURS.get(name, INK),
                    "thickness": 2,
                    "width": 6,
                },
                "marker": {"color": BRANCH_COLOURS.get(name, INK), "size": 11},
                "hovertemplate": f"{one.n_solved} of {len(one)}: {100 * low:.0f} to "
                f"{100 * high:.0f} %<extra></extra>",
            }
        )
    names = [broken_title(title) for title in titles.values()]
    return new_plot(
        data,
        RATES_HELP,
        "How often it solves",
        xaxis=named_axis("", names, tickangle=-90 if len(names) > 3 else 0),
        yaxis=axis("starts that solve [%]", range=[-4, 104]),
        showlegend=False,
        height=460,
    )


def _correlations(found: dict[str, SolutionRates], titles: dict[str, str]) -> dict:
    data = []
    for name, one in found.items():
        ordered = np.sort(one.correlation)
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": titles[name],
                "x": np.arange(1, len(ordered) + 1),
                "y": ordered,
                "line": {"color": BRANCH_COLOURS.get(name, INK), "width": 1},
                "marker": {"color": BRANCH_COLOURS.get(name, INK), "size": 6},
            }
        )
    return new_plot(
        data,
        CORRELATIONS_HELP,
        "Map correlation of each start",
        xaxis=axis("starts, in rising order", nticks=8),
        yaxis=axis("map correlation", range=[-0.02, 1.02]),
        shapes=[
            {
                **{
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": 0.6,
                    "y1": 0.6,
                },
                "line": {"color": INK, "dash": "dash", "width": 1},
            }
        ],
        legend=legend_above(),
        height=460,
    )
