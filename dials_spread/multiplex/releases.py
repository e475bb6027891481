"""
All that is taken from xia2, and what differs between its releases.

Tried with 3.13.0; compared with the source of 3.12 to 3.29 and of main (July 2026), in which
the methods that are extended (driver) have the same names and are called in the same order:

- What runs everything is `MultiCrystalScale.__init__` until 3.24 and `run` since 3.26.
- xia2.cli.multiplex takes `MultiCrystalScale` from its module, or holds it itself.
- Main works in the folder Processing and sorts files in the end: what a step writes is
  announced to its file handler.

Functions:
    find_xia2: the parts, where xia2 is installed
    substituted: let names of modules stand for something else for a while
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dials_spread

MODULES = "xia2.Modules.MultiCrystal"

CITATION = {
    "acta": f"dials_spread developers (2026). dials_spread {dials_spread.__version__}: "
    "correction of electron-diffraction intensities for multiple scattering.",
    "bibtex": "@software{dials_spread,\n"
    'author = "{dials\\_spread developers}",\n'
    'title = "{dials\\_spread: the spread of equivalent reflections between crystals '
    'in 3D electron diffraction, and its correction}",\n'
    'year = "2026",\n'
    f'version = "{dials_spread.__version__}",\n'
    "}",
}
"""In the form of xia2's list: as in Acta Cryst., and for BibTeX."""

NOT_INSTALLED = (
    "xia2 is not installed in this environment ({}); xia2.multiplex_corrected runs "
    "xia2.multiplex. Install it beside DIALS (conda install -c conda-forge xia2), or use "
    "dials.ml_correct on its own"
)


@dataclass(frozen=True)
class Xia2:
    """
    The parts of xia2 that are used.

    Attributes:
        command: The module of the command xia2.multiplex, with `run` and `phil_scope`.
        scale_and_merge: The module of `MultiCrystalScale` and `Scale`.
        citations: What collects citations.
        bits: The module that numbers log files.
        timing: The module that records times.
        handler: What sorts files in the end; None in releases without it.
        version: Of xia2.
    """

    command: Any
    scale_and_merge: Any
    citations: Any
    bits: Any
    timing: Any
    handler: Any
    version: str

    def number(self) -> int:
        """Give the next number of a step's files."""
        return self.bits._get_number()

    def timed(self, name: str):
        """Give a context that records how long a step takes."""
        record = getattr(self.timing, "record_step", nullcontext)
        return record(name)

    def announce(self, number: int) -> None:
        """Tell the file handler of the files of a step, where there is one."""
        if self.handler is None:
            return
        for path in sorted(Path.cwd().glob(f"{number}_*")):
            logs = path.suffix in (".log", ".html", ".json")
            keep = self.handler.record_log_file if logs else None
            (keep or self.handler.record_optional_file)(str(path))

    def in_report(self, path: Path, report: Path) -> str:
        """Say where a log will be, seen from the report, when files are sorted."""
        if self.handler is None:
            return path.relative_to(report.parent).as_posix()
        folder = path.parent.relative_to(report.parent).as_posix()
        # The file handler knows clusters by the names of their folders.
        inside = f"{path.parent.name}/" if "_cluster_" in f"/{folder}" else ""
        return f"LogFiles/{inside}{path.name}"

    def cite(self) -> None:
        """Add the step to the citations of the run."""
        self.citations._citations.setdefault("dials.ml_correct", [dict(CITATION)])
        self.citations.cite("dials.ml_correct")
        self.citations.cite("dials")


def find_xia2() -> Xia2:
    """
    Import what is used of xia2.

    Raises:
        ValueError: xia2 is not installed, or not with the DIALS that is.
    """
    try:
        command = importlib.import_module("xia2.cli.multiplex")
        scale_and_merge = importlib.import_module(f"{MODULES}.ScaleAndMerge")
        citations = importlib.import_module("xia2.Handlers.Citations").Citations
        bits = importlib.import_module("xia2.lib.bits")
        timing = importlib.import_module("xia2.Driver.timing")
        version = importlib.import_module("xia2.XIA2Version").Version
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "xia2":
            raise ValueError(NOT_INSTALLED.format(error)) from None
        raise ValueError(f"xia2 cannot be loaded: {error}") from None
    except (ImportError, AttributeError) as error:
        # The wrong release: a phil scope or a function that this DIALS does not have.
        reason = " ".join(str(error).split())
        raise ValueError(
            f"xia2 is installed, but it is of another release than DIALS: {reason}"
        ) from None
    try:
        module = importlib.import_module(f"{MODULES}.MplxFileHandler")
        handler = module.MultiplexFileHandler
    except ModuleNotFoundError:
        handler = None
    return Xia2(command, scale_and_merge, citations, bits, timing, handler, version)


@contextmanager
def substituted(*names: tuple[Any, str, Any]) -> Iterator[None]:
    """
    Let names of modules stand for something else, in this process, for a while.

    Args:
        names: Module, name and what it is to stand for; names that a module does not
            have are left out.
    """
    there = [(m, name, new) for m, name, new in names if hasattr(m, name)]
    before = [(m, name, getattr(m, name)) for m, name, _ in there]
    try:
        for module, name, new in there:
            setattr(module, name, new)
        yield
    finally:
        for module, name, old in before:
            setattr(module, name, old)
