"""
Refinement, solution and spread of all branches, on all cores.

Functions:
    run_tests: all of it
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
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
    Draws,
    StructureChoices,
    StructureTests,
    describe_structure,
)
from dials_spread.processes import outcome, submit, worker_pool
from dials_spread.rfactor.merging import Merged

REFINED_DRAWS = 100
"""Bootstrap samples for the intervals of refined figures."""

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
    structure, wavelength = known.structure, _wavelength(common)
    with worker_pool(nproc, context) as pool:
        shared = {name: _shared(common, known, one) for name, one in merged.items()}
        drawn = dict(_draws(common, known, sums, weights)) if choices.refine else {}
        tests = {
            name: submit(
                pool, describe_structure, structure, *some, choices, drawn.get(name)
            )
            for name, some in shared.items()
        }
        spreads = {
            name: submit(pool, spread_of_branch, own.files, choices.seed)
            for name, own in common.data.items()
        }
        shelx = {
            name: submit(
                pool, run_shelx, structure, f_sq, wavelength, shelx_folder / name
            )
            for name, (f_sq, _) in shared.items()
            if shelx_folder is not None
        }
        found = {}
        for name, future in tests.items():
            found[name] = outcome(future)
            tell(f"Refinement and solution: {TITLES[name]}")
        return BranchTests(
            tests=found,
            spreads={name: outcome(future) for name, future in spreads.items()},
            shelx={name: outcome(future) for name, future in shelx.items()},
            refined=_differences(found, weights.shape[1]),
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


def _draws(
    common: CommonSet,
    known: KnownStructure,
    sums: Mapping[str, GroupSums],
    weights: np.ndarray,
) -> Iterator[tuple[str, Draws]]:
    """Give resampled intensities of each branch, on the common reflections."""
    for name, own in sums.items():
        array, place = intensity_array(known, common, common.merged[name])
        shared = common.in_all[place]
        kept = place[shared]
        part = GroupSums(own.weighted[:, kept], own.weight[:, kept])
        points = array.select(flex.bool(np.ascontiguousarray(shared))).set()
        yield (
            name,
            Draws(
                points,
                part.merged(weights[: 1 + REFINED_DRAWS]),
                common.merged[name].sigma[kept],
                common.strong[kept],
            ),
        )


def _differences(
    found: Mapping[str, StructureTests], n_groups: int
) -> dict[str, list[Difference]]:
    """Differences of refined R1 and of mean shifts, where branches were resampled."""
    drawn = {name: one.drawn for name, one in found.items()}
    known = {name: values for name, values in drawn.items() if values is not None}
    return {
        figure: differences({n: v[:, k] for n, v in known.items()}, n_groups, figure)
        for k, figure in enumerate(FIGURES)
        if len(known) > 1
    }
