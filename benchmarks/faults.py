"""
What the commands do with spoiled input, beside dials.scale and dials.symmetry.

    python benchmarks/faults.py --inputs 1000 --program compare_images
    python benchmarks/faults.py --inputs 200 --program ml_correct --compare

Three simulated crystals of glycine are spoiled in one way each time (benchmarks/
fault_kinds.py), chosen at random from a seed, and given to the command in a process of its
own, with limits of memory and time. Right is

- exit status 1, one sentence or more about the input on standard error, no traceback and
  no words of Python or C++, and no file made, changed or removed; or
- exit status 0, and results that can be read: JSON without nan, numbers of sane size, and
  tables whose usable intensities are finite.

All else falls short. With --compare the same inputs, as far as they are files, go to
dials.scale and dials.symmetry, of which only tracebacks, crashes and time are counted.
"""

from __future__ import annotations

import argparse
import collections
import copy
import hashlib
import importlib
import json
import math
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fault_kinds import ARGUMENT, FILE, KINDS, MODEL, TABLE, Case  # noqa: E402

from dials.array_family import flex  # noqa: E402

PROGRAMS = {
    "compare_images": ["likelihood.permutations=99", "n_pairs_shown=1"],
    "ml_correct": [],
    "simulate_ed": ["structure=glycine", "measured.d_min=1.5", "nproc=1"],
}
"""What each is given beside files."""

OTHERS = {"scale": ["output.html=None"], "symmetry": ["output.html=None"]}

MEMORY = 6 * 2**30
"""[bytes], of addresses."""

SECONDS = 120
"""A run that takes longer hangs; sound input takes a few seconds."""

VAGUE = re.compile(
    r"\[Errno|Traceback|object has no|NoneType|KeyError|IndexError|ValueError:|TypeError|"
    r"out of bounds|out of range|broadcast|invalid literal|cannot convert|ASSERT|"
    r"Internal Error|Singular matrix|SVD|nan encountered|division by zero|dtype|"
    r"Overflow|MemoryError|Unable to allocate|codec can't|numpy|array must|std::|boost",
    re.IGNORECASE,
)
"""Words that say nothing about the input."""

LARGEST = 1e18
"""No number in a result is larger."""


@dataclass(frozen=True)
class Outcome:
    """
    How one run ended.

    Attributes:
        status: Exit status; less than 0 for a signal.
        said: Standard error.
        seconds: It took.
        fault: What is wrong with it; empty where it is right.
    """

    status: int
    said: str
    seconds: float
    fault: str


def simulate(folder: Path) -> None:
    """Make three crystals of glycine, unscaled."""
    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.noise import NoiseModel
    from dials_spread.structures.structure_files import read_structure

    experiments, reflections = simulate_experiments(
        read_structure("glycine"),
        np.random.default_rng(1),
        n_crystals=3,
        d_min=1.1,
        scan_width=40.0,
        wave="kinematic",
        noise=NoiseModel(image_spread=0.05, extra_error=0.1),
    )
    experiments.as_file(folder / "good.expt")
    reflections.as_msgpack_file(str(folder / "good.refl"))


def listing(folder: Path) -> dict[str, str]:
    """What lies in a folder and below: names, and what is inside."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        regular = path.is_file() and not path.is_symlink()
        found[name] = hashlib.sha1(path.read_bytes()).hexdigest() if regular else "-"
    return found


def run_forked(run: Callable, arguments: Sequence[str], limit: float) -> Outcome:
    """Run a command in a process of its own, in the working folder."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            _child(run, arguments, out.fileno(), err.fileno())
        while True:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                break
            if time.monotonic() - begin > limit:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return Outcome(-9, "", time.monotonic() - begin, "hangs")
            time.sleep(0.01)
        err.seek(0)
        said = err.read().decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(status)
    return Outcome(code, said, time.monotonic() - begin, "")


def _child(run: Callable, arguments: Sequence[str], out: int, err: int) -> None:
    """Be the process: run, tell errors as a shell would see them, and leave."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, 2**30))
    code = 0
    try:
        run(list(arguments))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
        if isinstance(error.code, str):
            os.write(2, error.code.encode("utf-8", "replace"))
    except BaseException as error:
        code = 1
        told = f"Sorry: {error}\n"
        if type(error).__name__ != "Sorry":
            told = traceback.format_exc()
        os.write(2, told.encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _warm(run: Callable, arguments: Sequence[str], root: Path) -> None:
    """Run once here, on sound input, so that no process needs to load the same again."""
    folder = root / "warm"
    folder.mkdir()
    os.chdir(folder)
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        run(list(arguments))
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.chdir(root)
        shutil.rmtree(folder)


def judge(outcome: Outcome, before: dict, after: dict, folder: Path) -> str:
    """Say what is wrong with a run; nothing where it is right."""
    if any("run_by" in name for name in after):
        return "ran code of the input"
    if outcome.fault:
        return outcome.fault
    if outcome.status < 0:
        return f"killed by signal {-outcome.status}"
    if "Traceback (most" in outcome.said:
        return "traceback"
    if outcome.status == 0:
        return _judge_results(folder, before, after)
    if outcome.status != 1:
        return f"exit status {outcome.status}"
    if before != after:
        return "refused, but files are changed"
    lines = [x for x in outcome.said.splitlines() if x.strip()]
    if not lines:
        return "no message"
    vague = VAGUE.search(outcome.said)
    return f"vague message ({vague.group()})" if vague else ""


def _judge_results(folder: Path, before: dict, after: dict) -> str:
    for name in after:
        if before.get(name) == after[name] or not (folder / name).is_file():
            continue
        path = folder / name
        if name in before and name.startswith(("case", "copy")):
            return "an input is changed"
        if name.endswith(".json"):
            try:
                _check_numbers(json.loads(path.read_text(), parse_constant=_refuse))
            except ValueError as error:
                return f"nonsense in the JSON file ({error})"
        if name.endswith(".refl"):
            wrong = _wrong_table(path)
            if wrong:
                return wrong
    return ""


def _refuse(name: str):
    raise ValueError(name)


def _check_numbers(value) -> None:
    if isinstance(value, dict):
        value = [v for k, v in value.items() if k != "parameters"]
    if isinstance(value, list):
        for inner in value:
            _check_numbers(inner)
    elif isinstance(value, float) and not (
        math.isfinite(value) and abs(value) < LARGEST
    ):
        raise ValueError(f"{value:g}")


def _wrong_table(path: Path) -> str:
    try:
        table = flex.reflection_table.from_msgpack_file(str(path))
    except RuntimeError:
        return "a table that cannot be read"
    if "ml_correction" in table:
        factor = table["ml_correction"].as_numpy_array()
        if not np.all(np.isfinite(factor) & (factor >= 0) & (factor < 1e6)):
            return "correction factors that are none"
    names = [n for n in table.keys() if n.startswith("intensity.") and "value" in n]
    used = table["id"].as_numpy_array() >= 0
    for name in names:
        if not isinstance(table[name], flex.double):
            continue
        values = table[name].as_numpy_array()[used]
        values = values[np.isfinite(values)]
        if len(values) and np.abs(values).max() > LARGEST:
            return f"a table with {name} of {np.abs(values).max():g}"
    return ""


def one_input(
    number: int, kinds: Sequence, base: tuple, args: list[str], phil, seed: int
) -> tuple[str, list[str]]:
    """Spoil an input in the working folder; give the kind and the arguments."""
    rng = np.random.default_rng([seed, number])
    kind = kinds[number % len(kinds)]
    document, table = base
    whole = table.select(flex.bool(len(table), True))
    case = Case(whole, copy.deepcopy(document), list(args), phil)
    kind(rng, case)
    return kind.__name__, case.write()


def campaign(
    program: str,
    numbers: range,
    seed: int,
    kinds: Sequence,
    compare: bool,
    limit: float,
) -> list[tuple[str, str, Outcome]]:
    """
    Run a program on many inputs, and others on the same.

    Returns:
        The program, the kind of fault, and how the run ended.
    """
    module = importlib.import_module(f"dials_spread.command_line.{program}")
    runs = {program: (module.run, PROGRAMS[program])}
    if compare:
        for other, args in OTHERS.items():
            found = importlib.import_module(f"dials.command_line.{other}")
            runs[other] = (found.run, args)
    results = []
    with tempfile.TemporaryDirectory() as root:
        simulate(Path(root))
        base = (
            json.loads((Path(root) / "good.expt").read_text()),
            flex.reflection_table.from_msgpack_file(f"{root}/good.refl"),
        )
        for run, args in runs.values():
            _warm(run, [f"{root}/good.expt", f"{root}/good.refl", *args], Path(root))
        for number in numbers:
            for name, (run, args) in runs.items():
                folder = Path(root) / f"{number}"
                folder.mkdir()
                os.chdir(folder)
                kind, words = one_input(
                    number, kinds, base, args, module.phil_scope, seed
                )
                before = listing(folder)
                outcome = run_forked(run, words, limit)
                fault = judge(outcome, before, listing(folder), folder)
                if name in OTHERS and not fault.startswith(("trace", "kill", "hang")):
                    fault = ""
                outcome = Outcome(*list(vars(outcome).values())[:3], fault)
                results.append((name, kind, outcome))
                if fault:
                    last = [x for x in outcome.said.splitlines() if x.strip()][-1:]
                    print(f"{name} {number} {kind}: {fault} | {''.join(last)[:160]}")
                    sys.stdout.flush()
                os.chdir(root)
                shutil.rmtree(folder)
    return results


def show(results: Sequence[tuple[str, str, Outcome]]) -> None:
    """Print how many fall short, by program and by kind."""
    for program in dict.fromkeys(name for name, _, _ in results):
        own = [(kind, o) for name, kind, o in results if name == program]
        short = [(kind, o.fault) for kind, o in own if o.fault]
        well = sum(o.status == 0 and not o.fault for _, o in own)
        print(
            f"\n{program}: {len(own)} inputs, {len(short)} fall short, "
            f"{sum('traceback' == f for _, f in short)} of these tracebacks; "
            f"{well} with a valid result; {sum(o.seconds for _, o in own):.0f} s"
        )
        for (kind, fault), count in collections.Counter(short).most_common():
            print(f"  {count:4d} {kind}: {fault}")


def main() -> None:
    """Run a campaign and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--program", choices=[*PROGRAMS], default="compare_images")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", help="names of kinds; all by default")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--limit", type=float, default=SECONDS, help="seconds a run")
    options = parser.parse_args()
    kinds = (*TABLE, *MODEL, *FILE) if options.compare else KINDS
    if options.kinds:
        kinds = [
            k for k in (*TABLE, *MODEL, *FILE, *ARGUMENT) if k.__name__ in options.kinds
        ]
    show(
        campaign(
            *(options.program, range(options.first, options.first + options.inputs)),
            *(options.seed, kinds, options.compare, options.limit),
        )
    )


if __name__ == "__main__":
    main()
