"""
One run of dials.ml_correct on data of xia2.multiplex.

It runs as a program of its own, as all steps of xia2.multiplex do: with its own log and
memory, and with the number that xia2 gives to its files.

Functions:
    correct: tables in, corrected tables out, with what the program said
    problem_of_data: why data will not be corrected, before anything is done
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.correction.apply.corrected_rows import (
    forget_overwritten,
    with_corrected_part,
)
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.one_table import check_uncorrected
from dials_spread.multiplex.arguments import CorrectionPlan, in_words_of_xia2
from dials_spread.observations.right_factors import with_right_rows
from dials_spread.processes import run_program
from dials_spread.versions import probe

PROGRAM = "dials.ml_correct"
MODULE = "dials_spread.command_line.ml_correct"

FILES_OF_STEP = {
    **{"experiments": "uncorrected.expt", "reflections": "uncorrected.refl"},
    **{"corrected": "corrected.refl", "log": f"{PROGRAM}.log"},
    **{"json": f"{PROGRAM}.json", "html": f"{PROGRAM}.html"},
    **{"refined": "refined.res"},
}
"""What one run reads and writes; xia2's number comes before each name."""


@dataclass(frozen=True)
class CorrectionStep:
    """
    What one run of dials.ml_correct gave.

    Attributes:
        dataset: What was corrected, as xia2.multiplex calls it.
        placement: "before" or "after" scaling.
        seconds: Time it took.
        refused: Why nothing was corrected; empty where it was.
        html: Path of the report; None where there is none.
        text: The log.
        document: The JSON document; empty where nothing was corrected.
    """

    dataset: str
    placement: str
    seconds: float
    refused: str = ""
    html: Path | None = None
    text: str = field(default="", repr=False)
    document: Mapping = field(default_factory=dict, repr=False)

    @property
    def sentences(self) -> list[str]:
        """What is to be read first."""
        if self.refused:
            return [f"Not corrected: {self.refused}"]
        verdict = self.document["verdict"]
        warnings = self.document["correction"]["warnings"]
        told = [*verdict["reasons"], *(f"Warning: {warning}" for warning in warnings)]
        return [verdict["headline"], *map(in_words_of_xia2, told)]


def problem_of_data(
    experiments: ExperimentList, table: flex.reflection_table, plan: CorrectionPlan
) -> str:
    """
    Say why data are not corrected at all; to be asked before anything is done.

    Args:
        experiments: All of them.
        table: Their reflections.
        plan: What was chosen.

    Returns:
        The reason in one line; empty where there is none.
    """
    if plan.placement == "none":
        return ""
    others = sorted({probe(e.beam) for e in experiments} - {"electrons"})
    if others and not plan.force:
        wavelength = np.median([e.beam.get_wavelength() for e in experiments])
        return (
            f"The data are of {' and '.join(others)} (wavelength {wavelength:.4f} Å), and "
            "the correction is for electrons. correct.force=True corrects them all the "
            "same; correct.placement=none runs xia2.multiplex without it"
        )
    try:
        choose_model(plan.method, plan.model)
        check_uncorrected(table)
    except (ValueError, OSError) as error:
        return in_words_of_xia2(str(error))
    return ""


def correct(
    experiments: ExperimentList,
    table: flex.reflection_table,
    plan: CorrectionPlan,
    *,
    dataset: str,
    placement: str,
    number: int = 1,
    d_min: float | None = None,
    nproc: int = 1,
) -> tuple[flex.reflection_table, CorrectionStep]:
    """
    Run dials.ml_correct in the current folder.

    Args:
        experiments: Of one space group; they are not changed.
        table: Their reflections, scaled or not; not changed.
        plan: What was chosen.
        dataset: What these data are called.
        placement: "before" or "after" scaling.
        number: Names of files begin with it.
        d_min: Only reflections with at least this d [Å] are corrected; others have the
            factor 1. None corrects all.
        nproc: Threads, where the plan says nothing of them.

    Returns:
        The table with corrected intensities, the same rows in the same order; and what
        the program said. Where it refused, the table as it was.
    """
    table = forget_overwritten(table)
    if (
        placement == "before"
    ):  # what xia2 goes on with has the right factors in all rows
        table = with_right_rows(experiments, table)
    inside = cctbx_flex.bool(len(table), True)
    if d_min:
        inside = _spacings(experiments, table) >= d_min
    files = {k: Path.cwd() / f"{number}_{name}" for k, name in FILES_OF_STEP.items()}
    experiments.as_file(str(files["experiments"]))
    table.select(inside).as_file(str(files["reflections"]))
    start = time.monotonic()
    found = _run(_arguments(table, plan, placement, files, nproc))
    seconds = time.monotonic() - start
    if found.returncode:
        refused = in_words_of_xia2(_reason(found.stderr or found.stdout))
        return table, CorrectionStep(dataset, placement, seconds, refused)
    part = flex.reflection_table.from_file(str(files["corrected"]))
    corrected = with_corrected_part(table, inside, part)
    corrected.as_file(str(files["corrected"]))
    return corrected, CorrectionStep(
        dataset,
        placement,
        seconds,
        html=files["html"],
        text=files["log"].read_text(encoding="utf-8"),
        document=json.loads(files["json"].read_text(encoding="utf-8")),
    )


def _run(arguments: Sequence[str]) -> subprocess.CompletedProcess:
    return run_program(
        [sys.executable, "-m", MODULE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def _spacings(
    experiments: ExperimentList, table: flex.reflection_table
) -> cctbx_flex.double:
    """Give d [Å] of each reflection."""
    if "d" not in table:
        table = table.select(cctbx_flex.bool(len(table), True))
        table.compute_d(experiments)
    return table["d"]


def _arguments(
    table: flex.reflection_table,
    plan: CorrectionPlan,
    placement: str,
    files: Mapping[str, Path],
    nproc: int,
) -> list[str]:
    """Give the arguments of dials.ml_correct."""
    args = [str(files["experiments"]), str(files["reflections"]), *plan.arguments]
    if placement == "before" and plan.intensity == "auto":
        # Scales of an earlier run are lost when xia2.multiplex scales again.
        if "intensity.scale.value" in table:
            kind = "profile" if "intensity.prf.value" in table else "sum"
            args.append(f"intensity={kind}")
    # Where a structure is written each run has files of its own.
    structure = any(argument.startswith("structure=") for argument in plan.arguments)
    once = "cycles=1" in plan.arguments and "structure=solve" not in plan.arguments
    if structure and not once:
        args.append(f"output.refined={files['refined']}")
    return [
        *args,
        f"nproc={plan.nproc or nproc}",
        "output.experiments=None",
        f"output.reflections={files['corrected']}",
        *(f"output.{name}={files[name]}" for name in ("log", "json", "html")),
    ]


def _reason(text: str) -> str:
    """Take the reason of a failure from what the program printed."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    starts = [k for k, line in enumerate(lines) if line.startswith("Sorry:")]
    told: Sequence[str] = lines[-1:]
    if starts:
        told = [lines[starts[-1]][len("Sorry:") :].strip(), *lines[starts[-1] + 1 :]]
    return " ".join(told) or f"{PROGRAM} failed and said nothing"
