"""
Memory that each stage of a command holds at its peak, in bytes an observation.

    python benchmarks/memory_of_stages.py compare_images|ml_correct EXPT REFL [more ...]

tracemalloc counts what Python and numpy ask for (not what DIALS and numba do in C++ and
compiled code, such as reflection tables); it makes the run two to four times as long. Stages
are those that a terminal shows (dials_spread/stages.py). Tables of a stage that was met
several times are those of its largest peak.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import sys
import tempfile
import tracemalloc
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tabulate import tabulate

from dials_spread import stages


class Recorder:
    """Stands where stages are shown, and asks for the peak of each."""

    def __init__(self) -> None:
        self.stages: list = []
        self.before: list[int] = []
        self.peaks: list[int] = []
        self.found: dict[str, tuple[int, int]] = {}

    def is_mine(self) -> bool:
        return True

    def is_counting(self) -> bool:
        return False

    def begin(self, one) -> None:
        """A stage begins."""
        self.look()
        self.stages.append(one)
        self.before.append(tracemalloc.get_traced_memory()[0])
        self.peaks.append(0)
        tracemalloc.reset_peak()

    def look(self) -> None:
        """Give the peak so far to all stages that go on."""
        peak = tracemalloc.get_traced_memory()[1]
        self.peaks = [max(p, peak) for p in self.peaks]

    def end(self, one, failed: bool) -> None:
        """It ends."""
        self.look()
        self.stages.remove(one)
        peak, before = self.peaks.pop(), self.before.pop()
        if peak > self.found.get(one.name, (0, 0))[1]:
            self.found[one.name] = before, peak
        tracemalloc.reset_peak()


def main() -> None:
    """Run the command in a folder of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("command", choices=["compare_images", "ml_correct"])
    parser.add_argument("more", nargs="+")
    given = parser.parse_args()
    more = [os.path.abspath(m) if os.path.exists(m) else m for m in given.more]
    run = importlib.import_module(f"dials_spread.command_line.{given.command}").run
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        recorder = Recorder()
        stages._line = recorder
        tracemalloc.start(1)
        run(more)
        n = json.loads(Path(f"dials.{given.command}.json").read_text())["input"]
        os.chdir("/")
    n = n["observations"]
    rows = [
        (name, before / n, peak / n) for name, (before, peak) in recorder.found.items()
    ]
    print(f"{n} observations; bytes of each:")
    print(tabulate(rows, ("Stage", "at its beginning", "peak"), floatfmt=".0f"))
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"The whole process, with tracemalloc's own tables: {whole / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
