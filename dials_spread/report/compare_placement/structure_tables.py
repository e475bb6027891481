"""
What the structure tests say, in tables: refinement, hydrogen, solution from scratch.

Functions:
    refinement_tables: from moved and from given coordinates, and further tests
    solution_table: charge flipping from random starts
    shelx_tables: SHELXL and SHELXT, where they were run
    refinement_notes: what did not converge, and what is missing
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dials_spread.placement.results import BranchResult, PlacementComparison
from dials_spread.placement.structure_tests import COMMON_WEIGHTS, StructureTests
from dials_spread.refinement.result import Refinement
from dials_spread.report.compare_placement.branch_tables import (
    Cell,
    branch_table,
    decimals,
)
from dials_spread.report.page.labels import NO_VALUE, digits
from dials_spread.report.page.tables import TextTable
from dials_spread.shelx import ShelxlResult, ShelxtResult
from dials_spread.solution import SolutionRates

STARTS = {
    "moved": "from moved coordinates",
    "given": "from the coordinates as given",
    "common_weights": "with common weights",
}
"""The refinements of `StructureTests`."""

PARTS = {
    **{name: f"refinement {how}" for name, how in STARTS.items()},
    "held_out": "held-out R1",
    "hydrogen": "search for hydrogen",
    "drawn": "resampled refinement",
    "solution": "solution from scratch",
}
"""What `StructureTests.problems` may name."""

MOST_LABELS = 4


def _refined(name: str, write: Callable[[Refinement], str]) -> Cell:
    """Write a figure of one of the refinements."""

    def cell(b: BranchResult) -> str:
        one = None if b.tests is None else getattr(b.tests, name)
        return NO_VALUE if one is None else write(one)

    return cell


def _count(labels: tuple[str, ...]) -> str:
    """Write how many, and which."""
    if not labels:
        return "0"
    more = ", …" if len(labels) > MOST_LABELS else ""
    return f"{len(labels)} ({', '.join(labels[:MOST_LABELS])}{more})"


def _converged(one: Refinement) -> str:
    return f"{'yes' if one.converged else 'NO'}, {one.n_cycles} cycles"


def _peak(one: Refinement, which: str) -> str:
    peak = getattr(one, which)
    if peak is None:
        return NO_VALUE
    height, sigmas = decimals(peak.height, 1), decimals(peak.in_sigma, 1)
    return f"{height} ({sigmas} σ)"


def _weights(one: Refinement) -> str:
    a, b = one.weights
    return f"{digits(a)} {digits(b)}"


FIGURES: list[tuple[str, Callable[[Refinement], str]]] = [
    ("converged", _converged),
    (
        "displacements",
        lambda r: "anisotropic" if r.anisotropic else "isotropic",
    ),
    (
        "observations / parameters",
        lambda r: f"{r.n_observations:,} / {r.n_parameters:,}",
    ),
    ("R1, strong reflections", lambda r: decimals(r.r1_strong, 3)),
    ("R1, all reflections", lambda r: decimals(r.r1_all, 3)),
    ("wR2", lambda r: decimals(r.wr2, 3)),
    ("goodness of fit", lambda r: decimals(r.goodness_of_fit, 2)),
    ("WGHT", _weights),
    ("mean shift from the reference [Å]", lambda r: decimals(r.mean_shift, 4)),
    ("largest shift [Å]", lambda r: decimals(r.largest_shift, 4)),
    ("mean su of a coordinate [Å]", lambda r: decimals(r.mean_su, 4)),
    (
        "bond lengths, rms difference [Å]",
        lambda r: (
            f"{decimals(r.bond_rms, 4)} of {r.n_bonds}" if r.n_bonds else NO_VALUE
        ),
    ),
    ("atoms with non-positive displacements", lambda r: _count(r.nonpositive)),
    ("isotropic U at its floor", lambda r: _count(r.at_floor)),
    ("highest peak of Fo − Fc [V]", lambda r: _peak(r, "highest_peak")),
    ("deepest hole of Fo − Fc [V]", lambda r: _peak(r, "lowest_peak")),
    ("outliers, |Fo² − Fc²|√w > 10", lambda r: digits(r.n_outliers)),
    ("R1, all but these", lambda r: decimals(r.r1_without_outliers, 3)),
]
"""Rows of a refinement, and how they are written."""


def _one_refinement(result: PlacementComparison, name: str, title: str) -> TextTable:
    rows = [(label, _refined(name, write)) for label, write in FIGURES]
    return branch_table(result, title, rows)


def has_refinement(result: PlacementComparison) -> bool:
    """Whether any branch was refined."""
    return any(
        getattr(b.tests, name) is not None
        for b in result.finished.values()
        if b.tests is not None
        for name in STARTS
    )


def refinement_tables(
    result: PlacementComparison, start_shift: float | None
) -> list[TextTable]:
    """
    Tabulate refinements; nothing where nothing was refined.

    Args:
        result: The comparison.
        start_shift: By which atoms were moved [Å]; None where it is not known.
    """
    if not has_refinement(result):
        return []
    by = "" if start_shift is None else f" by {start_shift:g} Å"
    return [
        _one_refinement(
            result, "moved", f"Refinement from coordinates moved{by} at random"
        ),
        _one_refinement(result, "given", "Refinement from the coordinates as given"),
        _further_table(result),
    ]


def _further_table(result: PlacementComparison) -> TextTable:
    def held_out(b: BranchResult) -> str:
        one = None if b.tests is None else b.tests.held_out
        if one is None:
            return NO_VALUE
        n = f" ({one.n_converged} of {len(one.values)} sets converged)"
        if not np.isfinite(one.mean):
            return f"{NO_VALUE}{n}"
        told = f"{one.mean:.3f} ± {decimals(one.spread, 3)}"
        return told if one.n_converged == len(one.values) else f"{told}{n}"

    def hydrogen(b: BranchResult) -> str:
        one = None if b.tests is None else b.tests.hydrogen
        if one is None:
            return NO_VALUE
        return f"{one.n_found} of {one.n_sites}"

    name = "common_weights"
    common = "WGHT {:g} {:g}: ".format(*COMMON_WEIGHTS)
    rows: list[tuple[str, Cell]] = [
        ("held-out R1 (strong), mean ± standard deviation of the sets", held_out),
        ("hydrogen sites among as many highest peaks of the map without", hydrogen),
        (f"{common}converged", _refined(name, _converged)),
        (
            f"{common}R1, strong reflections",
            _refined(name, lambda r: decimals(r.r1_strong, 3)),
        ),
        (
            f"{common}mean shift [Å]",
            _refined(name, lambda r: decimals(r.mean_shift, 4)),
        ),
        (f"{common}outliers", _refined(name, lambda r: digits(r.n_outliers))),
    ]
    title = (
        "Held-out reflections, hydrogen, and refinement with one pair of weights for all "
        "branches"
    )
    return branch_table(result, title, rows)


def solution_table(result: PlacementComparison) -> list[TextTable]:
    """
    Tabulate the solution from scratch; nothing where nothing was tried.

    Args:
        result: The comparison.
    """
    if not has_solution(result):
        return []

    def solved(write: Callable[[SolutionRates], str]) -> Cell:
        def cell(b: BranchResult) -> str:
            one = None if b.tests is None else b.tests.solution
            return NO_VALUE if one is None else write(one)

        return cell

    def best(one: SolutionRates) -> int:
        return int(np.argmax(one.correlation))

    def between(one: SolutionRates) -> str:
        low, high = one.interval
        return f"{100 * low:.0f} – {100 * high:.0f}"

    return [
        branch_table(
            result,
            "Solution from scratch by charge flipping, random starts",
            [
                ("starts that solve", solved(lambda s: f"{s.n_solved} of {len(s)}")),
                ("rate, 95 % [%]", solved(between)),
                (
                    "mean map correlation",
                    solved(lambda s: decimals(float(np.mean(s.correlation)), 2)),
                ),
                (
                    "best start: map correlation",
                    solved(lambda s: decimals(float(s.correlation[best(s)]), 2)),
                ),
                (
                    "best start: atoms within 0.5 Å",
                    solved(lambda s: f"{s.atoms_found[best(s)]} of {s.n_atoms}"),
                ),
            ],
        )
    ]


def has_solution(result: PlacementComparison) -> bool:
    """Whether any branch was solved from scratch."""
    return any(b.tests and b.tests.solution for b in result.finished.values())


def _number(value: float | None, n: int) -> str:
    """Write what SHELX printed; a dash where it did not."""
    return NO_VALUE if value is None else decimals(value, n)


def _with_count(value: float | None, n: int | None) -> str:
    return _number(value, 3) + ("" if n is None else f" of {n:,}")


SHELXL: list[tuple[str, Callable[[ShelxlResult], str]]] = [
    ("R1, Fo > 4σ", lambda r: _with_count(r.r1, r.n_strong)),
    ("R1, all reflections", lambda r: _with_count(r.r1_all, r.n_all)),
    ("wR2", lambda r: _number(r.wr2, 3)),
    ("goodness of fit", lambda r: _number(r.goodness_of_fit, 2)),
    (
        "parameters / restraints",
        lambda r: f"{_number(r.n_parameters, 0)} / {_number(r.n_restraints, 0)}",
    ),
    (
        "highest peak / deepest hole",
        lambda r: f"{_number(r.highest_peak, 2)} / {_number(r.deepest_hole, 2)}",
    ),
    ("largest shift / su", lambda r: _number(r.max_shift, 3)),
    ("failed", lambda r: r.error or NO_VALUE),
]

SHELXT: list[tuple[str, Callable[[ShelxtResult], str]]] = [
    ("space group", lambda r: r.space_group or NO_VALUE),
    ("R1", lambda r: _number(r.r1, 3)),
    ("R_weak", lambda r: _number(r.r_weak, 3)),
    ("α", lambda r: _number(r.alpha, 3)),
    ("formula", lambda r: r.formula or NO_VALUE),
    ("failed", lambda r: r.error or NO_VALUE),
]


def shelx_tables(result: PlacementComparison) -> list[TextTable]:
    """
    Tabulate what SHELXL and SHELXT say; nothing where they were not run.

    Args:
        result: The comparison.
    """
    kinds = (
        ("shelxl", "SHELXL, from the coordinates as given", SHELXL),
        ("shelxt", "SHELXT, its best solution", SHELXT),
    )
    tables = []
    for name, title, figures in kinds:
        ran = [b.shelx and getattr(b.shelx, name) for b in result.finished.values()]
        if any(ran):
            rows = [(label, _shelx(name, write)) for label, write in figures]
            tables.append(branch_table(result, title, rows))
    return tables


def _shelx(name: str, write: Callable) -> Cell:
    """Write a figure of one of the programs."""

    def cell(b: BranchResult) -> str:
        one = b.shelx and getattr(b.shelx, name)
        return NO_VALUE if one is None else write(one)

    return cell


def refinement_notes(result: PlacementComparison) -> list[str]:
    """
    Say what did not converge, what is missing, and what a reader must know.

    Args:
        result: The comparison.
    """
    tested = {
        b.branch.title: b.tests for b in result.finished.values() if b.tests is not None
    }
    told: dict[str, list[str]] = {}
    for title, tests in tested.items():
        for text in _remarks(tests):
            told.setdefault(text, []).append(f"“{title}”")
    notes = [
        f"{text} ({'all branches' if len(where) == len(tested) else ', '.join(where)})."
        for text, where in told.items()
    ]
    return [*notes, result.without_shelx] if result.without_shelx else notes


def _remarks(tests: StructureTests) -> list[str]:
    """Give remarks on one branch, without a stop."""
    there = {
        how: one
        for name, how in STARTS.items()
        if (one := getattr(tests, name)) is not None
    }
    open_: dict[str, list[str]] = {}
    for how, one in there.items():
        if not one.converged:
            open_.setdefault(one.reason, []).append(how)
    found = [
        (
            f"The refinement {' and '.join(names)} did not converge: {reason}"
            if len(names) < len(there)
            else f"No refinement converged: {reason}"
        )
        for reason, names in open_.items()
    ]
    said = [text for one in there.values() for text in one.warnings]
    found += [f"{text[0].upper()}{text[1:]}" for text in dict.fromkeys(said)]
    missing: dict[str, list[str]] = {}
    for name, text in tests.problems.items():
        missing.setdefault(text.rstrip("."), []).append(PARTS.get(name, name))
    return found + [
        f"No {', no '.join(names)}: {text}" for text, names in missing.items()
    ]
