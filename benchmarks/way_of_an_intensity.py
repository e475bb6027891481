"""
How many modules an intensity goes through from the table read to the table written.

    python benchmarks/way_of_an_intensity.py [integrated.expt integrated.refl]

Without files those of quartz below the folder DIALS_SPREAD_DATA are taken; without that
folder a small set is simulated. dials.ml_correct is run with its defaults, and every call
of a function of this package is looked at, from the moment the files are read to the
moment the first file is written.

What is counted:

- A call *carries intensities* where an argument or the result is, or holds, a reflection
  table or an array of floating-point numbers with at least 100 rows: one for each
  observation, unique reflection or row. Tuples, lists, dictionaries and attributes are
  looked into, two levels deep. Methods and inner functions count as their module's.
- *Modules entered*: those with at least one such call, without ``report``, whose
  modules put results into words after the correction.
- *Back up*: modules are put in the order in which they are first entered. Where one was
  called by the module that was entered just before, the reader goes on downwards; where
  not, the reader has to go back up to an earlier module first. These are counted.

To compare with another checkout, name it in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np

from dials.array_family import flex

import dials_spread

ROOT = Path(dials_spread.__file__).parent
"""Modules below this folder are looked at."""

FEWEST_ROWS = 100
"""Rows of an array that is one of observations or reflections."""

DEPTH = 2
"""How deep tuples, lists, dictionaries and attributes are looked into."""

LEFT_OUT = ("report",)
"""Folders that only tell what was found."""

FIRST, LAST = "read_files", "write_together"
"""Functions with which the way begins and ends."""


def carries(value: object, depth: int = DEPTH) -> bool:
    """Say whether a value is, or holds, intensities or what is made of them."""
    if isinstance(value, flex.reflection_table):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.ndim > 0 and len(value) >= FEWEST_ROWS
    if not depth:
        return False
    if isinstance(value, (tuple, list)):
        parts = list(value[:20])
    elif isinstance(value, dict):
        parts = list(value.values())
    else:
        parts = list(getattr(value, "__dict__", {}).values())
    return any(carries(part, depth - 1) for part in parts)


@dataclass
class Way:
    """
    The modules that were entered.

    Attributes:
        entered: Name of each module, and the module that called it first.
        functions: Functions that carried intensities, by module.
        on: Whether the way has begun and not ended.
    """

    entered: dict[str, str] = field(default_factory=dict)
    functions: dict[str, set[str]] = field(default_factory=dict)
    on: bool = False

    def follow(self, frame: FrameType, event: str, value: object) -> None:
        """Take part in every call and return, as sys.setprofile has it."""
        if event not in ("call", "return"):
            return
        module = module_of(frame)
        if module is None:
            return
        name = frame.f_code.co_name
        if event == "call" and name in (FIRST, LAST):
            self.on = name == FIRST
        if not self.on or module.split(".")[0] in LEFT_OUT:
            return
        if event == "call":
            count = frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount
            names = frame.f_code.co_varnames[: count + 2]
            held = tuple(frame.f_locals.get(n) for n in names)
        else:
            held = (value,)
        if carries(held, DEPTH + 1):
            # What only returns intensities was entered before those that it called.
            self._enter(frame, module)
            self.functions.setdefault(module, set()).add(name)

    def _enter(self, frame: FrameType, module: str) -> None:
        if module not in self.entered:
            self.entered[module] = caller_of(frame, module)

    def back_up(self) -> list[str]:
        """List the modules that were not called by the one entered just before."""
        names = list(self.entered)
        return [n for n, before in zip(names[1:], names) if self.entered[n] != before]


def module_of(frame: FrameType) -> str | None:
    """Name the module of a function within this package; None for others."""
    filename = frame.f_code.co_filename
    if not filename.startswith(str(ROOT)):
        return None
    parts = Path(filename).relative_to(ROOT).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


def caller_of(frame: FrameType, module: str) -> str:
    """Name the nearest other module of this package that called."""
    above = frame.f_back
    while above is not None:
        name = module_of(above)
        if name not in (None, module):
            return str(name)
        above = above.f_back
    return ""


def follow_correction(expt: str, refl: str, folder: str) -> Way:
    """Run dials.ml_correct in a folder."""
    from dials_spread.command_line.ml_correct import run

    way = Way()
    before = os.getcwd()
    os.chdir(folder)
    sys.setprofile(way.follow)
    try:
        run([expt, refl, "nproc=1", "output.html=None"])
    finally:
        sys.setprofile(None)
        os.chdir(before)
    return way


def simulated_files(folder: str) -> list[str]:
    """Write a small set of three crystals."""
    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.structures import random_structure

    structure = random_structure(np.random.default_rng(7))
    rng = np.random.default_rng(8)
    experiments, table = simulate_experiments(
        structure, rng, n_crystals=3, d_min=1.0, scan_width=50.0
    )
    names = [str(Path(folder) / f"simulated.{ending}") for ending in ("expt", "refl")]
    experiments.as_file(names[0])
    table.as_file(names[1])
    return names


def main() -> None:
    """Print the modules in order, and both counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("files", nargs="*", metavar="FILE")
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        shared = os.environ.get("DIALS_SPREAD_DATA")
        if not files and shared:
            path = Path(shared) / "quartz"
            files = [str(path / f"integrated.{e}") for e in ("expt", "refl")]
        elif not files:
            files = simulated_files(folder)
        way = follow_correction(*(os.path.abspath(f) for f in files), folder)
    back = set(way.back_up())
    for number, (module, caller) in enumerate(way.entered.items(), 1):
        told = f"back up to {caller}" if module in back else ""
        sys.stdout.write(f"{number:3d} {module:40s} {told}\n")
    sys.stdout.write(f"{len(way.entered)} modules entered, {len(back)} times back up\n")


if __name__ == "__main__":
    main()
