"""
All of dials.compare_placement but its arguments and its files.

Functions:
    compare_placements: from files to results
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cctbx import crystal
from cctbx.array_family import flex as cctbx_flex

from dials_spread.placement.branches import AFTER, BEFORE, LORENTZ, NONE, Branch, plan
from dials_spread.placement.common_set import (
    BranchData,
    CommonSet,
    ResamplingGroups,
    common_set,
    read_branch,
    resampling_groups,
)
from dials_spread.placement.differences import (
    Difference,
    GroupSums,
    ScaledR1,
    differences,
    draw_weights,
    group_sums_of,
    r1_by_shell,
    resampled_r1,
    scaled_r1,
)
from dials_spread.placement.known_structure import (
    KnownStructure,
    check_structure_file,
    find_structure,
    intensity_array,
)
from dials_spread.placement.programs import StepResult, run_steps
from dials_spread.placement.reasons import (
    DifferentReflection,
    ScalingSummary,
    most_different,
    scaling_summary,
)
from dials_spread.placement.spread_of_branch import SpreadOfBranch, spread_of_branch
from dials_spread.placement.structure_tests import (
    COMMON_WEIGHTS,
    StructureChoices,
    StructureTests,
    describe_structure,
    refined_draws,
)
from dials_spread.placement.verdict import SMALLEST, PlacementVerdict, judge
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.merging_statistics import (
    MergingStatistics,
    merging_statistics,
    possible_reflections,
)

logger = logging.getLogger("dials.spread.placement")


@dataclass(frozen=True)
class PlacementChoices:
    """
    What a user may choose.

    Attributes:
        structure: File, or name of a built-in structure; None to solve it here.
        composition: Of a structure that is solved here.
        model: A model trained by the user; None for no branch of its own.
        scale, correct: Parameters passed on to the programs.
        folder: For the branches.
        draws: Bootstrap samples.
        smallest: Least difference of R1 that counts.
        tests: About refinement and solution.
        seed: For random numbers.
        nproc: Programs at once.
    """

    structure: str | None = None
    composition: str | None = None
    model: Path | None = None
    scale: Sequence[str] = ()
    correct: Sequence[str] = ()
    folder: Path = Path("compare_placement")
    draws: int = 300
    smallest: float = SMALLEST
    tests: StructureChoices = field(default_factory=StructureChoices)
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
        data: What it ended with; None where it failed.
        merging: Merging statistics.
        scaling: What dials.scale made of it.
        spread: s, and how much of it depends on the orientation.
        r1: Against the structure, of all its reflections.
        r1_common, r1_strong: Of those that all branches have, and strong ones of these.
        shells: R1 of common reflections by resolution.
        tests: Refinement and solution; None where there is no structure.
    """

    branch: Branch
    steps: tuple[StepResult, ...]
    failed: str
    data: BranchData | None = None
    merging: MergingStatistics | None = None
    scaling: ScalingSummary | None = None
    spread: SpreadOfBranch | None = None
    r1: ScaledR1 | None = None
    r1_common: ScaledR1 | None = None
    r1_strong: ScaledR1 | None = None
    shells: tuple[dict, ...] = ()
    tests: StructureTests | None = None

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

    @property
    def finished(self) -> dict[str, BranchResult]:
        """Branches that came to an end."""
        return {k: b for k, b in self.branches.items() if not b.failed}

    @property
    def scans(self) -> bool:
        """Whether parts of scans were resampled, as there were too few crystals."""
        return self.groups.kind != "crystals"


def compare_placements(
    inputs: Sequence[str],
    choices: PlacementChoices,
    tell: Callable[[str], None] = logger.info,
) -> PlacementComparison:
    """
    Treat the data in several ways and compare what comes out.

    Args:
        inputs: Experiment and reflection files, integrated.
        choices: What a user chose.
        tell: Called with a line on what is done.

    Raises:
        ValueError: Nothing can be compared.
    """
    seconds: dict[str, float] = {}
    start = time.monotonic()
    branches, results, left_out = _run_branches(inputs, choices, tell)
    seconds["dials.scale and dials.ml_correct"] = time.monotonic() - start
    start = time.monotonic()
    data, failed = _read(branches, results)
    common = common_set(data)
    rng = np.random.default_rng(choices.seed)
    tell("Reading the structure and comparing amplitudes with it")
    known = _structure(common, choices, rng)
    groups = resampling_groups(common, rng)
    sums = group_sums_of(common, groups)
    weights = draw_weights(groups.n, rng, choices.draws)
    d_star_sq = 1 / common.d_spacing**2
    drawn = resampled_r1(sums, weights, known.f_calc, d_star_sq, common.in_all)
    found = differences(drawn, groups.n)
    verdict = judge({k: float(v[0]) for k, v in drawn.items()}, found, choices.smallest)
    seconds["reading and merging"] = time.monotonic() - start
    start = time.monotonic()
    tests, spreads, refined = _side_by_side(
        common, known, groups, sums, weights, choices, tell
    )
    seconds["refinement, solution and spread"] = time.monotonic() - start
    made = {
        branch.name: _result(
            branch, results, failed.get(branch.name, ""), common, known, tests, spreads
        )
        for branch in branches
    }
    return PlacementComparison(
        branches=made,
        left_out=left_out,
        common=common,
        known=known,
        groups=groups,
        differences=found,
        refined_differences=refined,
        verdict=verdict,
        most_different=_before_and_after(common, known),
        seconds=seconds,
    )


def _run_branches(
    inputs: Sequence[str], choices: PlacementChoices, tell: Callable[[str], None]
) -> tuple[list[Branch], dict[str, StepResult], dict[str, str]]:
    """Run the programs; a branch that would equal another is left out."""
    branches, steps = plan(choices.scale, choices.correct, choices.model)
    total, count = len(steps), 0

    def told(result: StepResult) -> None:
        nonlocal count
        count += 1
        how = "kept from an earlier run" if result.reused else f"{result.seconds:.0f} s"
        if result.skipped:
            how = "not needed"
        if result.failed:
            how = "failed"
        tell(f"{count} of {total}: {result.step.program} in {result.step.name}: {how}")

    results = run_steps(
        steps, inputs, choices.folder, choices.nproc, told, _lorentz_there
    )
    left_out = {}
    if results[f"{LORENTZ}/scale"].skipped:
        left_out[LORENTZ] = (
            "The Lorentz factor is in the intensities already: “Lorentz factor alone” is "
            "the same as “no correction”."
        )
        branches = [b for b in branches if b.name != LORENTZ]
    return branches, results, left_out


def _lorentz_there(step_name: str, before: StepResult | None) -> bool:
    """Say whether a step is not needed, as its input is what was given."""
    if step_name != f"{LORENTZ}/scale" or before is None:
        return False
    text = (before.folder / "dials.ml_correct.json").read_text(encoding="utf-8")
    return not json.loads(text)["correction"]["lorentz_applied_here"]


def _read(
    branches: Sequence[Branch], results: Mapping[str, StepResult]
) -> tuple[dict[str, BranchData], dict[str, str]]:
    """Read what the branches ended with, and say which failed."""
    data, failed = {}, {}
    for branch in branches:
        last = results[branch.steps[-1]]
        if last.failed:
            failed[branch.name] = last.failed
            continue
        try:
            data[branch.name] = read_branch(*last.files)
        except ValueError as error:
            failed[branch.name] = str(error)
    if not data:
        told = next(iter(failed.values()), "nothing was run")
        raise ValueError(f"No branch came to an end. {' '.join(told.split())}")
    groups = {str(d.observations.space_group.info()) for d in data.values()}
    if len(groups) > 1:
        raise ValueError(f"Branches differ in space group: {', '.join(sorted(groups))}")
    return data, failed


def _structure(
    common: CommonSet, choices: PlacementChoices, rng: np.random.Generator
) -> KnownStructure:
    """Read the structure, or solve it from the data."""
    from dials_spread.placement.solved_here import solve_structure

    observations = next(iter(common.data.values())).observations
    symmetry = crystal.symmetry(
        unit_cell=observations.unit_cell, space_group=observations.space_group
    )
    if choices.structure is not None:
        reference = check_structure_file(choices.structure, symmetry)
        return find_structure(reference, common, rng)
    reference, branch = solve_structure(
        common, symmetry, choices.composition, choices.tests.starts, choices.seed
    )
    return find_structure(reference, common, rng, solved_from=branch)


def _side_by_side(
    common: CommonSet,
    known: KnownStructure,
    groups: ResamplingGroups,
    sums: Mapping[str, GroupSums],
    weights: np.ndarray,
    choices: PlacementChoices,
    tell: Callable[[str], None],
) -> tuple[
    dict[str, StructureTests], dict[str, SpreadOfBranch], dict[str, list[Difference]]
]:
    """Refine, solve and measure the spread of all branches, on all cores."""
    names = list(common.data)
    # Fork would copy locks of threads that run: the workers begin afresh.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(choices.nproc, mp_context=context) as pool:
        tests = {
            name: pool.submit(
                describe_structure, known.structure, *_of_branch(common, known, name),
                choices.tests,
            )
            for name in names
        }  # fmt: skip
        drawn = {}
        if choices.tests.refine and choices.tests.draws:
            chosen = weights[: 1 + choices.tests.draws]
            drawn = {
                name: pool.submit(
                    refined_draws, known.structure,
                    *_drawn(common, known, name, sums[name], chosen),
                    choices.tests.weights or COMMON_WEIGHTS,
                )
                for name in names
            }  # fmt: skip
        spreads = {
            name: pool.submit(spread_of_branch, common.data[name].files, choices.seed)
            for name in names
        }
        found = {}
        for name, future in tests.items():
            found[name] = future.result()
            tell(f"Refined and solved: {name}")
        refined = _refined_differences(
            {name: future.result() for name, future in drawn.items()}, groups.n
        )
        return found, {k: f.result() for k, f in spreads.items()}, refined


def _of_branch(common: CommonSet, known: KnownStructure, name: str) -> tuple:
    """Intensities of a branch on the common reflections, and which are strong."""
    array, place = intensity_array(known, common, common.merged[name])
    shared = common.in_all[place]
    array = array.select(cctbx_flex.bool(np.ascontiguousarray(shared)))
    return array, common.strong[place][shared]


def _drawn(
    common: CommonSet,
    known: KnownStructure,
    name: str,
    sums: GroupSums,
    weights: np.ndarray,
) -> tuple:
    """Resampled intensities of a branch, as refined_draws takes them."""
    array, place = intensity_array(known, common, common.merged[name])
    shared = common.in_all[place]
    kept = place[shared]
    merged = GroupSums(sums.weighted[:, kept], sums.weight[:, kept]).merged(weights)
    points = array.select(cctbx_flex.bool(np.ascontiguousarray(shared))).set()
    return points, merged, common.merged[name].sigma[kept], common.strong[kept]


def _refined_differences(
    drawn: Mapping[str, np.ndarray], n_groups: int
) -> dict[str, list[Difference]]:
    """Differences of refined R1 and of mean shifts."""
    figures = ("refined_r1", "mean_shift")
    found = {}
    for k, figure in enumerate(figures if drawn else ()):
        values = {name: v[:, k] for name, v in drawn.items() if np.isfinite(v[0, k])}
        found[figure] = differences(values, n_groups, figure)
    return found


def _result(
    branch: Branch,
    results: Mapping[str, StepResult],
    failed: str,
    common: CommonSet,
    known: KnownStructure,
    tests: Mapping[str, StructureTests],
    spreads: Mapping[str, SpreadOfBranch],
) -> BranchResult:
    """Put together all about one branch."""
    steps = tuple(results[name] for name in branch.steps)
    name = branch.name
    if name not in common.data:
        return BranchResult(branch, steps, failed)
    d_star_sq = 1 / common.d_spacing**2
    f_o = amplitudes(common.merged[name].intensity)
    shared = np.where(common.in_all, f_o, np.nan)
    strong = np.where(common.strong, f_o, np.nan)
    on_common = scaled_r1(shared, known.f_calc, d_star_sq)
    return BranchResult(
        branch=branch,
        steps=steps,
        failed="",
        data=common.data[name],
        merging=_merging(common.data[name]),
        scaling=scaling_summary(common, name),
        spread=spreads.get(name),
        r1=scaled_r1(f_o, known.f_calc, d_star_sq),
        r1_common=on_common,
        r1_strong=scaled_r1(strong, known.f_calc, d_star_sq),
        shells=tuple(r1_by_shell(shared, known.f_calc, d_star_sq, on_common)),
        tests=tests.get(name),
    )


def _merging(data: BranchData) -> MergingStatistics:
    own = data.observations
    possible = possible_reflections(
        own.unit_cell, own.space_group, own.friedel, own.d_spacing.max(),
        own.d_spacing.min(),
    )  # fmt: skip
    return merging_statistics(
        own.intensity, own.sigma, own.unique, own.d_spacing, possible
    )


def _before_and_after(
    common: CommonSet, known: KnownStructure
) -> list[DifferentReflection]:
    pair = [name for name in (BEFORE, AFTER, NONE) if name in common.data][:2]
    if len(pair) < 2:
        return []
    return most_different(common, *pair, known.f_calc)
