"""
How many modules an intensity goes through from the table read to the table written.

    python benchmarks/way_of_an_intensity.py [integrated.expt integrated.refl]

Without files those of quartz below the folder DIALS_SPREAD_DATA are taken; without that
folder a small set is simulated. dials.ml_correct is run with its defaults, and every call
of a function of this package is looked at, from the moment the files are read to the
moment the first file is written.

What is counted:

- A call *hands on intensities* where its result is, or holds, a reflection table or an
  array of floating-point numbers with one for each row of the table, each observation or
  each unique reflection. Tuples, lists, dictionaries and attributes are looked into, two
  levels deep. Methods and inner functions count as their module's.
- *Modules entered*: those with at least one such call, without ``report``, whose
  modules put results into words after the correction, and without what these call.
- *Back up*: modules are put in the order in which they are first entered. Where one was
  called by the module that was entered just before, the reader goes on downwards; where
  not, the reader has to go back up to an earlier module first. These are counted; the
  command itself, which nothing calls, is not.

To compare with another checkout, name it in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

import dials_spread
from dials_spread.observations import build_observations

ROOT = Path(dials_spread.__file__).parent
"""Modules below this folder are looked at."""

DEPTH = 2
"""How deep tuples, lists, dictionaries and attributes are looked into."""

LEFT_OUT = ("report",)
"""Folders that only tell what was found."""

FIRST, LAST = "read_files", "write_together"
"""Functions with which the way begins and ends."""


def holds(value: object, lengths: Collection[int], depth: int = DEPTH) -> bool:
    """Say whether a value is, or holds, numbers of rows, observations or reflections."""
    if isinstance(value, flex.reflection_table):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.ndim > 0 and len(value) in lengths
    if not depth:
        return False
    if isinstance(value, (tuple, list)):
        parts = list(value[:20])
    elif isinstance(value, dict):
        parts = list(value.values())
    else:
        parts = list(getattr(value, "__dict__", {}).values())
    return any(holds(part, lengths, depth - 1) for part in parts)


@dataclass
class Way:
    """
    The modules that were entered.

    Attributes:
        lengths: Numbers of rows, of observations and of unique reflections.
        called: Each module in the order of first calls, and the module that called it.
        handing_on: Functions that handed on intensities, by module.
        on: Whether the way has begun and not ended.
    """

    lengths: Collection[int]
    called: dict[str, str] = field(default_factory=dict)
    handing_on: dict[str, set[str]] = field(default_factory=dict)
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
            if module not in self.called and not for_a_report(frame):
                self.called[module] = caller_of(frame, module)
        elif holds(value, self.lengths) and not for_a_report(frame):
            self.handing_on.setdefault(module, set()).add(name)

    @property
    def entered(self) -> dict[str, str]:
        """Modules that handed on intensities, and which module called each first."""
        return {m: c for m, c in self.called.items() if m in self.handing_on}

    def back_up(self) -> list[str]:
        """List the modules that were not called by the one entered just before."""
        entered = self.entered
        names = list(entered)
        return [n for n, b in zip(names[1:], names) if entered[n] not in ("", b)]


def module_of(frame: FrameType) -> str | None:
    """Name the module of a function within this package; None for others."""
    filename = frame.f_code.co_filename
    if not filename.startswith(str(ROOT)):
        return None
    parts = Path(filename).relative_to(ROOT).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


def for_a_report(frame: FrameType) -> bool:
    """Say whether a call was made, directly or not, by one of the folders left out."""
    above = frame.f_back
    while above is not None:
        if (module_of(above) or "").split(".")[0] in LEFT_OUT:
            return True
        above = above.f_back
    return False


def caller_of(frame: FrameType, module: str) -> str:
    """Name the nearest other module of this package that called."""
    above = frame.f_back
    while above is not None:
        name = module_of(above)
        if name not in (None, module):
            return str(name)
        above = above.f_back
    return ""


def lengths_of(expt: str, refl: str) -> set[int]:
    """Count rows, observations and unique reflections."""
    experiments = ExperimentListFactory.from_json_file(expt, check_format=False)
    table = flex.reflection_table.from_file(refl)
    parts = [table.select(table["id"] == k) for k in range(len(experiments))]
    observations = build_observations(experiments, parts)
    return {len(table), len(observations), len(observations.unique_index)}


def follow_correction(expt: str, refl: str, folder: str) -> Way:
    """Run dials.ml_correct in a folder."""
    from dials_spread.command_line.ml_correct import run

    way = Way(lengths_of(expt, refl))
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
        way = follow_correction(*map(os.path.abspath, files), folder)
    back = set(way.back_up())
    for number, (module, caller) in enumerate(way.entered.items(), 1):
        told = f"back up to {caller}" if module in back else ""
        sys.stdout.write(f"{number:3d} {module:40s} {told}\n")
    sys.stdout.write(f"{len(way.entered)} modules entered, {len(back)} times back up\n")


if __name__ == "__main__":
    main()
