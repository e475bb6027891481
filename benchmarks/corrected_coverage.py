"""
Whether σ of a corrected table cover, once dials.scale and dials.merge have made them theirs.

    python benchmarks/corrected_coverage.py [--only NAME ...] [--data FOLDER] [--work FOLDER]
        [--quick]

dials.ml_correct, dials.scale and dials.merge as they are called without any option, on the five
measured compounds and on two simulated sets of four crystals (paracetamol, and a random organic
compound with 10 % of extra error; dials.simulate_ed, of some 300 Å). Of the merged
intensities: how many lie within 1 and 2 σ of those of the reference, or of the truth, by the σ
of dials.merge, and with the error besides that all observations of a reflection share (column
ml_correction.common); R1 of √max(I, 0).
Beside them the same of uncorrected tables.

Then R1 as it is expected and as it is of what dials.ml_correct makes of the integrated table, and
of the table that dials.scale has made of it: whether what is expected ranks as what is found.

--quick leaves out the last round of dials.scale, with all parameters at once (full_matrix=False),
which takes half of its time, or more, and changes figures of small sets by some per cent.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import errors
import numpy as np
from corrected_scaling import run
from general_model_controls import split
from general_model_sets import DataSet, truth_of
from tabulate import tabulate

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx import mtz

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.model_file import read_model
from dials_spread.observations import unique_indices
from dials_spread.placement.common_set import common_set, read_branch
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.r1 import r_factor

SAME_R1 = 0.005
"""A smaller difference of R1 has no rank."""

SIMULATED = {
    "paracetamol": ["structure=paracetamol", "noise.extra_error=0.05"],
    "random compound": [
        "structure=random", "random.space_group=P212121", "random.kind=organic",
        "random.volume=400,900", "noise.extra_error=0.1",
    ],
}  # fmt: skip
ALIKE = (
    "n_crystals=4", "scan_width=60", "d_min=0.9", "seed=11", "thickness.median=300",
    "output.html=None",
)  # fmt: skip


def inputs(data: Path, work: Path, only: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Name, stem of the files and file of the structure; empty where tables hold the truth."""
    for name, structure in errors.MEASURED.items():
        stem = (data / name / "integrated").resolve()
        if (not only or name in only) and stem.with_suffix(".expt").exists():
            yield name, stem, str(data / "structures" / f"{structure}.cif")
    for name, choices in SIMULATED.items():
        if only and name not in only:
            continue
        folder = work / f"{name.split()[0]}_simulated"
        if not (folder / "simulated.refl").exists():
            folder.mkdir(parents=True)
            run(["dials.simulate_ed", *choices, *ALIKE], folder)
        yield name, folder / "simulated", ""


def read(name: str, stem: Path, source: str) -> DataSet:
    """Read a set."""
    experiments = ExperimentListFactory.from_json_file(f"{stem}.expt", False)
    table = flex.reflection_table.from_file(f"{stem}.refl")
    return DataSet("", name, experiments, split(table, len(experiments)), source)


def truth(data: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """Indices of unique reflections, and their true amplitudes; nan where not known."""
    subject = get_subject(
        data.experiments, data.tables, nproc=1, force=True, d_min=None
    )
    return subject.prepared.measured.unique_index, truth_of(data, subject)


def scaled_and_merged(stem: Path, folder: Path, choices: list[str]) -> None:
    """Run dials.scale, with choices, and dials.merge."""
    folder.mkdir(parents=True, exist_ok=True)
    run(["dials.scale", f"{stem}.expt", f"{stem}.refl", *choices], folder)
    run(["dials.merge", "scaled.expt", "scaled.refl", "output.html=None"], folder)


def read_merged(folder: Path) -> tuple[np.ndarray, ...]:
    """Indices, IMEAN, SIGIMEAN, and what the observations of a reflection share."""
    arrays = mtz.object(str(folder / "merged.mtz")).as_miller_arrays()
    array = next(a for a in arrays if a.info().labels[0] == "IMEAN")
    hkl = np.array(list(array.indices()))
    I, sigma = np.array(array.data()), np.array(array.sigmas())
    branch = read_branch(folder / "scaled.expt", folder / "scaled.refl")
    own = common_set({"": branch})
    # What merging leaves, with and without the common part.
    total, merged = own.merged[""].sigma, _merged_alone(branch, own.unique[""])
    shared = np.sqrt(np.maximum(total**2 - merged**2, 0))
    place = _places(own.unique_index, hkl, branch.observations.space_group)
    known = place >= 0
    hkl, I, sigma, place = hkl[known], I[known], sigma[known], place[known]
    # dials.merge may put intensities on a scale of its own.
    scale = np.median(sigma / merged[place])
    return hkl, I, sigma, scale * shared[place]


def _merged_alone(branch, unique: np.ndarray) -> np.ndarray:
    """What merging with weights 1/σ² leaves of σ, shape (u,)."""
    observations = branch.observations
    weight = np.bincount(unique, 1 / observations.variance, observations.n_unique)
    return 1 / np.sqrt(weight)


def _places(listed: np.ndarray, hkl: np.ndarray, group) -> np.ndarray:
    """Where each index is in a list of unique ones; -1 where it is not."""
    _, number = unique_indices(np.concatenate([listed, hkl]), group, friedel=True)
    number = np.ravel(number)
    at = np.full(number.max() + 1, -1)
    at[number[: len(listed)]] = np.arange(len(listed))
    return at[number[len(listed) :]]


def known_amplitudes(
    known: tuple[np.ndarray, np.ndarray], hkl: np.ndarray, group
) -> np.ndarray:
    """|F| of each index, from unique ones and their |F|; nan where it is not known."""
    place = _places(known[0], hkl, group)
    return np.where(place >= 0, known[1][place], np.nan)


def coverage(off: np.ndarray, sigma: np.ndarray) -> str:
    """How many lie within 1 and 2 σ (%)."""
    z = np.abs(off) / sigma
    return f"{100 * np.mean(z < 1):.0f}, {100 * np.mean(z < 2):.0f}"


def judge(folder: Path, index: np.ndarray, F: np.ndarray, group) -> list[str]:
    """R1, and coverage by the merged σ and with the common part."""
    hkl, I, sigma, shared = read_merged(folder)
    true = known_amplitudes((index, F), hkl, group)
    known = np.isfinite(true)
    r1, k = r_factor(amplitudes(I)[known], true[known])[:2]
    off = (I - (true / k) ** 2)[known]
    told = [f"{r1:.3f}", coverage(off, sigma[known])]
    if shared.any():
        told.append(coverage(off, np.hypot(sigma, shared)[known]))
    return told


def expected_and_found(
    data: DataSet, known: tuple[np.ndarray, np.ndarray]
) -> list[float]:
    """R1 as the correction expects it, as it is, and of the better of two merges before."""
    subject = get_subject(data.experiments, data.tables, nproc=1)
    result = correct_intensities(subject, read_model(SHIPPED), nproc=1)
    subject = result.subject
    measured = subject.prepared.measured
    F = known_amplitudes(known, measured.unique_index, measured.space_group)
    own = np.isfinite(F)
    accepted = subject.prepared.with_damage.select(subject.accepted)
    plain = amplitudes(accepted.merged())
    r1 = [r_factor(x[own], F[own])[0] for x in (result.F, plain, result.F_before)]
    return [float(x) for x in (result.estimate.predicted_r1, r1[0], min(r1[1:]))]


def ranking(name: str, stem: Path, source: str, work: Path) -> list[str]:
    """One row of the second table; files of the first are there."""
    scaled = work / name.split()[0] / "before" / "scaled"
    data = read(name, stem, source)
    known = truth(data)
    told = [
        expected_and_found(data, known),
        expected_and_found(read(name, scaled, source), known),
    ]
    (a, b, before), (c, d, after) = told
    ranks = "yes" if (c - a) * (d - b) > 0 else "no"
    if abs(d - b) < SAME_R1:
        ranks = f"found within {SAME_R1}"
    return [name, *(f"{x:.3f}" for x in (before, a, b, after, c, d)), ranks]


def study(
    name: str, stem: Path, source: str, work: Path, choices: list[str]
) -> list[str]:
    """One row of the table; choices are those of dials.scale."""
    index, F = truth(read(name, stem, source))
    folder = work / name.split()[0]
    scaled_and_merged(stem, folder / "before", choices)
    (folder / "corrected").mkdir(parents=True, exist_ok=True)
    command = ["dials.ml_correct", f"{stem}.expt", f"{stem}.refl", "output.html=None"]
    run(command, folder / "corrected")
    scaled_and_merged(folder / "corrected" / "corrected", folder / "after", choices)
    experiments = ExperimentListFactory.from_json_file(f"{stem}.expt", False)
    group = experiments[0].crystal.get_space_group()
    before, after = (judge(folder / k, index, F, group) for k in ("before", "after"))
    return [name, *before[:2], *after]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=None, help="where files are kept")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    choices = ["full_matrix=False"] if args.quick else []
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    rows, ranks = [], []
    with tempfile.TemporaryDirectory() as scratch:
        work = (args.work or Path(scratch)).resolve()
        for name, stem, source in inputs(args.data, work, args.only):
            rows.append(study(name, stem, source, work, choices))
            ranks.append(ranking(name, stem, source, work))
            print("  ".join([*rows[-1], *ranks[-1][1:]]), flush=True)
    header = ["", "R1 uncorrected", "within 1, 2 σ (%)", "R1 corrected", "by dials.merge",
              "with the common part"]  # fmt: skip
    print(tabulate(rows, header, tablefmt="github", disable_numparse=True))
    header = ["", "R1, integrated", "expected", "found", "R1, scaled", "expected", "found",
              "ranks alike"]  # fmt: skip
    print(tabulate(ranks, header, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
