"""
What dials.compare_images says against what is known, on many data sets.

    python benchmarks/claims.py [--seeds 20] [--columns NAME ...] [--jobs 2]
        [--pools FOLDER] [--json FILE] [--table FILE] [--sentences] [--truth EXPT REFL]

Columns are cases with a known truth (known_truth/columns.py), rows the claims that the
programs make (known_truth/rules.py, and sentences.txt for every sentence in the code).
A cell counts what was said rightly / wrongly / withheld over the seeds; of numbers with a
95 % interval, how many intervals hold the truth, and their mean width over that which the
scatter of the estimates asks for (×1 is right).

The first run simulates the crystals of the columns (minutes) and keeps them in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from known_truth.code_sentences import rows_of_sentences, told_in, without_row
from known_truth.columns import COLUMNS
from known_truth.noise_free import first_crystals, read_noise_free
from known_truth.pools import pool_named
from known_truth.scoring import Cell, Score, run_cell, score, table_of
from known_truth.shares import (
    KINDS,
    TABLE,
    far_variance,
    noise_free_shares,
    pair_sums,
    whole_variance,
)
from tabulate import tabulate

SLOW = (
    "large cell",
    "40 crystals, dynamical",
    "100 crystals",
    "100 crystals, dynamical",
    "300 crystals, dynamical",
    "scaled",
    "scaled, dynamical",
    "scaled, factors",
)
"""Columns that are left out unless they are named."""


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="data sets a column")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--columns", nargs="*", metavar="NAME", help="all but slow ones"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--pools", default="claims_pools", help="folder of crystals")
    parser.add_argument("--json", help="file for all results")
    parser.add_argument("--table", help="file for a table in reStructuredText")
    parser.add_argument("--logs", help="folder for the sentences of each data set")
    parser.add_argument(
        "--sentences", action="store_true", help="list those without row"
    )
    parser.add_argument("--truth", nargs=2, metavar="FILE", help="of simulated files")
    parser.add_argument("--crystals", nargs="*", type=int, default=[], help="of them")
    return parser.parse_args()


def print_sentences() -> None:
    """Print the sentences in the code that have no row."""
    for sentence in without_row(told_in(), rows_of_sentences()):
        print(f"{sentence.place}: {sentence.text}")


def print_truth(expt: str, refl: str, numbers: list[int]) -> None:
    """Print the truth of the shares of simulated crystals."""
    everything = read_noise_free(expt, refl)
    for n in numbers or [len(everything.thickness)]:
        data = first_crystals(everything, n)
        sums = pair_sums(data)
        with np.errstate(divide="ignore"):
            alike = 1 / far_variance(sums)
        for what, weights in (
            ("plain means", None),
            ("all reflections alike", np.where(alike < np.inf, alike, 0)),
        ):
            shares = noise_free_shares(sums, weights)
            print(f"\n{n} crystals, γ of pairs with beams within [°], {what}")
            rows = [[kind, *shares.table[kind]] for kind in KINDS]
            print(tabulate(rows, ["", *TABLE[1:]], floatfmt=".3f"))
            print(
                f"plateau {shares.plateau:.3f}, at 0° {shares.zero:.3f}: orientation "
                f"{100 * shares.orientation:.0f} %, half-way at {shares.half_way:.2f}°"
            )
        if {"counting_noise", "relative_error"} <= set(data.columns):
            parts = whole_variance(data, sums).items()
            told = ", ".join(f"{name} {100 * part:.1f} %" for name, part in parts)
            print(f"whole variance, one over it as weight: {told}")


def run_all(chosen: argparse.Namespace, names: list[str]) -> list[Cell]:
    """All cells, in any number of processes; progress goes to standard error."""
    for pool in sorted({COLUMNS[name].pool for name in names}):
        pool_named(pool, chosen.pools, chosen.jobs)
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    # Seed by seed, so that what is there after an interruption is of all columns.
    tasks = [(name, seed, chosen.pools) for seed in seeds for name in names]
    cells = []
    context = get_context("spawn")
    with ProcessPoolExecutor(chosen.jobs, context) as pool:
        futures = {pool.submit(run_cell, *task): task for task in tasks}
        for future in as_completed(futures):
            cell, text = _result(future, futures[future])
            cells.append(cell)
            wrong = [row for row, answer in cell.answers.items() if answer == "wrong"]
            told = cell.error or ", ".join(wrong) or "nothing wrong"
            print(f"{cell.column}, {cell.seed}: {told}", file=sys.stderr, flush=True)
            if chosen.logs:
                folder = Path(chosen.logs)
                folder.mkdir(parents=True, exist_ok=True)
                name = f"{cell.column.replace(' ', '_')}_{cell.seed}.txt"
                Path(folder, name).write_text(text, encoding="utf-8")
            if chosen.json:
                write_json(chosen.json, cells)
    return cells


def _result(future, task) -> tuple[Cell, str]:
    """The result of a task; one that fails must not take the others with it."""
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001, it is counted and printed
        return Cell(task[0], task[1], error=f"{type(error).__name__}: {error}"), ""


def scores_of(cells: list[Cell]) -> list[Score]:
    """Scores in the order of the columns."""
    by_column = {name: [c for c in cells if c.column == name] for name in COLUMNS}
    return [score(own) for own in by_column.values() if own]


def write_json(filename: str, cells: list[Cell]) -> None:
    """Write scores and cells."""
    document = {
        "scores": [s.as_dict() for s in scores_of(cells)],
        "cells": [c.as_dict() for c in cells],
    }
    Path(filename).write_text(json.dumps(document, indent=1), encoding="utf-8")


def main() -> None:
    """Print one table."""
    chosen = parsed()
    if chosen.sentences:
        return print_sentences()
    if chosen.truth:
        return print_truth(*chosen.truth, chosen.crystals)
    names = chosen.columns or [n for n in COLUMNS if n not in SLOW]
    unknown = sorted(set(names) - set(COLUMNS))
    if unknown:
        sys.exit(f"No such column: {', '.join(unknown)}; known: {', '.join(COLUMNS)}.")
    scores = scores_of(run_all(chosen, names))
    heads, rows = table_of(scores)
    # Columns go down the page, so that many of them fit.
    turned = list(zip(*[heads, *rows]))
    print(tabulate(turned[1:], turned[0]))
    for s in scores:
        for name, n in sorted(s.odd.items()):
            print(f"{s.column}: interval of {name} without its estimate or width: {n}")
    if chosen.table:
        text = tabulate(turned[1:], turned[0], tablefmt="rst")
        Path(chosen.table).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
