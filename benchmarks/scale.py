"""
Time, memory and sizes against the number of crystals, of this tree and of an older one.

    python benchmarks/scale.py [--crystals 30 300 2400] [--programs compare_images ml_correct]
                               [--old FOLDER] [--repeats 3] [--block EXPT REFL]
                               [--folder scale] [--json scale.json]

Makes the data itself: abiraterone, 60 images a crystal, as dials.simulate_ed gives it with
noise.extra_error=0.1. As many crystals as ``--distinct`` (300) are simulated; more of them
are these again under other identifiers, each on a scale of its own and with new counting
noise of the same size (variances are doubled, which is what they have then). Their
orientations are the same, so that of more than ``--distinct`` crystals the best partners
of an image are its own copies: times and memory are those of so many images and pairs,
what is said of the data means nothing. Files hold at most 100 crystals. ``--block`` takes
a set that dials.simulate_ed has written instead.

``--old`` is the folder of another version, such as ::

    git archive 1322130 | tar -x -C FOLDER

A program runs in a process of its own, once unmeasured on the fewest crystals, so that
compiled code is stored. Every 20 ms a thread looks which stage is at work; what a stage
costs against n crystals is given as the exponent between neighbouring numbers of crystals.
The median of the repeats is printed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import importlib
import json
import resource
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import numpy as np
import psutil

IN_A_FILE = 100
"""Crystals."""

SIMULATE = (
    *("structure=abiraterone", "scan_width=60", "noise.extra_error=0.1"),
    "output.log=None",
)

STAGES = {
    "compare_images": {
        "read": ("read_as", "read_files", "read"),
        "observations": ("observe", "build_observations"),
        "scales and incidence": ("crystal_scales", "build_incidence"),
        "matching": ("_match", "find_partners"),
        "pairs": ("compare_pairs",),
        "size": ("measure_size",),
        "image factors": ("fit_factors",),
        "variogram": ("_variograms",),
        "permutations": ("assess_matches",),
        "beam": ("take_from_tables",),
        "orientations": ("analyse_orientations",),
        "noisy spots": ("analyse_noisy",),
        "simulated spread": ("explain_observations",),
        "medians": ("together", "summarise"),
        "JSON": ("comparison_as_dict", "write_json", "long_tables"),
        "page": ("compare_images_page",),
        "files": ("write_all",),
    },
    "ml_correct": {
        "read": ("read_uncorrected",),
        "observations": ("build_observations",),
        "geometry": ("add_geometry",),
        "scales, damage, limit": ("within_limit",),
        "Lorentz check": ("check_lorentz",),
        "scaling, couplings": ("prepare",),
        "features": ("features_of",),
        "model": ("correct_prepared", "predict_mean"),
        "factors": ("factors_with_errors",),
        "corrected table": ("corrected_table",),
        "report": ("write_correction", "compare", "correction_parts"),
        "files": ("end_run",),
    },
    "simulate_ed": {
        "potential": ("prepare_sample", "potential_for"),
        "crystals": ("run_tasks",),
        "files": ("write_simulation",),
    },
}
"""Functions that are at work in each stage; the innermost one counts."""

PROGRAMS = ("compare_images", "ml_correct", "simulate_ed")

INNERMOST_FIRST = ("files", "page", "JSON", "features")
"""Stages within others."""

PAUSE = 0.02

ASKED_EVERY = 10
"""Looks, between which it is asked what processes have taken that were started."""


def simulate(n: int, folder: Path, nproc: int) -> tuple[Path, Path]:
    """Simulate crystals, unless that was done before."""
    files = folder / "simulated.expt", folder / "simulated.refl"
    if not files[1].exists():
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [*SIMULATE, f"n_crystals={n}", f"nproc={nproc}"]
        code = "import sys; sys.argv[0] = 'dials.simulate_ed'\n"
        code += "from dials_spread.command_line.simulate_ed import run; run()"
        line = [sys.executable, "-c", code, *arguments]
        subprocess.run(line, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return files


def repeated(block: tuple[Path, Path], n: int, folder: Path) -> list[str]:
    """
    Write n crystals in files of up to IN_A_FILE, those of a block over and over.

    Args:
        block: Experiments and reflections.
        n: Number of crystals.
        folder: Where to.

    Returns:
        Names of the files.
    """
    from dials.array_family import flex
    from dxtbx.model import ExperimentList
    from dxtbx.model.experiment_list import ExperimentListFactory

    n_files = -(-n // IN_A_FILE)
    pairs = [
        [str(folder / f"{k:03d}.{e}") for e in ("expt", "refl")] for k in range(n_files)
    ]
    names = [name for pair in pairs for name in pair]
    if all(Path(name).exists() for name in names):
        return names
    folder.mkdir(parents=True, exist_ok=True)
    experiments = ExperimentListFactory.from_json_file(str(block[0]), False)
    table = flex.reflection_table.from_file(str(block[1]))
    ids = table["id"].as_numpy_array()
    ends = np.searchsorted(ids, np.arange(len(experiments) + 1))
    for k, (expt, refl) in enumerate(pairs):
        own, joined = ExperimentList(), flex.reflection_table()
        numbers = range(k * IN_A_FILE, min((k + 1) * IN_A_FILE, n))
        for place, number in enumerate(numbers):
            copy, source = divmod(number, len(experiments))
            experiment = experiments[source]
            part = table[int(ends[source]) : int(ends[source + 1])]
            if copy:
                rng = np.random.default_rng(number)
                experiment = _named_anew(experiment, uuid.UUID(bytes=rng.bytes(16)))
                _with_new_noise(part, rng)
            own.append(experiment)
            names_of = part.experiment_identifiers()
            for key in list(names_of.keys()):
                del names_of[key]
            part["id"] = flex.int(len(part), place)
            joined.extend(part)
        for place, experiment in enumerate(own):
            joined.experiment_identifiers()[place] = experiment.identifier
        own.as_file(expt)
        joined.as_file(refl)
    return names


def _named_anew(experiment, name: uuid.UUID):
    from dxtbx.model import Experiment

    kinds = ("beam", "detector", "goniometer", "scan", "crystal", "imageset")
    models = {kind: getattr(experiment, kind) for kind in kinds}
    return Experiment(**models, identifier=str(name))


def _with_new_noise(table, rng: np.random.Generator) -> None:
    """Another scale, and counting noise once more; the two are that much less certain."""
    from dials.array_family import flex

    scale, noise = np.exp(0.4 * rng.normal()), rng.normal(size=len(table))
    for kind in ("prf", "sum"):
        name = f"intensity.{kind}"
        if f"{name}.value" in table:
            value = table[f"{name}.value"].as_numpy_array()
            variance = table[f"{name}.variance"].as_numpy_array()
            value = scale * (value + noise * np.sqrt(np.maximum(variance, 0)))
            table[f"{name}.value"] = flex.double(value)
            table[f"{name}.variance"] = flex.double(2 * scale**2 * variance)
    for kind in ("dynamical", "kinematic"):
        if f"intensity.{kind}.value" in table:
            table[f"intensity.{kind}.value"] *= scale


def peak_memory() -> float:
    """
    Of this process [10⁶ KiB, 1.024 GB].

    What getrusage tells begins with what the process held that started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) / 1e6
    return float("nan")


def run_here(program: str, arguments: list[str]) -> None:
    """Run a program in this process, and print what it took as the last line."""
    sys.argv = [f"dials.{program}"]
    begin = time.perf_counter()
    module = importlib.import_module(f"dials_spread.command_line.{program}")
    started = time.perf_counter() - begin
    main = threading.main_thread().ident
    seconds: Counter = Counter()
    stage_of = {
        function: stage
        for stage, functions in STAGES[program].items()
        for function in functions
    }
    done = threading.Event()
    of_others: dict[int, float] = {}

    def ask_others() -> None:
        # What has ended, or is nobody's child any more, keeps what it had.
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                taken = process.cpu_times()
                of_others[process.pid] = taken.user + taken.system

    def look() -> None:
        last, looks = time.perf_counter(), 0
        while not done.wait(PAUSE):
            looks += 1
            if looks % ASKED_EVERY == 0:
                ask_others()
            frame, found = sys._current_frames().get(main), []
            while frame is not None:
                stage = stage_of.get(frame.f_code.co_name)
                if stage and "dials_spread" in frame.f_code.co_filename:
                    found.append(stage)
                frame = frame.f_back
            now = time.perf_counter()
            # The outermost, but for stages that are called within others.
            inner = [stage for stage in found if stage in INNERMOST_FIRST]
            seconds[(inner or found[::-1] or ["rest"])[0]] += now - last
            last = now

    threading.Thread(target=look, daemon=True).start()
    status = 0
    try:
        module.run(arguments)
    except SystemExit as stop:
        status = stop.code or 0
    done.set()
    own = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "elapsed": time.perf_counter() - begin,
        "start": started,
        "processor": own.ru_utime + own.ru_stime + sum(of_others.values()),
        "memory": peak_memory(),
        "stages": dict(seconds),
        "status": status,
    }
    print("\n" + json.dumps(told))


def measure(tree: str, program: str, arguments: list[str], folder: Path) -> dict:
    """
    Run a program of a tree in a process of its own.

    Returns:
        Elapsed and processor time [s], peak memory of the process [GB], by stage the elapsed time, and
        the sizes of the files that it wrote [MB].
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    environment = {**os.environ, "PYTHONPATH": tree}
    line = [sys.executable, str(Path(__file__).resolve()), "--run", program, *arguments]
    done = subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["status"]:
        raise RuntimeError(f"{program}: {found['status']}")
    found["sizes"] = {f.suffix[1:]: f.stat().st_size / 1e6 for f in folder.iterdir()}
    return found


def median(runs: list[dict]) -> dict:
    """Of each figure; stages that a run never met took nothing."""
    found = {
        key: float(np.median([run[key] for run in runs]))
        for key in ("elapsed", "start", "processor", "memory")
    }
    stages = {stage for run in runs for stage in run["stages"]}
    found["stages"] = {
        s: float(np.median([run["stages"].get(s, 0.0) for run in runs])) for s in stages
    }
    found["sizes"] = runs[-1]["sizes"]
    return found


def table(results: dict, crystals: list[int], trees: dict[str, str]) -> str:
    """Put all figures into one table."""
    lines = []
    for program in results:
        lines += ["", f"dials.{program}", f"{'':26}" + _header(crystals, trees)]
        for key, unit in (("elapsed", "s"), ("processor", "s"), ("memory", "GB")):
            lines.append(
                _row(f"{key} [{unit}]", results[program], key, crystals, trees)
            )
        of_trees = results[program]
        kinds = {
            k for n in of_trees for t in of_trees[n] for k in of_trees[n][t]["sizes"]
        }
        for kind in sorted(kinds):
            lines.append(
                _row(f"{kind} [MB]", of_trees, ("sizes", kind), crystals, trees)
            )
        for stage in [*STAGES[program], "rest"]:
            row = _row(stage, of_trees, ("stages", stage), crystals, trees)
            lines.append(row)
    return "\n".join(lines)


def _header(crystals, trees) -> str:
    cells = [f"{n} {name}" for name in trees for n in crystals]
    return "".join(f"{cell:>11}" for cell in cells) + "   exponents of the new"


def _row(label: str, found: dict, key, crystals, trees) -> str:
    def value(n: int, name: str) -> float:
        of_run = found.get(n, {}).get(name)
        if of_run is None:
            return np.nan
        return of_run[key] if isinstance(key, str) else of_run[key[0]].get(key[1], 0.0)

    cells = [value(n, name) for name in trees for n in crystals]
    new = [value(n, "new") for n in crystals]
    exponents = [
        f"{np.log(b / a) / np.log(n / m):.2f}" if min(a, b) > 0.2 else "-"
        for a, b, m, n in zip(new, new[1:], crystals, crystals[1:])
    ]
    told = "".join(f"{'-' if np.isnan(x) else f'{x:.2f}':>11}" for x in cells)
    return f"{label:26}{told}   {' '.join(exponents)}"


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--crystals", type=int, nargs="+", default=[30, 300])
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS[:2])
    parser.add_argument("--old", help="folder of another version")
    parser.add_argument("--old-up-to", type=int, default=300, help="crystals")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--distinct", type=int, default=300)
    parser.add_argument("--block", nargs=2, metavar=("EXPT", "REFL"))
    parser.add_argument("--nproc", type=int, default=2)
    parser.add_argument("--folder", default="scale")
    parser.add_argument("--json")
    return parser.parse_args()


def main() -> None:
    """Make the data, run the programs, print the table."""
    given = parse()
    folder, crystals = Path(given.folder).resolve(), sorted(given.crystals)
    block = tuple(Path(f).resolve() for f in given.block or ())
    if not block:
        n = min(crystals[-1], given.distinct)
        block = simulate(n, folder / f"block_{n}", given.nproc)
    trees = {"new": str(Path(__file__).resolve().parents[1])}
    if given.old:
        trees["old"] = str(Path(given.old).resolve())
    results: dict = {program: {} for program in given.programs}
    for program in given.programs:
        for k, n in enumerate(crystals):
            if program == "simulate_ed":
                arguments = [*SIMULATE, f"n_crystals={n}"]
            else:
                arguments = repeated(block, n, folder / f"data_{n}")
            arguments = [*arguments, f"nproc={given.nproc}"]
            for name, tree in trees.items():
                if name == "old" and n > given.old_up_to:
                    continue
                own = folder / f"{program}_{n}_{name}"
                if k == 0:
                    measure(tree, program, arguments, own)
                runs = [
                    measure(tree, program, arguments, own) for _ in range(given.repeats)
                ]
                results[program].setdefault(n, {})[name] = median(runs)
                print(
                    program, n, name, results[program][n][name]["elapsed"], flush=True
                )
    print(table(results, crystals, trees))
    if given.json:
        Path(given.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run_here(sys.argv[2], sys.argv[3:])
    else:
        main()
