"""
Branches beside each other, in tables: one row a figure, one column a branch.

Functions:
    branch_table: such a table
    merging_tables: merging statistics and R1 against kinematic Fc
    scaling_table: what dials.scale made of each branch
    failed_tables: last lines of programs that failed
    times_table: where the time went
    settings_table: reindexing operators between data and structure
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dials_spread.placement.results import BranchResult, PlacementComparison
from dials_spread.report.page.intervals import interval_cell
from dials_spread.report.page.labels import NO_VALUE, digits
from dials_spread.report.page.tables import TextTable

Cell = Callable[[BranchResult], str]

R1_LABEL = "R1 against kinematic Fc"

ISA_LABEL = "asymptotic I/σ, ISa = 1/(ab)"


def decimals(value: float, n: int) -> str:
    """Write a number with n decimals; a dash where there is none."""
    if not np.isfinite(value):
        return NO_VALUE
    return f"{value:,.{n}f}".replace("-", "−")


def branch_table(
    result: PlacementComparison, title: str, rows: Sequence[tuple[str, Cell]]
) -> TextTable:
    """
    Put figures of all branches beside each other.

    Args:
        result: The comparison.
        title: Of the table.
        rows: Name of each figure, and how it is written of a branch that has ended.

    Returns:
        A table. Branches that failed have a column of dashes; figures that no branch
        has, and branches that have none of these figures, are left out.
    """
    columns = {}
    for b in result.branches.values():
        own = [NO_VALUE if b.failed else cell(b) for _, cell in rows]
        title_ = f"{b.branch.title} (failed)" if b.failed else b.branch.title
        if b.failed or any(text != NO_VALUE for text in own):
            columns[title_] = own
    cells = [[label, *own] for (label, _), *own in zip(rows, *columns.values())]
    told = [row for row in cells if any(text != NO_VALUE for text in row[1:])]
    return TextTable(title, ["", *columns], told)


def merging_tables(result: PlacementComparison) -> list[TextTable]:
    """
    Tabulate merging statistics, and R1 against the structure as it is.

    Args:
        result: The comparison.
    """
    rows = [*_merging_rows(), *_spread_rows()]
    return [
        branch_table(result, "Merging statistics", rows),
        branch_table(result, R1_LABEL, _r1_rows(result)),
    ]


def _overall(key: str, n: int, factor: float = 1.0) -> Cell:
    """Write one overall merging statistic with n decimals."""

    def cell(b: BranchResult) -> str:
        if b.merging is None:
            return NO_VALUE
        return decimals(factor * getattr(b.merging.overall, key), n)

    return cell


def _scaling(key: str, n: int) -> Cell:
    """Write one figure of dials.scale with n decimals."""

    def cell(b: BranchResult) -> str:
        return NO_VALUE if b.scaling is None else decimals(getattr(b.scaling, key), n)

    return cell


def _merging_rows() -> list[tuple[str, Cell]]:
    return [
        ("observations used", _scaling("n_observations", 0)),
        ("outliers of dials.scale, left out", _scaling("n_outliers", 0)),
        ("left out for other reasons", _scaling("n_excluded", 0)),
        ("unique reflections", _overall("n_unique", 0)),
        ("multiplicity", _overall("multiplicity", 2)),
        ("completeness [%]", _overall("completeness", 1, 100.0)),
        ("R_merge", _overall("r_merge", 3)),
        ("R_meas", _overall("r_meas", 3)),
        ("R_pim", _overall("r_pim", 3)),
        ("CC½", _overall("cc_half", 4)),
        (ISA_LABEL, _scaling("isa", 1)),
    ]


def _spread_rows() -> list[tuple[str, Cell]]:
    def s(b: BranchResult) -> str:
        return NO_VALUE if b.spread is None else decimals(b.spread.s, 3)

    def between(b: BranchResult) -> str:
        if b.spread is None:
            return NO_VALUE
        return interval_cell(b.spread.s, b.spread.low, b.spread.high)

    def share(b: BranchResult) -> str:
        if b.spread is None:
            return NO_VALUE
        return decimals(100 * b.spread.orientation, 0)

    return [
        ("relative error not covered by σ, s", s),
        ("s, 95 %", between),
        ("share of the variance that depends on orientation [%]", share),
    ]


def _r1_rows(result: PlacementComparison) -> list[tuple[str, Cell]]:
    first = next(iter(result.finished.values()))

    def row(key: str, what: str) -> tuple[str, Cell]:
        shared = getattr(first, key)
        n = shared.n if shared else 0

        def cell(b: BranchResult) -> str:
            found = getattr(b, key)
            if found is None:
                return NO_VALUE
            told = decimals(found.r1, 3)
            return told if found.n == n else f"{told} (of {found.n:,})"

        return f"R1, {n:,} {what}", cell

    def r1(b: BranchResult) -> str:
        return NO_VALUE if b.r1 is None else decimals(b.r1.r1, 3)

    def n(b: BranchResult) -> str:
        return NO_VALUE if b.r1 is None else digits(b.r1.n)

    def B(b: BranchResult) -> str:
        return NO_VALUE if b.r1_common is None else decimals(b.r1_common.B, 2)

    return [
        ("reflections of the branch that have Fc", n),
        ("R1, all of these", r1),
        row("r1_common", "common reflections"),
        row("r1_strong", "common strong reflections"),
        ("overall B applied to Fo [Å²]", B),
    ]


def scaling_table(result: PlacementComparison) -> TextTable:
    """
    Tabulate what dials.scale made of each branch.

    Args:
        result: The comparison.
    """
    return branch_table(
        result,
        "What dials.scale made of each branch: error model σ'² = a²(σ² + (bI)²), and "
        "spread of scale factors",
        [
            ("a", _scaling("a", 2)),
            ("b", _scaling("b", 4)),
            ("standard deviation of ln(scale factor)", _scaling("log_scale_sd", 3)),
        ],
    )


def failed_step(branch: BranchResult) -> str:
    """Name the step of a branch that failed; empty where its result cannot be read."""
    failed = [s for s in branch.steps if s.failed]
    if not failed:
        return ""
    return f"{failed[0].step.program} in {os.path.relpath(failed[0].folder)}"


def failed_tables(result: PlacementComparison) -> list[TextTable]:
    """
    Give the last lines of programs that failed, each program once.

    Args:
        result: The comparison.
    """
    told: dict[str, list[str]] = {}
    for branch in result.branches.values():
        if branch.failed:
            where = failed_step(branch) or f"reading “{branch.branch.title}”"
            told[where] = branch.failed.splitlines()
    return [
        TextTable(f"Last lines of {where}", ["printed"], [[line] for line in lines])
        for where, lines in told.items()
    ]


def times_table(result: PlacementComparison) -> TextTable:
    """
    Tabulate where the time went.

    Args:
        result: The comparison.
    """
    rows = [[part, decimals(s, 1), ""] for part, s in result.seconds.items()]
    seen = {}
    for branch in result.branches.values():
        for one in branch.steps:
            if not one.skipped:
                seen[one.step.name] = one
    for name, one in seen.items():
        how = "kept from an earlier run" if one.reused else ""
        how = "failed" if one.failed else how
        rows.append([f"{one.step.program} in {name}", decimals(one.seconds, 1), how])
    title = "Times (programs run side by side, so their times add up to more)"
    return TextTable(title, ["part", "seconds", ""], rows)


def settings_table(result: PlacementComparison) -> TextTable:
    """
    Tabulate the reindexing operators that were tried on the structure.

    Args:
        result: The comparison.
    """
    match = result.known.match
    rows = [
        [
            s.operator,
            decimals(s.r1, 3),
            decimals(s.cc, 3),
            digits(s.n),
            "in use" * (not k),
        ]
        for k, s in enumerate(match.settings)
    ]
    chance = f"{match.chance_r1:.3f} ± {match.chance_sd:.3f}"
    rows.append(["amplitudes shuffled in shells", chance, "", "", "expected by chance"])
    name = Path(result.known.reference.source).name
    return TextTable(
        f"Reindexing operators of {name} (mean of all branches, no overall B)",
        ["operator", "R1", "CC", "n", ""],
        rows,
    )
