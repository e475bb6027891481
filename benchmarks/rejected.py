"""
What dials.scale rejects as outliers, taken in by dials.ml_correct or not.

    python benchmarks/rejected.py [--only NAME ...] [--data FOLDER] [--work FOLDER]
        [--integrated]

The five measured compounds, and 15 simulated sets of random compounds (2, 4 and 8 crystals of
150 to 1,100 Å, and of single scattering; 5 or 10 % of extra error, 300 electrons), each scaled
by real dials.scale (full_matrix=False):

plain: as they are.
wild: 1 % of the integrated intensities multiplied by 20, as by ice, overlaps or hot pixels.
shadow: 1 % multiplied by 0.02, as behind the beam stop.

Then dials.ml_correct with keep_outliers=False, Auto and True: R1 expected and found, against the
published structure or the truth; how many outliers of dials.scale were taken in and left out, and
how many of what was changed had a say. Of simulated sets also how far what dials.scale rejects is
from the mean of the others, in the unit of correction.apply.taken_in: part beyond 3, 4 and 5; and
which part is not beyond 4, but below a tenth of that mean.

--integrated: the integrated tables as they are, without dials.scale, and of these
zero: 1 % of the intensities nought, with σ as they were, besides.
dials.ml_correct with gross outliers (prepare.gross) left out (keep_outliers=Auto) and not (True):
R1 before the correction, expected, and found; how many were left out; of what was changed, how
many observations have equivalents to be compared with and are out of range of these, how many of
these were left out; and how many observations that nobody changed.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import errors
import numpy as np
from corrected_coverage import known_amplitudes, read, truth
from corrected_scaling import run
from general_model_controls import split
from general_model_sets import DataSet
from tabulate import tabulate

from dials.array_family import flex

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.apply.taken_in import distances, within_range
from dials_spread.correction.model.model_file import read_model
from dials_spread.observations.rejected import REASON
from dials_spread.prepare.gross import FEWEST, FURTHEST, gross_outliers, out_of_range
from dials_spread.prepare.normalisation import normalise
from dials_spread.rfactor.r1 import r_factor

PART = 0.01
KINDS = {"plain": 1.0, "wild": 20.0, "shadow": 0.02}
INTEGRATED_KINDS = {**KINDS, "zero": 0.0}
KEEP = {"False": False, "Auto": "auto", "True": True}
CRYSTALS = ((4, 0.05, "P212121"), (2, 0.1, "P21"), (8, 0.05, "P212121"))
"""Number, extra error and space group."""

SAMPLES = (
    *(("dynamical", t) for t in (300, 600, 1100, 150)),
    ("kinematic", 300),
)
"""Scattering, and median thickness [Å]."""


def inputs(data: Path, work: Path, only: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Name, stem of the files and file of the structure; empty where tables hold the truth."""
    for name, structure in errors.MEASURED.items():
        stem = (data / name / "integrated").resolve()
        if (not only or name in only) and stem.with_suffix(".expt").exists():
            yield name, stem, str(data / "structures" / f"{structure}.cif")
    seed = 40
    for wave, thickness in SAMPLES:
        for n, extra, group in CRYSTALS:
            seed += 1
            name = f"{wave}-{thickness}-{n}"
            if only and name not in only:
                continue
            folder = work / name
            if not (folder / "simulated.refl").exists():
                folder.mkdir(parents=True, exist_ok=True)
                run(
                    ["dials.simulate_ed", "structure=random", f"seed={seed}",
                     f"random.space_group={group}", "random.kind=organic",
                     "random.volume=400,900", f"n_crystals={n}", "scan_width=60",
                     "d_min=0.9", f"wave={wave}", f"thickness.median={thickness}",
                     "noise.mean_counts=300", f"noise.extra_error={extra}", "nproc=1",
                     "output.html=None"],
                    folder,
                )  # fmt: skip
            yield name, folder / "simulated", ""


def multiply(table: flex.reflection_table, rows: np.ndarray, times: float) -> None:
    """Multiply integrated intensities, and their variances, of some rows; 0 leaves these."""
    for kind in ("prf", "sum"):
        for what in ("value", "variance"):
            name = f"intensity.{kind}.{what}"
            if name in table and (times or what == "value"):
                own = table[name].as_numpy_array().copy()
                own[rows] *= times
                table[name] = flex.double(own)


def changed_table(stem: Path, times: float) -> flex.reflection_table:
    """Multiply 1 % of the integrated intensities, and their variances."""
    table = flex.reflection_table.from_file(f"{stem}.refl")
    hit = np.random.default_rng(7).random(len(table)) < PART
    if times != 1:
        table["changed"] = flex.int(hit.astype(np.int32))
    multiply(table, hit, times)
    return table


def change(stem: Path, folder: Path, times: float) -> None:
    """Multiply 1 % of the integrated intensities, and their variances, and scale."""
    folder.mkdir(parents=True, exist_ok=True)
    changed_table(stem, times).as_file(str(folder / "changed.refl"))
    run(
        ["dials.scale", f"{stem}.expt", "changed.refl", "full_matrix=False",
         "output.html=None"],
        folder,
    )  # fmt: skip


def was_changed(observations, tables) -> np.ndarray:
    """Which observations were changed."""
    found = np.zeros(len(observations), dtype=bool)
    for own, table in zip(observations.by_crystal(len(tables)), tables):
        if "changed" in table:
            found[own] = table["changed"].as_numpy_array()[observations.row[own]] > 0
    return found


def amplitudes_of(subject, known):
    """The correction, true amplitudes, those before and those after it."""
    result = correct_intensities(subject, read_model(SHIPPED), nproc=1)
    measured = result.subject.prepared.measured
    F = known_amplitudes(known, measured.unique_index, measured.space_group)
    return result, F, result.F_before, result.F


def r1_of(F, *found):
    """R1 of amplitudes."""
    own = np.isfinite(F)
    return [r_factor(x[own], F[own])[0] for x in found]


def of_integrated(data: DataSet, known) -> Iterator[list[str]]:
    """
    Expected and found R1 with gross outliers and without, and which these were.

    Of reflections that both have: with gross outliers the resolution limit may be lower.
    """
    keeps = (True, "auto")
    given = (data.experiments, data.tables)
    subjects = [get_subject(*given, nproc=1, keep_outliers=keep) for keep in keeps]
    both = [amplitudes_of(subject, known) for subject in subjects]
    d_star_sq = [b[0].subject.prepared.measured.d_star_sq for b in both]
    end = min(x.max() for x in d_star_sq)
    for keep, x, (result, *F) in zip(keeps, d_star_sq, both):
        before, found = r1_of(*(f[x <= end] for f in F))
        row = [str(keep), f"{before:.4f}", f"{result.estimate.predicted_r1:.4f}",
               f"{found:.4f}", f"{result.strength:.2f}"]  # fmt: skip
        if keep == "auto":
            row += planted_and_found(data, result.subject)
        yield row


def planted_and_found(data: DataSet, subject) -> list[str]:
    """How many are left out; changed and out of range, and these left out; not changed."""
    everything = get_subject(data.experiments, data.tables, nproc=1, keep_outliers=True)
    scaled = everything.prepared.scaled
    gross, middle = gross_outliers(scaled)
    changed = was_changed(scaled, data.tables)
    _, first, number = np.unique(scaled.unique, return_index=True, return_inverse=True)
    usual = normalise(middle[first], scaled.d_star_sq, scaled.epsilon).N[number]
    far = out_of_range(scaled.intensity, middle, usual)
    far &= (np.bincount(scaled.unique) >= FEWEST)[scaled.unique]
    planted = far & changed
    return [f"{subject.n_gross} of {len(scaled)}", str(planted.sum()),
            str((planted & gross).sum()), str((gross & ~changed).sum())]  # fmt: skip


def corrected(data, known, keep) -> list[str]:
    """Expected and found R1, and the numbers."""
    subject = get_subject(data.experiments, data.tables, nproc=1, keep_outliers=keep)
    counted = was_changed(subject.observations, data.tables).sum()
    result, *F = amplitudes_of(subject, known)
    before, found = r1_of(*F)
    subject = result.subject
    taken_in = 0 if result.taken_in is None else result.taken_in.sum()
    left_out = subject.observations.dropped.get(REASON, 0)
    expected = result.estimate.predicted_r1
    return [f"{before:.3f}", f"{expected:.3f}", f"{found:.3f}", f"{found / expected:.2f}",
            f"{result.strength:.2f}", str(taken_in), str(left_out), str(counted)]  # fmt: skip


def beyond(data) -> str:
    """Part (%) of what dials.scale rejected that is further off than 3, 4, 5; or hidden."""
    subject = get_subject(data.experiments, data.tables, nproc=1, keep_outliers=True)
    if not subject.taken_in.any():
        return ""
    columns = subject.prepared.measured, subject.taken_in
    far = distances(*columns)[subject.taken_in]
    parts = [np.mean(far > limit) for limit in (3, 4, 5)]
    within = within_range(*columns)[subject.taken_in]
    parts.append(np.mean((far <= FURTHEST) & ~within))
    return ", ".join(f"{100 * part:.1f}" for part in parts)


def print_integrated(args, work: Path) -> None:
    """Print the table of integrated data."""
    rows = []
    for name, stem, source in inputs(args.data, work, args.only):
        given = read(name, stem, source)
        known = truth(given)
        for kind, times in INTEGRATED_KINDS.items():
            table = changed_table(stem, times)
            tables = split(table, len(given.experiments))
            data = replace(given, tables=tables)
            for row in of_integrated(data, known):
                rows.append([name, kind, *row])
                print("  ".join(rows[-1]), flush=True)
    header = ["", "", "keep_outliers", "R1 before", "expected", "found", "strength", "left out",
              "changed and out of range", "of these left out", "not changed, left out"]  # fmt: skip
    print(tabulate(rows, header, tablefmt="github", disable_numparse=True))


def print_scaled(args, work: Path) -> None:
    """Print the table of scaled data."""
    rows = []
    for name, stem, source in inputs(args.data, work, args.only):
        known = truth(read(name, stem, source))
        for kind, times in KINDS.items():
            folder = work / name / kind
            if not (folder / "scaled.refl").exists():
                change(stem, folder, times)
            data = read(name, folder / "scaled", source)
            for told, keep in KEEP.items():
                far = beyond(data) if kind == "plain" and keep is True else ""
                rows.append([name, kind, told, *corrected(data, known, keep), far])
                print("  ".join(rows[-1]), flush=True)
    header = ["", "", "keep_outliers", "R1 before", "expected", "found", "ratio", "strength",
              "taken in", "left out", "changed, used", "beyond 3, 4, 5; hidden (%)"]  # fmt: skip
    print(tabulate(rows, header, tablefmt="github", disable_numparse=True))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=None, help="where files are kept")
    parser.add_argument("--integrated", action="store_true")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        work = (args.work or Path(scratch)).resolve()
        (print_integrated if args.integrated else print_scaled)(args, work)


if __name__ == "__main__":
    main()
