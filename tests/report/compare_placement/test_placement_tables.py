"""Tables of branches: all branches, and the numbers of the results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.placement.differences import Difference
from dials_spread.placement.shelx_runs import ShelxRuns
from dials_spread.report.compare_placement.branch_tables import (
    branch_table,
    failed_tables,
    merging_tables,
    scaling_table,
    times_table,
)
from dials_spread.report.compare_placement.difference_tables import (
    change,
    difference_table,
    different_reflections_table,
)
from dials_spread.report.compare_placement.placement_sections import log_tables
from dials_spread.report.compare_placement.structure_tables import (
    refinement_notes,
    refinement_tables,
    shelx_tables,
    solution_table,
)
from dials_spread.shelx import ShelxlResult, ShelxtResult

pytestmark = pytest.mark.slow


def row(table, label):
    (found,) = [r for r in table.rows if r[0] == label]
    return dict(zip(table.header[1:], found[1:]))


def test_every_branch_is_in_every_table_of_branches(compared_quartz):
    titles = {
        f"{b.branch.title} (failed)" if b.failed else b.branch.title
        for b in compared_quartz.branches.values()
        if b.data is not None or b.failed
    }
    assert "own model, before scaling (failed)" in titles and len(titles) >= 4
    tables = [
        *merging_tables(compared_quartz),
        *refinement_tables(compared_quartz, 0.1),
        *solution_table(compared_quartz),
        scaling_table(compared_quartz),
    ]
    assert len(tables) == 7
    for table in tables:
        assert titles <= set(table.header), table.title
        assert {len(r) for r in table.rows} == {len(table.header)}


def test_numbers_are_those_of_the_results(compared_quartz):
    merging, r1 = merging_tables(compared_quartz)
    refined = refinement_tables(compared_quartz, 0.1)[0]
    assert refined.title == "Refinement from coordinates moved by 0.1 Å at random"
    solution = solution_table(compared_quartz)[0]
    n = int(compared_quartz.common.in_all.sum())
    for b in compared_quartz.finished.values():
        name = b.branch.title
        told = row(r1, f"R1, {n:,} common reflections")[name]
        told, _, of = told.partition(" (of ")
        assert of == ("" if b.r1_common.n == n else f"{b.r1_common.n:,})")
        assert float(told) == pytest.approx(b.r1_common.r1, abs=6e-4)
        told = row(refined, "R1, strong reflections")[name]
        assert float(told) == pytest.approx(b.tests.moved.r1_strong, abs=6e-4)
        solved = f"{b.tests.solution.n_solved} of 4"
        assert row(solution, "starts that solve")[name] == solved
        if b.data is not None:
            told = row(merging, "R_merge")[name]
            assert float(told) == pytest.approx(b.merging.overall.r_merge, abs=6e-4)


def test_rows_and_columns_of_nothing_are_left_out(compared_quartz):
    rows = [("some", lambda b: "1"), ("none", lambda b: "–")]
    table = branch_table(compared_quartz, "title", rows)
    assert [r[0] for r in table.rows] == ["some"]
    rows = [("before", lambda b: "1" if b.branch.name == "before" else "–")]
    header = branch_table(compared_quartz, "title", rows).header
    assert header[1:] == [
        "corrected before scaling",
        "own model, before scaling (failed)",
    ]


def test_last_lines_of_what_failed(compared_quartz):
    (table,) = failed_tables(compared_quartz)
    assert "dials.ml_correct in" in table.title and "own" in table.title
    printed = "\n".join(r[0] for r in table.rows)
    assert printed == compared_quartz.branches["own"].failed
    assert "broken.model" in printed


def test_differences_are_those_of_the_figures(compared_quartz):
    (table,) = difference_table(compared_quartz)
    titles = {b.branch.title: b for b in compared_quartz.branches.values()}
    kinematic = [r for r in table.rows if r[0] == "R1 against kinematic Fc"]
    n = len(compared_quartz.common.data)
    assert len(kinematic) == n * (n - 1) // 2
    known = {(d.better, d.worse): d for d in compared_quartz.differences}
    for _, lower, higher, value, between, sure in kinematic:
        a, b = titles[lower], titles[higher]
        assert a.r1_common.r1 <= b.r1_common.r1
        told = b.r1_common.r1 - a.r1_common.r1
        assert float(value) == pytest.approx(told, abs=2e-3)
        d = known[a.branch.name, b.branch.name]
        ends = [float(x.replace("−", "-")) for x in between.split(" – ")]
        assert ends == pytest.approx([d.low, d.high], abs=6e-4)
        assert (sure == "yes") == (d.low > 0) and (ends[0] > 0) == (d.low > 0)


def test_no_end_that_is_certain_is_written_as_zero(compared_quartz):
    one = Difference("before", "none", "mean_shift", 0.002, 0.00002, 0.004)
    result = replace(compared_quartz, refined_differences={"mean_shift": [one]})
    (table,) = difference_table(result)
    assert table.rows[-1][3:] == ["0.00200", "0.00002 – 0.00400", "yes"]


def test_change_has_a_sign(compared_quartz):
    found = compared_quartz.differences
    one = change(found, "none", "before")
    other = change(found, "before", "none")
    assert tuple(one) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.value > 0 and one.certain and other.certain
    assert change(found, "none", "own") is None


def test_reflections_that_differ_most(compared_quartz):
    (table,) = different_reflections_table(compared_quartz)
    assert table.header[2:4] == [
        "|Fo| corrected before scaling",
        "|Fo| corrected after scaling",
    ]
    # Of printed numbers, whose differences tie.
    apart = [round(abs(float(r[2]) - float(r[3])), 6) for r in table.rows]
    assert apart == sorted(apart, reverse=True) and apart[0] > 0


def test_times_hold_every_program_once(compared_quartz):
    names = [r[0] for r in times_table(compared_quartz).rows]
    assert len(names) == len(set(names))
    assert "dials.scale in none/scale" in names
    assert "dials.ml_correct in after/correct" in names


def test_notes_name_what_did_not_converge_and_what_is_missing(compared_quartz):
    first = next(iter(compared_quartz.finished))
    b = compared_quartz.branches[first]
    moved = replace(
        b.tests.moved, converged=False, reason="no convergence in 20 cycles"
    )
    tests = replace(
        b.tests, moved=moved, solution=None, problems={"solution": "too few data."}
    )
    branches = {**compared_quartz.branches, first: replace(b, tests=tests)}
    notes = refinement_notes(replace(compared_quartz, branches=branches))
    title = b.branch.title
    assert any(
        text.startswith("The refinement from moved coordinates")
        and "no convergence in 20 cycles" in text
        and title in text
        for text in notes
    )
    assert f"No solution from scratch: too few data (“{title}”)." in notes


def test_shelx_where_it_was_run(compared_quartz):
    assert shelx_tables(compared_quartz) == []
    runs = ShelxRuns(
        ShelxlResult(r1=0.1234, n_strong=200, r1_all=0.15, n_all=292, wr2=0.4),
        ShelxtResult(error="SHELXT stopped"),
    )
    b = replace(compared_quartz.branches["before"], shelx=runs)
    branches = {**compared_quartz.branches, "before": b}
    shelxl, shelxt = shelx_tables(replace(compared_quartz, branches=branches))
    assert row(shelxl, "R1, Fo > 4σ")[b.branch.title] == "0.123 of 200"
    assert row(shelxt, "failed")[b.branch.title] == "SHELXT stopped"


def test_nothing_refined_nothing_solved(compared_quartz):
    branches = {k: replace(b, tests=None) for k, b in compared_quartz.branches.items()}
    bare = replace(compared_quartz, branches=branches, refined_differences={})
    assert refinement_tables(bare, None) == solution_table(bare) == []
    titles = [table.title for table in log_tables(bare, None)]
    assert not any("efinement" in t or "olution" in t for t in titles)
    assert np.isfinite([float(r[3]) for r in difference_table(bare)[0].rows]).all()
