"""
Run dials.compare_images on a column, and count what it says rightly.

Functions:
    run_cell: one column and seed
    score: of several seeds of a column
    table_of: rows against columns
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field

import numpy as np

from dials_spread.comparison import compare_images
from dials_spread.report.compare_images.outputs import comparison_as_dict, summarise
from dials_spread.report.page.document import Provenance, finite
from known_truth.columns import COLUMNS
from known_truth.drawing import draw
from known_truth.pools import pool_named
from known_truth.rules import (
    RIGHT,
    RULES,
    WITHHELD,
    WRONG,
    Said,
    differing,
    estimates,
    odd_intervals,
)


@dataclass
class Cell:
    """
    What a run said of one data set.

    Attributes:
        column, seed: Which.
        answers: Of RULES, by row.
        estimates: Value, ends of the interval and truth, by name.
        near_p: p-values of pairs of one orientation.
        odd: Intervals without their estimate or without width.
        changed: Estimates that a change should not have changed.
        error: Why there is no result.
    """

    column: str
    seed: int
    answers: dict[str, str | None] = field(default_factory=dict)
    estimates: dict[str, list[float]] = field(default_factory=dict)
    near_p: list[float] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    error: str = ""

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return asdict(self)


def say(experiments, tables, choices: dict) -> tuple[dict, str]:
    """
    Analyse data as the command does.

    Args:
        experiments, tables: One a crystal.
        choices: Of compare_images.

    Returns:
        The JSON document, and all sentences.
    """
    found = compare_images(experiments, tables, nproc=1, n_pairs_shown=0, **choices)
    document = finite(comparison_as_dict(found, Provenance("", [], {}, []), 100_000))
    told = summarise(found)
    steps = [f"{step.text} {step.command}" for step in told.advice]
    parts = [told.input, told.spread, told.pairs, told.chance, told.origins, steps]
    return document, "\n".join(sentence for part in parts for sentence in part)


def run_cell(name: str, seed: int, folder: str) -> tuple[Cell, str]:
    """
    Draw a data set, analyse it and judge what is said.

    Args:
        name: Of the column.
        seed: Of the draw.
        folder: Where pools are kept.

    Returns:
        The cell, and the sentences.
    """
    column = COLUMNS[name]
    data = draw(name, column, pool_named(column.pool, folder), seed)
    plain = None
    try:
        if data.plain is not None:
            plain, _ = say(*data.plain, column.choices)
        document, text = say(data.experiments, data.tables, column.choices)
    except ValueError as error:
        return Cell(name, seed, error=str(error)), ""
    said = Said(document, text, column, data.truth, plain)
    pairs = document["matches"]
    near = [
        p
        for angle, p in zip(pairs["beam_angle"], pairs["p_value"])
        if angle <= 2 and p is not None
    ]
    return Cell(
        name,
        seed,
        answers={row: rule(said) for row, rule in RULES.items()},
        estimates={n: [float(x) for x in e] for n, e in estimates(said).items()},
        near_p=near,
        odd=odd_intervals(document),
        changed=differing(document, plain) if plain else [],
    ), text


@dataclass
class Score:
    """
    What was said of one column.

    Attributes:
        column: Its name.
        seeds: How many data sets.
        rows: By row, how many were right, wrong, withheld.
        intervals: By name: intervals, covered, mean half width over 1.96 standard
            deviations of the estimates, mean estimate, mean truth.
        low_p: Part of the p-values of pairs of one orientation that are at most 0.05, and
            how many pairs.
        odd: Intervals without their estimate or width, in how many data sets.
        errors: Of data sets without result.
    """

    column: str
    seeds: int
    rows: dict[str, dict[str, int]]
    intervals: dict[str, dict[str, float]]
    low_p: tuple[float, int]
    odd: dict[str, int]
    errors: list[str]

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return asdict(self)


def score(cells: list[Cell]) -> Score:
    """
    Count.

    Args:
        cells: Of one column.
    """
    rows = {}
    for row in RULES:
        answers = Counter(c.answers.get(row) for c in cells)
        if answers[RIGHT] + answers[WRONG] + answers[WITHHELD]:
            rows[row] = {a: answers[a] for a in (RIGHT, WRONG, WITHHELD)}
    names = sorted({n for c in cells for n in c.estimates})
    p = np.concatenate([c.near_p for c in cells] + [np.empty(0)])
    return Score(
        column=cells[0].column,
        seeds=len(cells),
        rows=rows,
        intervals={
            n: _coverage(np.array([c.estimates[n] for c in cells if n in c.estimates]))
            for n in names
        },
        low_p=(float(np.mean(p <= 0.05)) if len(p) else np.nan, len(p)),
        odd=dict(Counter(name for c in cells for name in c.odd)),
        errors=[c.error for c in cells if c.error],
    )


def _coverage(found: np.ndarray) -> dict[str, float]:
    """Of rows of value, low, high, truth."""
    value, low, high, truth = found.T
    known = np.isfinite(low) & np.isfinite(high) & np.isfinite(truth)
    slack = 1e-9
    covered = known & (low - slack <= truth) & (truth <= high + slack)
    width = np.nan
    if known.sum() > 2 and value[known].std() > 0:
        width = np.mean(high[known] - low[known]) / (3.92 * value[known].std(ddof=1))
    return {
        "intervals": int(known.sum()),
        "covered": int(covered.sum()),
        "width": float(width),
        "value": _mean(value),
        "truth": _mean(truth),
    }


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else np.nan


def table_of(scores: list[Score]) -> tuple[list[str], list[list[str]]]:
    """
    Lay scores out.

    Args:
        scores: One a column.

    Returns:
        Heads and rows: in each cell right/wrong/withheld, and of numbers the intervals
        that cover, of how many, with their width over the spread of estimates.
    """
    heads = ["", *(f"{s.column} ({s.seeds})" for s in scores)]
    lines = []
    for row in RULES:
        counts = [s.rows.get(row) for s in scores]
        if any(counts):
            told = ["/".join(str(n) for n in c.values()) if c else "" for c in counts]
            lines.append([row, *told])
    for name in sorted({n for s in scores for n in s.intervals}):
        told = []
        for s in scores:
            c = s.intervals.get(name)
            width = f" ×{c['width']:.1f}" if c and c["width"] == c["width"] else ""
            told.append(
                f"{c['covered']} of {c['intervals']}{width}"
                if c and c["intervals"] and c["truth"] == c["truth"]
                else ""
            )
        if any(told):
            lines.append([f"95 % interval: {name}", *told])
        means = [
            f"{c['value']:.3f} ({c['truth']:.3f})" if c else ""
            for c in (s.intervals.get(name) for s in scores)
        ]
        lines.append([f"mean (truth): {name}", *means])
    p = [f"{s.low_p[0]:.3f} of {s.low_p[1]}" if s.low_p[1] else "" for s in scores]
    lines.append(["p ≤ 0.05 at one orientation", *p])
    lines.append(["no result", *(str(len(s.errors) or "") for s in scores)])
    return heads, lines
