"""
What the commands do with spoiled input, beside dials.scale and dials.symmetry.

    python benchmarks/faults.py --inputs 1000 --program compare_images
    python benchmarks/faults.py --inputs 200 --program ml_correct --compare
    python benchmarks/faults.py --inputs 200 --program with_structure

with_structure is dials.ml_correct with a provisional structure, solved with structure=solve.

Three simulated crystals of glycine, their structure, or a file as PETS2 writes it are
spoiled in one way each time (fault_kinds.py, further_fault_kinds.py, text_fault_kinds.py),
chosen at random from a seed, and given to the command in a process of its own, with limits
of memory and time. Right is

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
import importlib.util
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

import fault_kinds as first  # noqa: E402
import further_fault_kinds as further  # noqa: E402
from fault_kinds import Case  # noqa: E402
from text_fault_kinds import TEXT  # noqa: E402

from dials.array_family import flex  # noqa: E402
from dxtbx.model.experiment_list import ExperimentListFactory  # noqa: E402

PROGRAMS = {
    "compare_images": ["likelihood.permutations=99", "n_pairs_shown=1"],
    "ml_correct": [],
    "with_structure": ["structure=case.cif", "nproc=1"],
    "solved": ["structure=solve", "solution.starts=40", "nproc=1"],
    "simulate_ed": ["structure=glycine", "measured.d_min=1.5", "nproc=1"],
    "import_pets": [],
    "compare_placement": [
        *("structure=glycine", "refinement.enable=False", "solution.enable=False"),
        *("shelx=False", "resampling.draws=20", "nproc=1", "scale.model=KB"),
    ],
}
"""What each is given beside files."""

MODULES = {"with_structure": "ml_correct", "solved": "ml_correct"}
"""Commands that are tried under another name, too."""

ALONE = [
    *("n_crystals=1", "d_min=1.5", "scan_width=10", "wave=kinematic", "nproc=1"),
]
"""What dials.simulate_ed is given for a structure without crystals."""

CIF = Path(__file__).resolve().parents[1] / "dials_spread/structures/data/glycine.cif"

FOLDERS = ("compare_placement",)
"""Where programs that had ended stay on purpose, whatever comes after."""

GLYCINE = """\
TITL alpha-glycine
CELL 0.0251 5.089 11.812 5.467 90 112.006 90
ZERR 4 0.001 0.001 0.001 0 0.01 0
LATT 1
SYMM 0.5-X, 0.5+Y, 0.5-Z
SFAC C H N O
UNIT 8 20 4 8
WGHT 0.1
FVAR 1.0 0.5
MOVE 0 0 0 1
C1 1 0.4392 0.1465 0.7148 11.0 0.024
PART 1
C2 1 0.4265 0.1268 0.4337 11.0 0.020 0.021 =
  0.019 0.001 0.002 0.001
PART 0
N1 3 0.2031 0.0886 0.7593 11.0 0.020
AFIX 43
H1 2 0.419 0.238 0.730 21.0 -1.2
AFIX 0
O1 4 0.311 0.095 0.237 11.0 0.03
HKLF 4
END
"""

OTHERS = {"scale": ["output.html=None"], "symmetry": ["output.html=None"]}

MEMORY = 6 * 2**30
"""[bytes], of addresses."""

SECONDS = 120
"""A run that computes longer hangs; sound input takes a few seconds."""

IDLE = 30
"""So does one whose processes all sleep for so long after that [s]."""

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
        if path.relative_to(folder).parts[0] in FOLDERS:
            continue
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
        look = busy = begin + limit
        while True:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                break
            if (now := time.monotonic()) > look:
                look, (computes, seconds) = now + 1, work_of(child)
                busy = now if computes else busy
                if seconds > limit or now > busy + IDLE:
                    os.killpg(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    return Outcome(-9, "", now - begin, "hangs")
            time.sleep(0.01)
        err.seek(0)
        said = err.read().decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(status)
    return Outcome(code, said, time.monotonic() - begin, "")


def work_of(session: int) -> tuple[bool, float]:
    """Say whether a process of a session computes, or waits to, and for how long [s]."""
    computes, ticks = False, 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(words[3]) == session:
            computes |= words[0] in "RD"
            ticks += sum(map(int, words[11:15]))
    return computes, ticks / os.sysconf("SC_CLK_TCK")


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
    if any(name.startswith("run_by") for name in after):
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
    # What another program says of itself is quoted, and its name told.
    vague = VAGUE.search(re.sub(r"dials\.scale failed .*", "", outcome.said))
    return f"vague message ({vague.group()})" if vague else ""


def _judge_results(folder: Path, before: dict, after: dict) -> str:
    for name in after:
        if before.get(name) == after[name] or not (folder / name).is_file():
            continue
        path = folder / name
        if name in before and name.startswith(("case", "copy")):
            return "an input is changed"
        if name.endswith((".json", ".expt")):
            try:
                # What was in a model and is of no use stays in it.
                given = [*folder.glob("*.expt")] if name.endswith(".expt") else []
                kept = any(
                    b"NaN" in _text(x) or b"Inf" in _text(x)
                    for x in given
                    if x.name in before
                )
                refuse = None if kept else _refuse
                found = json.loads(path.read_text(), parse_constant=refuse)
                if name.endswith(".json"):
                    _check_numbers(found)
                else:
                    ExperimentListFactory.from_dict(found, check_format=False)
            except Exception as error:
                return f"nonsense in {name} ({error})"
        if name.endswith(".refl"):
            wrong = _wrong_table(path)
            if wrong:
                return wrong
    return ""


def _text(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


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


def with_texts(program: str, pets: str) -> list[Callable]:
    """
    Give kinds of faults for a file of text that a program reads.

    Args:
        program: Its name.
        pets: A file as PETS2 writes it.

    Returns:
        Functions of a generator and a case, as other kinds; none where no such file is
        read.
    """

    def kind_of(fault: Callable) -> Callable:
        def kind(rng, case):
            name, text = "case.cif", CIF.read_text()
            if program == "import_pets":
                name, text = "case.cif_pets", pets
            elif rng.random() < 0.4:
                name, text = "case.ins", GLYCINE
            lines = text.split("\n")
            for _ in range(int(rng.choice([1, 1, 1, 3]))):
                lines = fault(rng, lines)
            case.texts[name] = "\n".join(lines)
            if program == "simulate_ed":
                case.table, case.expt, case.refl = None, [], []
                case.args = [f"structure={name}", *ALONE]
            elif program in ("compare_placement", "with_structure"):
                case.args = [
                    f"structure={name}" if x.startswith("structure") else x
                    for x in case.args
                ]
            elif program == "ml_correct":
                case.args = [*case.args, f"reference={name}"]

        kind.__name__ = fault.__name__
        return kind

    return (
        []
        if program in ("compare_images", "solved")
        else [kind_of(fault) for fault in TEXT]
    )


def kinds_for(program: str, only_files: bool, pets: str) -> list[Callable]:
    """
    Give the kinds of faults that mean something to a program.

    Args:
        program: Its name.
        only_files: None in arguments, so that other programs can be given the same.
        pets: A file as PETS2 writes it.
    """
    parts = first, further
    files = [kind for part in parts for kind in part.FILE]
    arguments = [kind for part in parts for kind in part.ARGUMENT]
    texts = with_texts(program, pets)
    if program == "import_pets":
        some = [
            k for k in files if k.__name__ in ("truncated", "flipped", "other_files")
        ]
        return [*(3 * texts), *some, *arguments]
    kinds = [k for part in parts for k in (*part.TABLE, *part.MODEL)] + files
    if program == "with_structure":
        texts = 4 * texts
    return kinds if only_files else [*kinds, *arguments, *texts]


@dataclass(frozen=True)
class Base:
    """
    What is spoiled.

    Attributes:
        document: Experiments.
        table: Their reflections.
        pets: A file as PETS2 writes it.
    """

    document: dict
    table: flex.reflection_table
    pets: str

    def case(self, program: str, args: list[str], phil) -> Case:
        """Give a copy of it, as a program takes it."""
        if program == "import_pets":
            case = Case(None, None, list(args), phil, ["case.cif_pets"], [])
            case.texts["case.cif_pets"] = self.pets
            return case
        whole = self.table.select(flex.bool(len(self.table), True))
        case = Case(whole, copy.deepcopy(self.document), list(args), phil)
        if program == "with_structure":
            case.texts["case.cif"] = CIF.read_text()
        return case


def make_base(folder: Path) -> Base:
    """Simulate what is spoiled."""
    simulate(folder)
    path = Path(__file__).resolve().parents[1] / "tests" / "pets" / "conftest.py"
    spec = importlib.util.spec_from_file_location("pets_files", path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return Base(
        json.loads((folder / "good.expt").read_text()),
        flex.reflection_table.from_msgpack_file(str(folder / "good.refl")),
        made.Made(np.linspace(-20, 20, 41)).text(),
    )


def one_input(
    number: int, kinds: Sequence, base: Base, args: list[str], phil, seed: int, program
) -> tuple[str, list[str]]:
    """Spoil an input in the working folder; give the kind and the arguments."""
    rng = np.random.default_rng([seed, number])
    kind = kinds[number % len(kinds)]
    case = base.case(program, args, phil)
    kind(rng, case)
    return kind.__name__, case.write()


def campaign(
    program: str,
    numbers: range,
    seed: int,
    wanted: Sequence[str] | None,
    compare: bool,
    limit: float,
) -> list[tuple[str, str, Outcome]]:
    """
    Run a program on many inputs, and others on the same.

    Returns:
        The program, the kind of fault, and how the run ended.
    """
    name = MODULES.get(program, program)
    module = importlib.import_module(f"dials_spread.command_line.{name}")
    runs = {program: (module.run, PROGRAMS[program])}
    if compare:
        for other, args in OTHERS.items():
            found = importlib.import_module(f"dials.command_line.{other}")
            runs[other] = (found.run, args)
    results = []
    with tempfile.TemporaryDirectory() as root:
        base = make_base(Path(root))
        kinds = kinds_for(program, compare, base.pets)
        if wanted:
            kinds = [k for k in kinds if k.__name__ in wanted]
        Path(root, "good.cif_pets").write_text(base.pets)
        for name, (run, args) in runs.items():
            good = (
                ["good.cif_pets"]
                if name == "import_pets"
                else ["good.expt", "good.refl"]
            )
            words = [x.replace("=case.cif", f"={CIF}") for x in args]
            _warm(run, [*(f"{root}/{x}" for x in good), *words], Path(root))
        for number in numbers:
            for name, (run, args) in runs.items():
                folder = Path(root) / f"{number}"
                folder.mkdir()
                os.chdir(folder)
                kind, words = one_input(
                    number, kinds, base, args, module.phil_scope, seed, program
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
    parser.add_argument(
        "--further", action="store_true", help="none of the first kinds"
    )
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--limit", type=float, default=SECONDS, help="seconds a run")
    options = parser.parse_args()
    if options.further:
        parts = (further.TABLE, further.MODEL, further.FILE, further.ARGUMENT, TEXT)
        options.kinds = [kind.__name__ for part in parts for kind in part]
    show(
        campaign(
            *(options.program, range(options.first, options.first + options.inputs)),
            *(options.seed, options.kinds, options.compare, options.limit),
        )
    )


if __name__ == "__main__":
    main()
