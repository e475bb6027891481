"""
What a correction learnt from the data gives by each split, and what all of it costs.

Usage::

    python benchmarks/ml_correct.py [protocol] [cost] [speed] [--crystals 200]
        [--d-min 1.0] [--observations 1000000] [--model FILE] [--data ../shared/data]
        [--repeats 3] [--limit SECONDS] [--seed 3]

All three parts by default; --crystals 20 --observations 50000 is a quick trial. Prints

- protocol: simulated paracetamol, half of the crystals for training and half for the
  test, as published; and unseen unique reflections of the same; and, with glycine and
  quartz simulated likewise, unseen compounds. R1 of merged amplitudes with all controls;
- cost: applying a model, as a whole run of dials.ml_correct with files read and written,
  over a whole run of dials.scale on the same tables, for measured X-ray data (forced) and
  for the simulated set. Wall clock and processor seconds, the best of some runs, with all
  runs in turns; what takes five minutes runs once, and what takes longer than the limit
  is stopped there, so that the ratio is an upper bound. It is without the report (HTML) of
  either program;
- speed: features of so many observations, and training on them.

Figures of one run are to be compared with one another only.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.features.all_features import features_of
from dials_spread.correction.model.model_file import write_model
from dials_spread.correction.validate.learning import (
    describe_compound,
    pool,
    train_model,
)
from dials_spread.correction.validate.splits import SPLITS
from dials_spread.correction.validate.train_on_data import (
    Source,
    TrainingResult,
    train_on,
)
from dials_spread.observations import build_observations
from dials_spread.prepare.geometry import add_geometry
from dials_spread.prepare.prepared import prepare
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.structures.structure_files import read_structure
from dials_spread.versions import available_cores

ROOT = Path(__file__).resolve().parents[1]
L_CYSTEINE = [f"l_cysteine/{n}_integrated" for n in (20, 25, 30, 35)]
OTHERS = (("glycine", 0.8), ("quartz", 0.7))
"""Compounds for the split by compound, and resolution [Å] to which they are simulated."""

LONG = 300.0
"""Runs of so many seconds are not repeated."""


def timed(title: str, function: Callable):
    """Call a function, print what it took, return what it gave."""
    wall, own = time.perf_counter(), time.process_time()
    result = function()
    wall, own = time.perf_counter() - wall, time.process_time() - own
    print(f"{title:64s}{wall:9.2f} s{own:9.2f} s of processors", flush=True)
    return result


def simulated(name: str, n_crystals: int, d_min: float, seed: int):
    """Simulate crystals with multiple scattering."""
    return timed(
        f"simulating {n_crystals} crystals of {name} to {d_min} Å",
        lambda: simulate_experiments(
            read_structure(name),
            np.random.default_rng(seed),
            n_crystals=n_crystals,
            d_min=d_min,
            scan_width=50.0,
            wave="dynamical",
            noise=NoiseModel(extra_error=0.05),
        ),
    )


def by_crystal(experiments, table) -> list:
    """Give the table of each crystal."""
    return [table.select(table["id"] == k) for k in range(len(experiments))]


def show(training: TrainingResult) -> None:
    """Print R1 of all splits and controls."""
    validation = training.validation
    print(f"  {'merged R1':14s}" + "".join(f"{'by ' + s:>26s}" for s in SPLITS))
    for method in ("none", "model", "amplitudes", "resolution", "shuffled", "law"):
        row = f"  {method:14s}"
        for split in SPLITS:
            score = validation.score(split, method)
            told = score and f"{score.r1:.4f} (gain {score.gain:+.4f})"
            row += f"{told or 'not run':>26s}"
        print(row)
    for split in SPLITS:
        score = validation.score(split)
        for one in score.compounds if score else ():
            print(
                f"  by {split}, {one.compound}: {one.r1 + one.gain:.4f} -> {one.r1:.4f}, "
                f"n {one.n}, CC {one.cc:.3f}, log-likelihood {one.log_likelihood:.3f}, "
                f"R_meas {one.r_meas:.3f}"
            )
    for split, found in validation.coverage.items():
        if found is not None:
            print(
                f"  errors by {split}: {found.within_one:.3f} within one, "
                f"{found.within_two:.3f} within two predicted standard deviations, "
                f"n {found.n}"
            )


def protocol(sets: dict, options: argparse.Namespace) -> TrainingResult:
    """Train on half of the crystals of paracetamol; then on three compounds."""
    half, n = options.crystals // 2, options.crystals
    sources, first = [], 0
    for name, (experiments, table) in sets.items():
        subject = get_subject(experiments, by_crystal(experiments, table))
        numbers = np.arange(first, first + len(experiments))
        sources.append(Source(subject, name, numbers))
        first += len(experiments)
    print(f"\nThe published protocol, train.crystals=0:{half} test.crystals={half}:{n}")
    n_rows = len(sources[0].subject.observations)
    training = timed(
        f"training and testing, {n_rows} observations, all splits",
        lambda: train_on(sources[:1], crystals=(f"0:{half}", f"{half}:{n}")),
    )
    show(training)
    print("\nWith two other compounds, folds in all splits")
    show(timed("training and testing", lambda: train_on(sources, keep=False)))
    return training


class Clock:
    """Wall and processor seconds of whole runs of programs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.best: dict[str, tuple[float, float]] = {}
        self.stopped: set[str] = set()

    def run(self, title: str, command: Sequence[str], limit: float) -> None:
        """Run a program in a folder of its own, no longer than a limit; keep its best."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        options = {"cwd": folder, "capture_output": True, "text": True}
        try:
            done = subprocess.run(command, timeout=limit, **options)
        except subprocess.TimeoutExpired:
            self.stopped.add(title)
        else:
            if done.returncode:
                told = f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
                sys.exit(f"{title} failed:\n{told}")
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        shutil.rmtree(folder)
        own = sum(
            getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime")
        )
        old = self.best.get(title, (np.inf, np.inf))
        self.best[title] = (min(old[0], wall), min(old[1], own))

    def show(self, title: str) -> None:
        """Print the best times of one program."""
        wall, own = self.best[title]
        ended = ", not ended and stopped" if title in self.stopped else ""
        print(
            f"  {title:62s}{wall:9.2f} s{own:9.2f} s of processors{ended}", flush=True
        )


def program(name: str) -> str:
    """Find a program beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else name


def cost_of(
    title: str, files: Sequence[str], model: Sequence[str], options: argparse.Namespace
) -> None:
    """Compare whole runs on the same files."""
    quiet = ["output.html=None"]
    correct = [program("dials.ml_correct"), *files, *model, "force=True"]
    # Tables of DIALS before 2.0 are pickle files; these are from Zenodo.
    correct.append("allow_pickle=True")
    runs = {
        "dials.scale": [program("dials.scale"), *files, *quiet],
        "dials.ml_correct": [*correct, *quiet],
        "dials.ml_correct with its report": correct,
        "dials.ml_correct -h (starting up)": [program("dials.ml_correct"), "-h"],
    }
    print(f"\n{title}")
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(Path(folder))
        for _ in range(options.repeats):
            for name, command in runs.items():
                if clock.best.get(name, (0, 0))[0] < LONG:
                    clock.run(name, command, options.limit)
    for name in runs:
        clock.show(name)
    (a, b), (c, d) = clock.best["dials.ml_correct"], clock.best["dials.scale"]
    wall, own = 100 * a / c, 100 * b / d
    least = "less than " if "dials.scale" in clock.stopped else ""
    print(f"  ratio: {least}{wall:.1f} % by the clock, {own:.1f} % of processors")


def cost(data, training: TrainingResult | None, options: argparse.Namespace) -> None:
    """Apply a model to measured X-rays and to the simulated set."""
    with tempfile.TemporaryDirectory() as folder:
        experiments, table = data
        files = [f"{folder}/simulated.{ending}" for ending in ("expt", "refl")]
        experiments.as_file(files[0])
        table.as_file(files[1])
        if options.model or SHIPPED.is_file():
            told = options.model or "that comes with the package"
            model = [f"model={Path(told).resolve()}"] if options.model else []
        elif training is not None:
            told, model = "trained by the protocol", [f"model={folder}/own.model"]
            write_model(training.model, f"{folder}/own.model")
        else:
            told, model = "none: method=weights", ["method=weights"]
        print(f"\nWhole runs, best of {options.repeats} in turns. Model: {told}")
        stems = [options.data.resolve() / stem for stem in L_CYSTEINE]
        if all(Path(f"{stem}.refl").is_file() for stem in stems):
            measured = [f"{stem}.{e}" for stem in stems for e in ("expt", "refl")]
            cost_of("l_cysteine, four sweeps, forced", measured, model, options)
        else:
            print(f"No l_cysteine in {options.data}")
        n = len(experiments)
        cost_of(f"{n} simulated crystals, {len(table)} rows", files, model, options)


def many_observations(wanted: int, seed: int):
    """Simulate crystals of a large cell until there are so many observations."""
    rng = np.random.default_rng(seed)
    wishes = Wishes(kind="organic", space_group="P 21 21 21", volume=(2450, 2500))
    structure = random_compound(rng, wishes)

    def crystals(n: int):
        return simulate_experiments(
            structure, rng, n_crystals=n, d_min=0.8, scan_width=60.0
        )

    some = len(crystals(2)[1])
    n = max(2, int(np.ceil(1.1 * wanted / (some / 2))))
    experiments, table = timed(f"simulating {n} crystals", lambda: crystals(n))
    return structure, experiments, by_crystal(experiments, table)


def speed(options: argparse.Namespace) -> None:
    """Time the features of many observations, and training on them."""
    print(f"\nSpeed, {available_cores()} cores")
    structure, experiments, tables = many_observations(
        options.observations, options.seed
    )
    observations = build_observations(experiments, tables)
    keep = np.arange(min(options.observations, len(observations)))

    def features():
        measured = add_geometry(observations, experiments, tables).select(keep)
        prepared = prepare(measured)
        return prepared, features_of(prepared)

    # Compiled parts are loaded before the clock starts.
    few = add_geometry(observations, experiments, tables).select(np.arange(5000))
    features_of(prepare(few))
    told = f"{len(keep)} observations"
    prepared, _ = timed(f"features of {told}, geometry included", features)
    F = np.abs(structure_factors(structure, prepared.measured.unique_index))
    compound, columns = describe_compound("random", prepared, F, "physical")
    data = pool([compound], columns)
    rows = np.ones(len(data.table), dtype=bool)
    timed(
        f"training on {told}, {len(columns)} features, 4 members",
        lambda: train_model(data, {}, rows, options.seed, {}),
    )


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parts = ("protocol", "cost", "speed")
    parser.add_argument("parts", nargs="*", metavar="part", default=list(parts))
    parser.add_argument("--crystals", type=int, default=200)
    parser.add_argument("--d-min", type=float, default=1.0)
    parser.add_argument("--observations", type=int, default=1_000_000)
    parser.add_argument("--model", help="a model file; the shipped one by default")
    folder = os.environ.get("DIALS_SPREAD_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(folder))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--limit", type=float, help="of each program [s]; none by default"
    )
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    if not set(options.parts) <= set(parts):
        parser.error(f"parts are {', '.join(parts)}")
    return options


def main() -> None:
    """Run the parts that are wanted."""
    options = arguments()
    sets, training = {}, None
    if {"protocol", "cost"} & set(options.parts):
        more = (options.crystals, options.d_min, options.seed)
        sets["paracetamol"] = simulated("paracetamol", *more)
    if "protocol" in options.parts:
        for name, d_min in OTHERS:
            sets[name] = simulated(name, options.crystals, d_min, options.seed)
        training = protocol(sets, options)
    if "cost" in options.parts:
        cost(sets["paracetamol"], training, options)
    if "speed" in options.parts:
        speed(options)


if __name__ == "__main__":
    main()
