"""
The real programs, run side by side, and their results kept.

Each step runs in a folder of its own. What it was made from (content of the input files,
parameters, versions) is written beside its result once it is complete, so that a second
run of the command finds it and a broken one is not taken for a result.

Functions:
    run_steps: as many at once as there are cores
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dials.util.version import dials_version

import dials_spread
from dials_spread.output_files import write_text
from dials_spread.placement.branches import ProgramRun
from dials_spread.processes import start_program
from dials_spread.staging import clear_leftovers

logger = logging.getLogger("dials.spread.placement")

KEPT = "made_from.json"
"""Written last into the folder of a step."""

LAST_LINES = 6
"""Lines shown of a program that fails."""


@dataclass(frozen=True)
class StepResult:
    """
    What came of one program.

    Attributes:
        step: The step.
        folder: Where it ran.
        seconds: It took; as kept, where it was reused.
        reused: Whether the result of an earlier run was taken.
        failed: Last lines of what it printed; empty for success.
        skipped: It was not needed.
    """

    step: ProgramRun
    folder: Path
    seconds: float
    reused: bool
    failed: str
    skipped: bool = False

    @property
    def files(self) -> tuple[Path, Path]:
        """Experiments and reflections."""
        experiments, reflections = self.step.files
        return self.folder / experiments, self.folder / reflections

    def as_dict(self) -> dict:
        """Describe the run in what JSON can hold."""
        return {
            "step": self.step.name,
            "program": self.step.program,
            "arguments": list(self.step.arguments),
            "seconds": round(self.seconds, 2),
            "reused": self.reused,
            "failed": self.failed or None,
            "skipped": self.skipped,
        }


def digest(files: Sequence[Path | str]) -> str:
    """Give the SHA-256 of the contents of files, in their order."""
    total = hashlib.sha256()
    for name in files:
        total.update(hashlib.sha256(Path(name).read_bytes()).digest())
    return total.hexdigest()


def run_steps(
    steps: Sequence[ProgramRun],
    inputs: Sequence[str],
    folder: Path,
    nproc: int,
    tell: Callable[[StepResult], None],
    needless: Callable[[str, StepResult | None], bool] = lambda name, before: False,
) -> dict[str, StepResult]:
    """
    Run programs side by side, each as soon as its input is there.

    Args:
        steps: In an order in which they can be run.
        inputs: Experiment and reflection files.
        folder: Made where it does not exist; one sub-folder a step.
        nproc: Programs at once.
        tell: Called with each result.
        needless: Says, from the name of a step and the result that it needs, whether it
            is not needed.

    Returns:
        Results by the name of the step. A step whose input failed is not run, and
        failed with it.
    """
    done: dict[str, StepResult] = {}
    # Programs run in folders of their own: names must not depend on where that is.
    folder = folder.resolve()
    waiting = [*steps]
    running: dict[Future[StepResult], ProgramRun] = {}
    given = [Path(name).resolve() for name in inputs]
    started: set[subprocess.Popen] = set()
    with ThreadPoolExecutor(max(nproc, 1)) as pool, _ended_with_us(pool, started):
        while waiting or running:
            for step in [s for s in waiting if not s.needs or s.needs in done]:
                waiting.remove(step)
                before = done.get(step.needs)
                if before is not None and before.failed:
                    done[step.name] = _not_run(step, folder, failed=before.failed)
                elif needless(step.name, before):
                    done[step.name] = _not_run(step, folder, skipped=True)
                if step.name in done:
                    tell(done[step.name])
                    continue
                files = given if before is None else [*before.files]
                running[pool.submit(_run, step, files, folder / step.name, started)] = (
                    step
                )
            if not running:
                continue
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                done[running.pop(future).name] = future.result()
                tell(future.result())
    return done


@contextmanager
def _ended_with_us(
    pool: ThreadPoolExecutor, started: set[subprocess.Popen]
) -> Iterator[None]:
    """Where we are interrupted, start no further program and end those that run."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for program in [*started]:
            program.terminate()
        raise


def _not_run(
    step: ProgramRun, folder: Path, failed: str = "", skipped: bool = False
) -> StepResult:
    return StepResult(step, folder / step.name, 0.0, False, failed, skipped)


def _made_from(step: ProgramRun, files: Sequence[Path]) -> dict:
    """Tell all that the result depends on."""
    named = [a.split("=", 1)[1] for a in step.arguments if "=" in a]
    more = [Path(name) for name in named if os.path.isfile(name)]
    return {
        "program": step.program,
        "arguments": list(step.arguments),
        "input": digest([*files, *more]),
        "dials": dials_version(),
        "dials_spread": dials_spread.__version__,
        "code": _code_digest() if step.program == "dials.ml_correct" else None,
    }


def _code_digest() -> str:
    """Give the checksum of this package: a changed correction is another correction."""
    root = Path(dials_spread.__file__).parent
    return digest(sorted(root.rglob("*.py")) + sorted(root.rglob("*.safetensors")))


def _run(
    step: ProgramRun,
    files: Sequence[Path],
    folder: Path,
    started: set[subprocess.Popen],
) -> StepResult:
    """Run one program, or take what an earlier run left."""
    # A run that was killed just as it wrote what is kept; nobody writes there again.
    clear_leftovers(str(folder))
    made_from, kept = _made_from(step, files), folder / KEPT
    if kept.is_file():
        told = json.loads(kept.read_text(encoding="utf-8"))
        there = all((folder / name).is_file() for name in step.files)
        if told.get("made_from") == made_from and there:
            return StepResult(step, folder, told["seconds"], True, "")
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    start = time.monotonic()
    command = [step.program, *map(str, files), *step.arguments]
    problem = _call(command, folder, started)
    if not problem and not all((folder / name).is_file() for name in step.files):
        problem = f"{step.program} wrote no {' or '.join(step.files)}"
    seconds = time.monotonic() - start
    if not problem:
        text = json.dumps({"made_from": made_from, "seconds": seconds}, indent=1)
        write_text(kept, text + "\n")
    return StepResult(step, folder, seconds, False, problem)


def _call(command: Sequence[str], folder: Path, started: set[subprocess.Popen]) -> str:
    """Run a command with its output in a file; give its last lines where it fails."""
    # The programs of this environment lie beside its Python, active or not.
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    printed = folder / "printed.txt"
    with printed.open("w", encoding="utf-8") as output:
        try:
            program = start_program(
                command, cwd=folder, stdout=output, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env={**os.environ, "PATH": beside},
            )  # fmt: skip
            started.add(program)
            code = program.wait()
            started.discard(program)
        except OSError as error:
            return f"{command[0]} cannot be run: {error.strerror}"
    if not code:
        return ""
    lines = [x for x in printed.read_text(encoding="utf-8").splitlines() if x.strip()]
    return "\n".join(lines[-LAST_LINES:]) or f"{command[0]} ended with status {code}"
