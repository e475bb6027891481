"""
Differences between branches, in tables.

Functions:
    difference_table: all pairs with intervals
    different_reflections_table: reflections on which two branches differ most
    change: how one branch differs from another
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dials_spread.placement.branches import AFTER, BEFORE, NONE
from dials_spread.placement.comparison import PlacementComparison
from dials_spread.placement.differences import Difference
from dials_spread.report.compare_placement.branch_tables import decimals
from dials_spread.report.page.intervals import interval_cell
from dials_spread.report.page.labels import hkl_label
from dials_spread.report.page.tables import TextTable

FIGURES = {
    "r1": "R1 against kinematic Fc",
    "refined_r1": "refined R1",
    "mean_shift": "mean distance of atoms from the reference [Å]",
}
"""What differences are of."""


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


def all_differences(result: PlacementComparison) -> dict[str, list[Difference]]:
    """Give differences by figure, R1 against the structure as it is first."""
    return {"r1": result.differences, **result.refined_differences}


def difference_table(result: PlacementComparison) -> TextTable:
    """
    Tabulate all pairs of branches.

    Args:
        result: The comparison.
    """
    titles = {name: b.branch.title for name, b in result.branches.items()}
    rows = []
    for figure, found in all_differences(result).items():
        n = 4 if figure == "mean_shift" else 3
        for d in found:
            between = interval_cell(
                d.value, d.low, d.high, write=lambda x, _, n=n: decimals(x, n)
            )
            rows.append(
                [
                    FIGURES[figure],
                    titles[d.better],
                    titles[d.worse],
                    decimals(d.value, n),
                    between,
                    _sign(d),
                ]
            )
    header = ["figure", "lower", "higher", "difference", "95 %", "more than chance"]
    return TextTable("Differences between branches", header, rows)


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
