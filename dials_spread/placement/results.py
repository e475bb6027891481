"""
What a comparison of placements is asked for, and what it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dials_spread.placement.branches import Branch
from dials_spread.placement.common_set import (
    BranchData,
    CommonSet,
    ResamplingGroups,
)
from dials_spread.placement.differences import Difference
from dials_spread.placement.known_structure import KnownStructure
from dials_spread.placement.programs import StepResult
from dials_spread.placement.reasons import DifferentReflection, ScalingSummary
from dials_spread.placement.shelx_runs import ShelxRuns
from dials_spread.placement.spread_of_branch import SpreadOfBranch
from dials_spread.placement.structure_tests import StructureChoices, StructureTests
from dials_spread.placement.verdict import SMALLEST, PlacementVerdict
from dials_spread.rfactor.merging import Merged
from dials_spread.rfactor.merging_statistics import MergingStatistics
from dials_spread.rfactor.scaled_r1 import ScaledR1


@dataclass(frozen=True)
class PlacementChoices:
    """
    What a user may choose.

    Attributes:
        structure: File, or name of a built-in structure; None to solve it here.
        block: The data block of a CIF that holds several structures.
        composition: Of a structure that is solved here.
        model: A model trained by the user; None for no branch of its own.
        scale, correct: Parameters passed on to the programs.
        folder: For the branches.
        draws: Bootstrap samples.
        smallest: Least difference of R1 that counts.
        tests: About refinement and solution.
        shelx: Whether to run SHELXT and SHELXL where they are on PATH.
        seed: For random numbers.
        nproc: Programs at once.
    """

    structure: str | None = None
    block: str | None = None
    composition: str | None = None
    model: Path | None = None
    scale: Sequence[str] = ()
    correct: Sequence[str] = ()
    folder: Path = Path("compare_placement")
    draws: int = 300
    smallest: float = SMALLEST
    tests: StructureChoices = field(default_factory=StructureChoices)
    shelx: bool = True
    seed: int = 0
    nproc: int = 1


@dataclass(frozen=True)
class BranchResult:
    """
    All about one branch.

    Attributes:
        branch: What it is.
        steps: Its programs.
        failed: Last lines of a program that failed; empty for success.
        data: What it ended with; None where it failed, and for merged output, which has
            no observations.
        merged: Intensities on the common list of reflections; None where it failed.
        merging: Merging statistics.
        scaling: What dials.scale made of it.
        spread: s, and how much of it depends on the orientation.
        r1: Against the structure, of all its reflections.
        r1_common, r1_strong: Of those that all branches have, and strong ones of these.
        shells: R1 of common reflections by resolution.
        tests: Refinement and solution.
        shelx: What SHELX says; None where it was not run.
    """

    branch: Branch
    steps: tuple[StepResult, ...]
    failed: str
    data: BranchData | None = None
    merged: Merged | None = None
    merging: MergingStatistics | None = None
    scaling: ScalingSummary | None = None
    spread: SpreadOfBranch | None = None
    r1: ScaledR1 | None = None
    r1_common: ScaledR1 | None = None
    r1_strong: ScaledR1 | None = None
    shells: tuple[dict, ...] = ()
    tests: StructureTests | None = None
    shelx: ShelxRuns | None = None

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        parts = (
            "merging",
            "scaling",
            "spread",
            "r1",
            "r1_common",
            "r1_strong",
            "tests",
        )
        found = {name: getattr(self, name) for name in parts}
        return {
            "title": self.branch.title,
            "steps": [step.as_dict() for step in self.steps],
            "failed": self.failed or None,
            "r1_by_shell": [dict(row) for row in self.shells],
            **{name: part and part.as_dict() for name, part in found.items()},
        }


@dataclass(frozen=True)
class PlacementComparison:
    """
    The result.

    Attributes:
        branches: By name, in the order in which they are shown.
        left_out: Branches that would be equal to another, with the reason.
        common: All branches that came to an end.
        known: The structure.
        groups: What was resampled.
        differences: Of R1 against the structure as it is.
        refined_differences: Of refined R1 and of mean shifts, by figure.
        verdict: Which branch to take.
        most_different: Reflections on which before and after differ most.
        seconds: Of the parts, by name.
        without_shelx: Why SHELX was not run, in one line; empty where it was.
    """

    branches: dict[str, BranchResult]
    left_out: dict[str, str]
    common: CommonSet
    known: KnownStructure
    groups: ResamplingGroups
    differences: list[Difference]
    refined_differences: dict[str, list[Difference]]
    verdict: PlacementVerdict
    most_different: list[DifferentReflection]
    seconds: dict[str, float]
    without_shelx: str = ""

    @property
    def finished(self) -> dict[str, BranchResult]:
        """Branches that came to an end."""
        return {k: b for k, b in self.branches.items() if not b.failed}

    @property
    def scans(self) -> bool:
        """Whether parts of scans were resampled, as there were too few crystals."""
        return self.groups.kind != "crystals"
