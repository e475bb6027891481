"""
The ways from integrated to merged intensities that are compared.

Functions:
    plan: the branches, and the programs that each runs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NONE, LORENTZ, BEFORE, AFTER, OWN = "none", "lorentz", "before", "after", "own"

MERGED = "merged"
"""Amplitudes as the correction itself merges them: shown beside the branches, as these
cannot be resampled."""

TITLES = {
    NONE: "no correction",
    LORENTZ: "Lorentz factor alone",
    BEFORE: "corrected before scaling",
    AFTER: "corrected after scaling",
    OWN: "own model, before scaling",
    MERGED: "merged by the correction",
}
"""How branches are called in sentences and tables."""

SCALED = ("scaled.expt", "scaled.refl")
CORRECTED = ("corrected.expt", "corrected.refl")


@dataclass(frozen=True)
class ProgramRun:
    """
    One run of a program.

    Attributes:
        name: Of its folder, such as "before/scale".
        program: "dials.scale" or "dials.ml_correct".
        arguments: Parameters.
        needs: Name of the step whose output is the input; empty for the files given.
        files: Experiments and reflections that it writes.
        branches: What it belongs to.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    needs: str
    files: tuple[str, str]
    branches: tuple[str, ...]


@dataclass(frozen=True)
class Branch:
    """
    One way of treating the data.

    Attributes:
        name: Short, as in folders and JSON.
        title: For readers.
        steps: Names of the steps, the last of which has the result.
    """

    name: str
    title: str
    steps: tuple[str, ...]


def plan(
    scale: Sequence[str] = (),
    correct: Sequence[str] = (),
    own_model: Path | None = None,
) -> tuple[list[Branch], list[ProgramRun]]:
    """
    Give the branches, and the steps in an order in which they can be run.

    Args:
        scale: Parameters of dials.scale, the same for all branches.
        correct: Parameters of dials.ml_correct, likewise.
        own_model: A model trained by the user, for a branch of its own.

    Returns:
        Branches and steps. Scaling without correction comes first: two branches need it.
    """
    quiet = ("output.html=None",)
    scaling = (*scale, *quiet)
    correcting = (*correct, *quiet)
    merged = "output.merged=merged.mtz"

    def step(name, program, arguments, needs, files, *branches):
        return ProgramRun(name, program, tuple(arguments), needs, files, branches)

    def corrected_first(name: str, *more: str) -> list[ProgramRun]:
        return [
            step(f"{name}/correct", "dials.ml_correct", (*correcting, *more), "",
                 CORRECTED, name),
            step(f"{name}/scale", "dials.scale", scaling, f"{name}/correct", SCALED, name),
        ]  # fmt: skip

    steps = [
        step("none/scale", "dials.scale", scaling, "", SCALED, NONE, AFTER),
        *corrected_first(BEFORE, merged),
        *corrected_first(LORENTZ, "strength=0"),
        step(
            "after/correct", "dials.ml_correct", correcting, "none/scale", CORRECTED,
            AFTER,
        ),
    ]  # fmt: skip
    if own_model is not None:
        steps += corrected_first(OWN, f"model={own_model}")
    names = [NONE, LORENTZ, BEFORE, AFTER] + ([OWN] if own_model is not None else [])
    branches = [
        Branch(name, TITLES[name], tuple(s.name for s in steps if name in s.branches))
        for name in names
    ]
    return branches, steps
