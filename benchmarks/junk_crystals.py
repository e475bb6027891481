"""
What a few rows of junk, listed as another crystal, do to a correction.

    python benchmarks/junk_crystals.py [--data FOLDER] [--only NAMES] [--seeds 2]
        [--numbers 3 10 30] [--all-have-a-say] [--extreme]

To each of the five measured sets rows are added as a crystal of their own: indices
and orientations of rows that are there, intensities at random. "strong" ones are ten times the
mean, with σ of 5 %; "weak" ones a tenth of it, with σ as they were. R1 against the published
structure of the plain merge and of the corrected amplitudes, and the R1 that is expected of
these: as they are, and how far they move, the largest of some draws. --all-have-a-say measures
the same where no crystal is left out (prepare.outsiders).

--extreme: 1, 3, 10 and 30 rows of 10⁻⁶ to 10⁹ times the mean, negative ones, of all these sizes
at once, and not finite ones, with σ of 10⁻⁹, 0.05 and 10⁹ times the intensity: how many of these
cases stop the correction, and the largest change of each figure in the others.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from itertools import product
from pathlib import Path

import errors
import numpy as np
from tabulate import tabulate

from dials.array_family import flex

from dials_spread.correction.apply import subject
from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.model_file import read_model

KINDS = ("strong", "weak")
EXTREME_NUMBERS, EXTREME_ERRORS = (1, 3, 10, 30), (1e-9, 0.05, 1e9)
LEVELS = (1e-6, 1e-3, 1e3, 1e6, 1e9, -1e-3, -1.0, -1e3, -1e6, None, np.nan)
"""Times the mean; None for all sizes at once."""


def with_junk(experiments, tables, n: int, kind: str, rng: np.random.Generator):
    """
    Add a crystal of junk.

    Args:
        experiments, tables: Of crystals.
        n: Rows of junk.
        kind: "strong" or "weak".
        rng: Source of random numbers.

    Returns:
        Both with one more.
    """
    table = tables[0].select(tables[0].get_flags(tables[0].flags.integrated, all=False))
    mean = np.mean(table["intensity.prf.value"].as_numpy_array())
    junk = table.select(flex.size_t(rng.choice(len(table), n, replace=False)))
    level = mean * (10.0 if kind == "strong" else 0.1)
    value = level * rng.exponential(size=n)
    for name in ("prf", "sum"):
        column = f"intensity.{name}"
        if f"{column}.value" in junk:
            junk[f"{column}.value"] = flex.double(value)
            if kind == "strong":
                variance = (0.05 * value + 0.01 * level) ** 2
                junk[f"{column}.variance"] = flex.double(variance)
    return [*experiments, experiments[0]], [*tables, junk]


def with_extremes(experiments, tables, n, level, error, rng: np.random.Generator):
    """Add a crystal of n rows of level times the mean, with σ of error times that."""
    experiments, tables = with_junk(experiments, tables, n, "strong", rng)
    junk = tables[-1]
    size = (
        rng.choice([-1, 1], n) * 10 ** rng.uniform(-6, 9, n) if level is None else level
    )
    value = np.abs(junk["intensity.prf.value"].as_numpy_array()) * size
    for name in ("prf", "sum"):
        if f"intensity.{name}.value" in junk:
            junk[f"intensity.{name}.value"] = flex.double(value)
            if np.isfinite(value).all():
                sigma = error * np.abs(value) + 1e-30
                junk[f"intensity.{name}.variance"] = flex.double(sigma**2)
    return experiments, tables


def extremes(name: str, source: str, experiments, tables, model) -> list[str]:
    """Give the row of the table of a set."""
    alone = figures(experiments, tables, source, model)
    stopped, found = 0, []
    cases = list(product(EXTREME_NUMBERS, LEVELS, EXTREME_ERRORS))
    for n, level, error in cases:
        rng = np.random.default_rng(n)
        more, added = with_extremes(experiments, tables, n, level, error, rng)
        try:
            found.append(np.abs(figures(more, added, source, model) - alone))
        except ValueError:
            stopped += 1
    most = np.max(found, axis=0)
    return [name, str(len(cases)), str(stopped), *(f"{x:.4f}" for x in most)]


def figures(experiments, tables, source: str, model) -> np.ndarray:
    """Give R1 before (equal weights, and 1/σ²), after, and as expected."""
    data = get_subject(experiments, tables, nproc=1)
    result = correct_intensities(data, model, reference=source, nproc=1)
    by_sigma = float(result.truth.before_weighted.merged.r1[0])
    before, after = result.truth.r1
    return np.array([before, by_sigma, after, result.estimate.predicted_r1])


def rows_of(name: str, source: str, experiments, tables, args, model) -> list:
    """Give the rows of the table of a set."""
    alone = figures(experiments, tables, source, model)
    rows = [[name, "none", *(f"{x:.3f}" for x in alone)]]
    for kind in KINDS:
        for n in args.numbers:
            found = []
            for seed in range(args.seeds):
                rng = np.random.default_rng([seed, n, len(name)])
                more = with_junk(experiments, tables, n, kind, rng)
                found.append(figures(*more, source, model) - alone)
            most = [x[np.argmax(np.abs(x))] for x in np.transpose(found)]
            rows.append([name, f"{n} {kind}", *(f"{x:+.3f}" for x in most)])
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--numbers", nargs="*", type=int, default=[3, 10, 30])
    parser.add_argument("--all-have-a-say", action="store_true")
    parser.add_argument("--extreme", action="store_true")
    args = parser.parse_args()
    if args.all_have_a_say:
        subject.outsiders = lambda scaled: np.empty(0, int)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    model, rows = read_model(SHIPPED), []
    for name, source, experiments, tables in errors.measured_files(args.data):
        if args.only and name not in args.only:
            continue
        if args.extreme:
            rows.append(extremes(name, source, experiments, tables, model))
            print(rows[-1], flush=True)
        else:
            rows += rows_of(name, source, experiments, tables, args, model)
    kinds = ("cases", "stopped") if args.extreme else ("junk",)
    head = ("set", *kinds, "R1 before", "by 1/σ²", "R1 after", "expected R1")
    print(tabulate(rows, head, disable_numparse=True))


if __name__ == "__main__":
    main()
