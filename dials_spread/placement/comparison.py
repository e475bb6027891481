"""
All of dials.compare_placement but its arguments and its files.

Functions:
    compare_placements: from files to results
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cctbx import crystal

from dials_spread.placement.branches import (
    AFTER,
    BEFORE,
    LORENTZ,
    MERGED,
    NONE,
    TITLES,
    Branch,
    plan,
)
from dials_spread.placement.common_set import (
    BranchData,
    CommonSet,
    common_set,
    read_branch,
    resampling_groups,
)
from dials_spread.placement.differences import (
    Difference,
    GroupSums,
    differences,
    group_sums_of,
    resampled_r1,
)
from dials_spread.placement.known_structure import (
    KnownStructure,
    check_structure_file,
    find_structure,
)
from dials_spread.placement.merged_output import read_merged
from dials_spread.placement.programs import StepResult, run_steps
from dials_spread.placement.reasons import (
    DifferentReflection,
    most_different,
    scaling_summary,
)
from dials_spread.placement.results import (
    BranchResult,
    PlacementChoices,
    PlacementComparison,
)
from dials_spread.placement.side_by_side import BranchTests, run_tests
from dials_spread.placement.solved_here import solve_structure
from dials_spread.placement.verdict import (
    PlacementVerdict,
    judge,
    qualified,
    structure_does_not_fit,
)
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.merging import Merged
from dials_spread.rfactor.merging_statistics import (
    MergingStatistics,
    merging_statistics,
    possible_reflections,
)
from dials_spread.rfactor.scaled_r1 import r1_by_shell, scaled_r1
from dials_spread.shelx.programs import PROGRAMS, find_program, missing_programs

logger = logging.getLogger("dials.spread.placement")

PROGRAMS_RUN = "dials.scale and dials.ml_correct"
"""Name of the part that the time of all is compared with."""


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

    def timed(part: str, start: float) -> float:
        seconds[part] = time.monotonic() - start
        return time.monotonic()

    start = time.monotonic()
    branches, results, left_out = _run_branches(inputs, choices, tell)
    start = timed(PROGRAMS_RUN, start)
    data, failed = _read(branches, results)
    common = common_set(data)
    rng = np.random.default_rng(choices.seed)
    tell("Reading the structure and comparing amplitudes with it")
    known = _structure(common, choices, rng)
    groups = resampling_groups(common, rng)
    sums = group_sums_of(common, groups)
    weights = groups.draws(rng, choices.draws)
    found, r1, verdict = _judged(common, known, sums, weights, choices.smallest)
    start = timed("reading and merging", start)
    merged = {**common.merged, **_merged_output(results, common)}
    folder, why_not = _shelx_folder(choices)
    tests = run_tests(
        common, known, merged, sums, weights, choices.tests, folder, choices.nproc, tell
    )
    timed("refinement, solution and spread", start)
    if MERGED in merged:
        branches = [*branches, Branch(MERGED, TITLES[MERGED], (f"{BEFORE}/correct",))]
    return PlacementComparison(
        branches={
            b.name: _result(b, results, failed, common, merged, known, tests)
            for b in branches
        },
        left_out=left_out,
        common=common,
        known=known,
        groups=groups,
        differences=found,
        refined_differences=tests.refined,
        verdict=qualified(verdict, r1, tests.refined.get("refined_r1", [])),
        most_different=_before_and_after(common, known),
        seconds=seconds,
        without_shelx=why_not,
    )


def _judged(
    common: CommonSet,
    known: KnownStructure,
    sums: Mapping[str, GroupSums],
    weights: np.ndarray,
    smallest: float,
) -> tuple[list[Difference], dict[str, float], PlacementVerdict]:
    """Compare R1 against the structure of all branches, give it, and judge."""
    d_star_sq = 1 / common.d_spacing**2
    drawn = resampled_r1(sums, weights, known.f_calc, d_star_sq, common.in_all)
    found = differences(drawn, weights.shape[1])
    r1 = {name: float(values[0]) for name, values in drawn.items()}
    if not known.match.believed:
        return found, r1, structure_does_not_fit(r1)
    return found, r1, judge(r1, found, smallest)


def _shelx_folder(choices: PlacementChoices) -> tuple[Path | None, str]:
    """Say where SHELX is run, or why it is not."""
    if not choices.shelx:
        return None, "SHELX was not asked for."
    if not any(find_program(name) for name in PROGRAMS):
        return None, missing_programs() or ""
    return choices.folder / "shelx", ""


def _merged_output(
    results: Mapping[str, StepResult], common: CommonSet
) -> dict[str, Merged]:
    """Read the merged amplitudes that the correction itself gives, where there are any."""
    correct = results.get(f"{BEFORE}/correct")
    if correct is None or correct.failed:
        return {}
    file = correct.folder / "merged.mtz"
    return {MERGED: read_merged(file, common)} if file.is_file() else {}


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
        raise ValueError(f"No branch came to an end. {_why_none(results, failed)}")
    groups = {str(d.observations.space_group.info()) for d in data.values()}
    if len(groups) > 1:
        raise ValueError(f"Branches differ in space group: {', '.join(sorted(groups))}")
    return data, failed


def _why_none(results: Mapping[str, StepResult], failed: Mapping[str, str]) -> str:
    """Name the first program that failed, its last line, and where the others are."""
    for one in results.values():
        # What a step that was not run failed with is that of the step before it.
        printed = one.folder / "printed.txt"
        if one.failed and printed.is_file():
            return (
                f"{one.step.program} failed first ({one.failed.splitlines()[-1]}); all "
                f"that it printed is in {os.path.relpath(printed)}"
            )
    return " ".join(next(iter(failed.values()), "nothing was run").split())


def _structure(
    common: CommonSet, choices: PlacementChoices, rng: np.random.Generator
) -> KnownStructure:
    """Read the structure, or solve it from the data."""
    observations = next(iter(common.data.values())).observations
    symmetry = crystal.symmetry(
        unit_cell=observations.unit_cell, space_group=observations.space_group
    )
    if choices.structure is not None:
        reference = check_structure_file(choices.structure, symmetry, choices.block)
        return find_structure(reference, common, rng)
    reference, branch, sure = solve_structure(
        common, symmetry, choices.composition, choices.tests.starts, choices.seed
    )
    return find_structure(reference, common, rng, branch, sure)


def _result(
    branch: Branch,
    results: Mapping[str, StepResult],
    failed: Mapping[str, str],
    common: CommonSet,
    merged: Mapping[str, Merged],
    known: KnownStructure,
    found: BranchTests,
) -> BranchResult:
    """Put together all about one branch."""
    steps = tuple(results[name] for name in branch.steps)
    name = branch.name
    if name not in merged:
        return BranchResult(branch, steps, failed.get(name, ""))
    d_star_sq = 1 / common.d_spacing**2
    f_o = amplitudes(merged[name].intensity)
    shared = np.where(common.in_all, f_o, np.nan)
    strong = np.where(common.strong, f_o, np.nan)
    on_common = scaled_r1(shared, known.f_calc, d_star_sq)
    data = common.data.get(name)
    return BranchResult(
        branch=branch,
        steps=steps,
        failed="",
        data=data,
        merged=merged[name],
        merging=None if data is None else _merging(data),
        scaling=None if data is None else scaling_summary(common, name),
        spread=found.spreads.get(name),
        r1=scaled_r1(f_o, known.f_calc, d_star_sq),
        r1_common=on_common,
        r1_strong=scaled_r1(strong, known.f_calc, d_star_sq),
        shells=tuple(r1_by_shell(shared, known.f_calc, d_star_sq, on_common)),
        tests=found.tests.get(name),
        shelx=found.shelx.get(name),
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
    return most_different(common, pair[0], pair[1], known.f_calc)
