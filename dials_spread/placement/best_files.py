"""
The best branch as files for SHELXL, SHELXT, Olex2 and Jana.

Functions:
    best_files: contents by name
"""

from __future__ import annotations

import logging

from dials_spread.placement.branches import TITLES
from dials_spread.placement.comparison import PlacementComparison
from dials_spread.placement.known_structure import intensity_array
from dials_spread.shelx.instructions import instructions
from dials_spread.shelx.intensities_hkl import write_hkl

logger = logging.getLogger("dials.spread.best_files")


def best_files(result: PlacementComparison, output) -> dict[str, bytes]:
    """
    Give the files for the best branch, with all of its reflections.

    Args:
        result: The comparison.
        output: Names of files, as the command's ``output`` scope.

    Returns:
        Contents by name: .ins with the atoms of the structure (refined where that ended
        well) and .hkl in its setting.
    """
    best = result.verdict.best
    if best not in result.finished:
        return {}
    merged = result.common.merged[best]
    f_sq, _ = intensity_array(result.known, result.common, merged)
    tests = result.branches[best].tests
    refined = None if tests is None else tests.given
    structure, weights = result.known.structure, (0.1, 0.0)
    if refined is not None and refined.converged:
        structure, weights = refined.structure, refined.weights
    data = result.common.data[best]
    contents = {}
    # Atoms of another compound are no start for a refinement.
    if output.ins and result.known.match.believed:
        text = instructions(
            structure.crystal_symmetry(),
            data.experiments[0].beam.get_wavelength(),
            title=f"{TITLES[best]}",
            structure=structure,
            weights=weights,
        )
        contents[output.ins] = text.encode("ascii", "replace")
    if output.hkl:
        made = write_hkl(f_sq)
        logger.info(
            "\n%s: F² and σ are multiplied by %g to fill F8.2 (HKLF 4).",
            output.hkl,
            made.factor,
        )
        contents[output.hkl] = made.text.encode("ascii")
    return contents
