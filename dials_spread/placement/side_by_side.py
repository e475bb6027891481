"""
Refinement, solution and spread of all branches, on all cores.

Functions:
    run_tests: all of it
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cctbx import miller
from cctbx.array_family import flex

from dials_spread.placement.common_set import CommonSet
from dials_spread.placement.differences import Difference, GroupSums, differences
from dials_spread.placement.known_structure import KnownStructure, intensity_array
from dials_spread.placement.shelx_runs import ShelxRuns, run_shelx
from dials_spread.placement.spread_of_branch import SpreadOfBranch, spread_of_branch
from dials_spread.placement.structure_tests import (
    COMMON_WEIGHTS,
    StructureChoices,
    StructureTests,
    describe_structure,
    refined_draws,
)
from dials_spread.rfactor.merging import Merged

PARTS = 4
"""Into so many tasks the refinements of resampled data of one branch are divided."""

FIGURES = ("refined_r1", "mean_shift")
"""Of refinements against resampled data."""


@dataclass(frozen=True)
class TestResults:
    """
    What was found, by branch.

    Attributes:
        tests: Refinement and solution.
        spreads: Size of the spread.
        shelx: What SHELX says.
        refined: Differences of refined R1 and of mean shifts, by figure.
    """

    tests: dict[str, StructureTests]
    spreads: dict[str, SpreadOfBranch]
    shelx: dict[str, ShelxRuns]
    refined: dict[str, list[Difference]]


def run_tests(
    common: CommonSet,
    known: KnownStructure,
    merged: Mapping[str, Merged],
    sums: Mapping[str, GroupSums],
    weights: np.ndarray,
    choices: StructureChoices,
    shelx_folder: Path | None,
    nproc: int,
    tell: Callable[[str], None],
) -> TestResults:
    """
    Refine, solve and measure the spread.

    Args:
        common: All branches.
        known: The structure.
        merged: By branch, on the common list; there may be more than in "common".
        sums: By branch, for resampling.
        weights: Shape (1 + draws, groups).
        choices: What is done.
        shelx_folder: For files of SHELX, one folder a branch below it; None for none.
        nproc: Processes.
        tell: Called with a line on what is done.
    """
    # Fork would copy locks of threads that run: the workers begin afresh.
    context = multiprocessing.get_context("spawn")
    structure = known.structure
    with ProcessPoolExecutor(nproc, mp_context=context) as pool:
        tests = {
            name: pool.submit(
                describe_structure, structure, *_shared(common, known, one), choices
            )
            for name, one in merged.items()
        }
        drawn = {
            name: [
                pool.submit(refined_draws, structure, *part)
                for part in _parts(common, known, name, own, weights, choices)
            ]
            for name, own in sums.items()
        }
        spreads = {
            name: pool.submit(spread_of_branch, own.files, choices.seed)
            for name, own in common.data.items()
        }
        shelx = {}
        if shelx_folder is not None:
            wavelength = _wavelength(common)
            shelx = {
                name: pool.submit(
                    run_shelx, structure, _shared(common, known, one)[0], wavelength,
                    shelx_folder / name,
                )
                for name, one in merged.items()
            }  # fmt: skip
        found = {}
        for name, future in tests.items():
            found[name] = future.result()
            tell(f"Refinement and solution: {name}")
        values = {
            name: np.concatenate([part.result() for part in some])
            for name, some in drawn.items()
            if some
        }
        return TestResults(
            tests=found,
            spreads={name: future.result() for name, future in spreads.items()},
            shelx={name: future.result() for name, future in shelx.items()},
            refined=_differences(values, weights.shape[1]),
        )


def _wavelength(common: CommonSet) -> float:
    first = next(iter(common.data.values()))
    return float(first.experiments[0].beam.get_wavelength())


def _shared(
    common: CommonSet, known: KnownStructure, merged: Merged
) -> tuple[miller.array, np.ndarray]:
    """Intensities on the common reflections, and which are strong."""
    array, place = intensity_array(known, common, merged)
    shared = common.in_all[place]
    kept = flex.bool(np.ascontiguousarray(shared))
    return array.select(kept), common.strong[place][shared]


def _parts(
    common: CommonSet,
    known: KnownStructure,
    name: str,
    sums: GroupSums,
    weights: np.ndarray,
    choices: StructureChoices,
) -> list[tuple]:
    """Resampled intensities of a branch, as refined_draws takes them."""
    if not (choices.refine and choices.draws):
        return []
    chosen = weights[: 1 + choices.draws]
    array, place = intensity_array(known, common, common.merged[name])
    shared = common.in_all[place]
    kept = place[shared]
    own = GroupSums(sums.weighted[:, kept], sums.weight[:, kept])
    points = array.select(flex.bool(np.ascontiguousarray(shared))).set()
    sigma, strong = common.merged[name].sigma[kept], common.strong[kept]
    common_weights = choices.weights or COMMON_WEIGHTS
    return [
        (points, own.merged(some), sigma, strong, common_weights)
        for some in np.array_split(chosen, min(PARTS, len(chosen)))
    ]


def _differences(
    drawn: Mapping[str, np.ndarray], n_groups: int
) -> dict[str, list[Difference]]:
    found = {}
    for k, figure in enumerate(FIGURES if drawn else ()):
        values = {name: v[:, k] for name, v in drawn.items() if np.isfinite(v[0, k])}
        found[figure] = differences(values, n_groups, figure)
    return found
