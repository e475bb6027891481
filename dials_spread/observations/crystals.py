"""
Whether crystals can be compared at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dxtbx.model import Experiment

from dials_spread.versions import probe

LENGTH_TOLERANCE = 0.1
"""A cell edge may differ from the median by this part of it."""

ANGLE_TOLERANCE = 5.0
"""A cell angle may differ from the median by so many degrees."""


def check_crystals(experiments: Sequence[Experiment]) -> None:
    """
    Check that all crystals can be compared.

    Args:
        experiments: One a crystal.

    Raises:
        ValueError: More than one radiation or space group, or cells that differ wildly.
    """
    probes = {probe(e.beam) for e in experiments}
    if len(probes) > 1:
        raise ValueError(
            f"The crystals were measured with {' and '.join(sorted(probes))}. Run each "
            "on its own and give the other's JSON file as compare_with"
        )
    groups = {str(e.crystal.get_space_group().info()) for e in experiments}
    if len(groups) > 1:
        raise ValueError(
            f"The crystals have {len(groups)} different space groups: "
            f"{', '.join(sorted(groups))}. Reindex them to one (dials.reindex, "
            "dials.cosym)"
        )
    cells = np.array([e.crystal.get_unit_cell().parameters() for e in experiments])
    median = np.median(cells, axis=0)
    edges = np.abs(cells[:, :3] / median[:3] - 1) > LENGTH_TOLERANCE
    angles = np.abs(cells[:, 3:] - median[3:]) > ANGLE_TOLERANCE
    odd = np.flatnonzero(edges.any(axis=1) | angles.any(axis=1))
    if len(odd):
        told = ", ".join(f"{p:.2f}" for p in cells[odd[0]])
        rest = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        raise ValueError(
            f"The cell of crystal {odd[0]} ({told}){rest} differs from the median "
            f"({', '.join(f'{p:.2f}' for p in median)}) by more than "
            f"{100 * LENGTH_TOLERANCE:.0f} % or {ANGLE_TOLERANCE:.0f}°"
        )
