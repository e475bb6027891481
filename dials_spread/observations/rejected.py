"""
Which observations dials.scale rejected as outliers.

Functions:
    rejected_in_scaling: of all crystals
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials.array_family import flex

from dials_spread.observations.table import Observations

REASON = "outlier in scaling"
"""How they are called where they are left out."""


def rejected_in_scaling(
    observations: Observations, tables: Sequence[flex.reflection_table]
) -> np.ndarray:
    """
    Find the outliers of dials.scale among observations.

    Args:
        observations: n of them, read with keep_outliers=True.
        tables: That they were read from.

    Returns:
        Shape (n,), bool; false throughout where the intensities are not scaled.
    """
    found = np.zeros(len(observations), dtype=bool)
    if not observations.scaled:
        return found
    for own, table in zip(observations.by_crystal(len(tables)), tables):
        if len(own):
            flags = table.get_flags(table.flags.outlier_in_scaling).as_numpy_array()
            found[own] = flags[observations.row[own]]
    return found
