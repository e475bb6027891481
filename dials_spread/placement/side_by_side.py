"""
Refinement, solution and spread of all branches, on all cores.

Functions:
    run_tests: all of it
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cctbx import miller
from cctbx.array_family import flex

from dials_spread.placement.branches import TITLES
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
class BranchTests:
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
) -> BranchTests:
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
        shared = {name: _shared(common, known, one) for name, one in merged.items()}
        tests = {
            name: pool.submit(describe_structure, structure, *some, choices)
            for name, some in shared.items()
        }
        drawn = {
            name: [pool.submit(refined_draws, structure, *part) for part in parts]
            for name, parts in _resampled(common, known, sums, weights, choices)
        }
        spreads = {
            name: pool.submit(spread_of_branch, own.files, choices.seed)
            for name, own in common.data.items()
        }
        shelx = {
            name: pool.submit(
                run_shelx, structure, f_sq, _wavelength(common), shelx_folder / name
            )
            for name, (f_sq, _) in shared.items()
            if shelx_folder is not None
        }
        for name, future in tests.items():
            future.result()
            tell(f"Refinement and solution: {TITLES[name]}")
        values = {name: [p.result() for p in some] for name, some in drawn.items()}
        return BranchTests(
            tests={name: future.result() for name, future in tests.items()},
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


def _resampled(
    common: CommonSet,
    known: KnownStructure,
    sums: Mapping[str, GroupSums],
    weights: np.ndarray,
    choices: StructureChoices,
) -> Iterator[tuple[str, list[tuple]]]:
    """Give resampled intensities of each branch, in parts, as refined_draws takes them."""
    wanted = choices.refine and choices.draws
    chosen = weights[: 1 + choices.draws]
    common_weights = choices.weights or COMMON_WEIGHTS
    for name, own in sums.items() if wanted else ():
        array, place = intensity_array(known, common, common.merged[name])
        shared = common.in_all[place]
        kept = place[shared]
        part = GroupSums(own.weighted[:, kept], own.weight[:, kept])
        points = array.select(flex.bool(np.ascontiguousarray(shared))).set()
        sigma, strong = common.merged[name].sigma[kept], common.strong[kept]
        yield (
            name,
            [
                (points, part.merged(some), sigma, strong, common_weights)
                for some in np.array_split(chosen, min(PARTS, len(chosen)))
            ],
        )


def _differences(
    drawn: Mapping[str, list[np.ndarray]], n_groups: int
) -> dict[str, list[Difference]]:
    """Differences of each figure, from the parts of each branch."""
    joined = {name: np.concatenate(some) for name, some in drawn.items() if some}
    found = {}
    for k, figure in enumerate(FIGURES if joined else ()):
        values = {name: v[:, k] for name, v in joined.items() if np.isfinite(v[0, k])}
        found[figure] = differences(values, n_groups, figure)
    return found
