"""
SHELXT and SHELXL where they are on PATH: run them in a folder and read their figures.

Classes:
    ShelxlResult: of a refinement
    ShelxtResult: of a solution

Functions:
    find_program: where a program is
    missing_programs: one line on what is not there
    run_shelxl, run_shelxt: run one
    read_shelxl, read_shelxt: figures from the files they write
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from dials_spread.processes import run_program

PROGRAMS = ("shelxt", "shelxl")
TIMEOUT = 600.0
"""Seconds that a program may take."""

_NUMBER = r"(-?\d*\.?\d+)"


@dataclass(frozen=True)
class ShelxlResult:
    """
    Figures of a refinement; None where SHELXL did not print them.

    Attributes:
        r1: Of reflections with Fo > 4σ(Fo).
        n_strong: How many those are.
        r1_all: Of all reflections.
        n_all: How many.
        wr2: wR2 of all reflections.
        goodness_of_fit: S.
        n_parameters: Refined.
        n_restraints: Used.
        highest_peak: Of the difference map, in its own unit.
        deepest_hole: The same.
        max_shift: Largest shift / s.u. of the last cycle.
        error: Why there are no figures, in one line; None if all went well.
    """

    r1: float | None = None
    n_strong: int | None = None
    r1_all: float | None = None
    n_all: int | None = None
    wr2: float | None = None
    goodness_of_fit: float | None = None
    n_parameters: int | None = None
    n_restraints: int | None = None
    highest_peak: float | None = None
    deepest_hole: float | None = None
    max_shift: float | None = None
    error: str | None = None

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ShelxtResult:
    """
    Figures of the best solution; None where SHELXT did not print them.

    Attributes:
        space_group: As SHELXT spells it.
        r1: Of this solution.
        r_weak: Of the weakest reflections.
        alpha: How badly the phases fit the symmetry.
        formula: The elements that it assigned.
        res: The file with the atoms.
        error: Why there are no figures, in one line; None if all went well.
    """

    space_group: str | None = None
    r1: float | None = None
    r_weak: float | None = None
    alpha: float | None = None
    formula: str | None = None
    res: str | None = None
    error: str | None = None

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


def find_program(name: str) -> str | None:
    """Where a program is on PATH; None if it is not."""
    return shutil.which(name)


def missing_programs() -> str | None:
    """Say in one line which of the programs are not there; None if both are."""
    missing = [name for name in PROGRAMS if find_program(name) is None]
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{' and '.join(missing)} {verb} not on PATH: nothing is solved or refined with "
        f"{'it' if len(missing) == 1 else 'them'}. The .ins and .hkl files are written."
    )


def run_shelxl(
    folder: Path, stem: str, options: tuple[str, ...] = (), timeout: float = TIMEOUT
) -> ShelxlResult:
    """
    Refine with folder/stem.ins and folder/stem.hkl.

    Args:
        folder: Where the files are, and the results will be.
        stem: Their name without ending.
        options: Of the command line, as ("-b10000",).
        timeout: [s].
    """
    error = _run("shelxl", folder, stem, options, timeout)
    if error:
        return ShelxlResult(error=error)
    texts = [_text(folder / f"{stem}{ending}") for ending in (".res", ".lst")]
    return read_shelxl(*texts)


def run_shelxt(
    folder: Path, stem: str, options: tuple[str, ...] = (), timeout: float = TIMEOUT
) -> ShelxtResult:
    """Solve with folder/stem.ins and folder/stem.hkl; arguments as for `run_shelxl`."""
    for old in folder.glob(f"{stem}_[a-z].res"):
        old.unlink()
    error = _run("shelxt", folder, stem, options, timeout)
    if error:
        return ShelxtResult(error=error)
    # Solutions are called stem_a, stem_b, …, the best one first.
    best = folder / f"{stem}_a.res"
    return read_shelxt(_text(best), str(best) if best.is_file() else None)


def _run(
    name: str, folder: Path, stem: str, options: tuple[str, ...], timeout: float
) -> str | None:
    """Run a program; one line if that failed."""
    program = find_program(name)
    if program is None:
        return f"{name} is not on PATH"
    try:
        done = run_program(
            [program, stem, *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return f"{name} was stopped after {timeout:g} s"
    except OSError as error:
        return f"{name} cannot be run: {error.strerror}"
    output = done.stdout.decode("utf-8", "replace")
    (folder / f"{stem}.{name}.log").write_text(output, encoding="utf-8")
    starred = re.findall(r"^\s*\*\*\s*(.+?)\s*\*\*\s*$", output, re.MULTILINE)
    if done.returncode:
        told = starred[-1] if starred else _last_line(output)
        return f"{name} ended with exit status {done.returncode}: {told}"
    return None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _text(path: Path) -> str:
    """A file, which may not be there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _last(pattern: str, text: str) -> tuple[str, ...] | None:
    """The groups of the last match."""
    found = list(re.finditer(pattern, text))
    return found[-1].groups() if found else None


def read_shelxl(res: str, lst: str = "") -> ShelxlResult:
    """
    Read the figures that SHELXL writes at the end of the .res file.

    Args:
        res: Text of the .res file.
        lst: Text of the .lst file, for the shifts, and for an error.
    """
    figures = _last(
        rf"R1 =\s*{_NUMBER}\s+for\s+(\d+)\s+Fo > 4sig\(Fo\)\s+and\s+{_NUMBER}\s+"
        r"for all\s+(\d+)\s+data",
        res,
    )
    if figures is None:
        starred = re.findall(r"^\s*\*\*\s*(.+?)\s*\*\*\s*$", lst, re.MULTILINE)
        told = f" ({starred[-1]})" if starred else ""
        return ShelxlResult(error=f"SHELXL wrote no R1{told}")
    fit = _last(rf"wR2 =\s*{_NUMBER},\s*GooF = S =\s*{_NUMBER}", res)
    sizes = _last(r"(\d+)\s+parameters refined using\s+(\d+)\s+restraints", res)
    peaks = _last(
        rf"Highest difference peak\s+{_NUMBER},\s+deepest hole\s+{_NUMBER}", res
    )
    shift = _last(
        rf"Max(?:imum)?\.?\s+shift/(?:esd|error|su|s\.u\.)\s*=\s*{_NUMBER}", lst
    )
    shift = shift or _last(
        rf"Mean shift/(?:esd|su)\s*=\s*{_NUMBER}\s+Maximum\s*=\s*{_NUMBER}", lst
    )
    return ShelxlResult(
        r1=float(figures[0]),
        n_strong=int(figures[1]),
        r1_all=float(figures[2]),
        n_all=int(figures[3]),
        wr2=float(fit[0]) if fit else None,
        goodness_of_fit=float(fit[1]) if fit else None,
        n_parameters=int(sizes[0]) if sizes else None,
        n_restraints=int(sizes[1]) if sizes else None,
        highest_peak=float(peaks[0]) if peaks else None,
        deepest_hole=float(peaks[1]) if peaks else None,
        max_shift=abs(float(shift[-1])) if shift else None,
    )


def read_shelxt(res: str, name: str | None = None) -> ShelxtResult:
    """
    Read the remarks that SHELXT writes at the top of a solution.

    Args:
        res: Text of the .res file of the best solution, empty if there is none.
        name: Of that file.
    """
    found = _last(
        rf"REM SHELXT solution in\s+(.+?):?\s+R1\s+{_NUMBER},\s*Rweak\s+{_NUMBER},\s*"
        rf"Alpha\s+{_NUMBER}",
        res,
    )
    if found is None:
        return ShelxtResult(error="SHELXT found no solution")
    formula = _last(r"REM Formula found by SHELXT:\s*(.+)", res)
    return ShelxtResult(
        space_group=found[0].rstrip(":").strip(),
        r1=float(found[1]),
        r_weak=float(found[2]),
        alpha=float(found[3]),
        formula=" ".join(formula[0].split()) if formula else None,
        res=name,
    )
