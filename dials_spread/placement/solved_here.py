"""
A structure that is solved here, where none is given.

Functions:
    solve_structure: from the best branch there is
"""

from __future__ import annotations

import logging

import numpy as np

from cctbx import crystal, miller
from cctbx.array_family import flex

from dials_spread.observations.table import as_flex
from dials_spread.placement.branches import (
    AFTER,
    BEFORE,
    LORENTZ,
    NONE,
    OWN,
    TITLES,
)
from dials_spread.placement.common_set import CommonSet
from dials_spread.reference import Reference
from dials_spread.solution import assign_atoms, solve

logger = logging.getLogger("dials.spread.placement")

ORDER = (BEFORE, AFTER, OWN, LORENTZ, NONE)
"""Branches that are tried, the first one that solves is taken."""


def solve_structure(
    common: CommonSet,
    symmetry: crystal.symmetry,
    composition: str | None,
    starts: int,
    seed: int,
) -> tuple[Reference, str, str]:
    """
    Solve the structure from the data.

    Args:
        common: All branches.
        symmetry: Of the data.
        composition: Of a formula unit, such as "C 8 H 9 N O 2"; None where unknown.
        starts: Random starts for each branch.
        seed: For these.

    Returns:
        The structure, the branch that gave it, and how sure that is, in a sentence.

    Raises:
        ValueError: No branch solves.
    """
    problems = []
    for branch in (name for name in ORDER if name in common.data):
        merged = common.merged[branch]
        there = merged.n > 0
        points = miller.set(
            symmetry, as_flex(common.unique_index[there]), anomalous_flag=False
        )
        f_sq = miller.array(
            points,
            flex.double(np.ascontiguousarray(merged.intensity[there])),
            flex.double(np.ascontiguousarray(merged.sigma[there])),
        ).set_observation_type_xray_intensity()
        try:
            solutions = solve(f_sq, n_starts=starts, seed=seed)
            found = assign_atoms(solutions, composition)
        except ValueError as error:
            problems.append(f"{TITLES[branch]}: {error}")
            continue
        logger.info("%s: %s", TITLES[branch], found.sentence())
        if not found.solved:
            problems.append(f"{TITLES[branch]}: {found.sentence()}")
            continue
        source = f"solved here ({TITLES[branch]})"
        structure = found.structure
        return (
            Reference(source, structure.crystal_symmetry(), structure, None, source),
            branch,
            found.sentence(),
        )
    raise ValueError(
        "Without structure= the structure has to be solved here, and no branch solves: "
        + "; ".join(text.rstrip(".") for text in problems)
        + ". Give structure=, or more solution.starts"
    )
