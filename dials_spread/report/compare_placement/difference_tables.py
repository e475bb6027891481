"""
Differences between branches, in tables.

Functions:
    difference_table: all pairs with intervals
    different_reflections_table: reflections on which two branches differ most
    change: how one branch differs from another
    outcome, own_weights: what can be said of refined figures
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dials_spread.placement.branches import AFTER, BEFORE, NONE
from dials_spread.placement.differences import Difference
from dials_spread.placement.results import PlacementComparison
from dials_spread.report.compare_placement.branch_tables import decimals
from dials_spread.report.page.intervals import interval_cell
from dials_spread.report.page.labels import hkl_label
from dials_spread.report.page.tables import TextTable

FIGURES = {
    "r1": "R1 against kinematic Fc",
    "refined_r1": "refined R1, common weights",
    "mean_shift": "mean shift, common weights [Å]",
}
"""What differences are of."""

OWN_WEIGHTS = {"refined_r1": "r1_strong", "mean_shift": "mean_shift"}
"""The same of refinements with the weights of each branch: attributes of Refinement."""


MOST_DECIMALS = 6


class BranchChange(NamedTuple):
    """
    A figure of one branch less that of another.

    Attributes:
        value: Negative where the figure is lower.
        low, high: 95 % interval; nan where there is none.
    """

    value: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves no doubt about the sign."""
        return bool(self.low > 0 or self.high < 0)


def change(found: Sequence[Difference], branch: str, other: str) -> BranchChange | None:
    """
    Give the figure of a branch less that of another; None where it was not compared.

    Args:
        found: Of one figure, of all pairs.
        branch, other: Names.
    """
    for d in found:
        if (d.better, d.worse) == (other, branch):
            return BranchChange(d.value, d.low, d.high)
        if (d.better, d.worse) == (branch, other):
            return BranchChange(-d.value, -d.high, -d.low)
    return None


def own_weights(
    result: PlacementComparison, figure: str, branch: str, other: str
) -> tuple[float, float] | None:
    """
    Give a refined figure of two branches, each refined with weights of its own.

    Args:
        result: The comparison.
        figure: "refined_r1" or "mean_shift".
        branch, other: Names.

    Returns:
        From the coordinates as given; None unless both were refined.
    """
    values = []
    for name in (branch, other):
        tests = result.branches[name].tests
        if tests is None or tests.given is None:
            return None
        values.append(float(getattr(tests.given, OWN_WEIGHTS[figure])))
    return values[0], values[1]


def outcome(result: PlacementComparison, figure: str, branch: str, other: str) -> str:
    """
    Say what can be said of a refined figure of two branches.

    Args:
        result: The comparison.
        figure: "refined_r1" or "mean_shift".
        branch, other: Names.

    Returns:
        "lower" or "higher" of the first where the interval leaves no doubt and weights of
        each branch give the same sign; else "depends on weights", "not shown", "no
        interval", or nothing where they were not compared.
    """
    found = change(result.refined_differences.get(figure, []), branch, other)
    if found is None:
        return ""
    if not np.isfinite(found.low):
        return "no interval"
    if not found.certain:
        return "not shown"
    own = own_weights(result, figure, branch, other)
    if own is not None and (own[0] - own[1]) * found.value < 0:
        return "depends on weights"
    return "lower" if found.value < 0 else "higher"


def all_differences(result: PlacementComparison) -> dict[str, list[Difference]]:
    """Give differences by figure, R1 against the structure as it is first."""
    return {"r1": result.differences, **result.refined_differences}


def difference_table(result: PlacementComparison) -> list[TextTable]:
    """
    Tabulate all pairs of branches; nothing without two.

    Args:
        result: The comparison.
    """
    titles = {name: b.branch.title for name, b in result.branches.items()}
    rows = []
    for figure, found in all_differences(result).items():
        n = 4 if figure == "mean_shift" else 3
        for d in found:
            n_shown = n
            while d.certain and 2 * d.low < 10.0**-n_shown and n_shown < MOST_DECIMALS:
                n_shown += 1  # an end that is not zero is not written as zero
            between = interval_cell(
                d.value, d.low, d.high, write=lambda x, _, n=n_shown: decimals(x, n)
            )
            rows.append(
                [
                    FIGURES[figure],
                    titles[d.better],
                    titles[d.worse],
                    decimals(d.value, n_shown),
                    between,
                    _sign(d),
                ]
            )
    header = ["figure", "lower", "higher", "difference", "95 %", "more than chance"]
    return [TextTable("Differences between branches", header, rows)] if rows else []


def _sign(d: Difference) -> str:
    if not np.isfinite(d.low):
        return "not known"
    return "yes" if d.certain else "not shown"


def compared_pair(result: PlacementComparison) -> list[str]:
    """Name the two branches of `most_different`, in its order."""
    return [name for name in (BEFORE, AFTER, NONE) if name in result.common.data][:2]


def different_reflections_table(result: PlacementComparison) -> list[TextTable]:
    """
    Tabulate reflections on which two branches differ most; nothing without two.

    Args:
        result: The comparison.
    """
    if not result.most_different:
        return []
    titles = [result.branches[name].branch.title for name in compared_pair(result)]
    rows = [
        [hkl_label(np.array(one.miller_index)), f"{one.d:.2f}"]
        + [decimals(f, 2) for f in one.f]
        for one in result.most_different
    ]
    return [
        TextTable(
            "Reflections that differ most, amplitudes on the scale of kinematic Fc",
            ["h k l", "d [Å]", *(f"|Fo| {t}" for t in titles), "|Fc|"],
            rows,
        )
    ]
