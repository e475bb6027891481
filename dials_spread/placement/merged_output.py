"""
Amplitudes as the correction itself merges them: output.merged of dials.ml_correct.

Functions:
    read_merged: on the common list of reflections
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iotbx import mtz

from dials_spread.placement.common_set import CommonSet
from dials_spread.rfactor.merging import Merged


def read_merged(file: Path, common: CommonSet) -> Merged:
    """
    Read merged intensities.

    Args:
        file: MTZ with IMEAN and SIGIMEAN.
        common: All branches.

    Returns:
        On the common list; nan for reflections that the file lacks.
    """
    arrays = mtz.object(str(file)).as_miller_arrays()
    array = next(a for a in arrays if a.is_xray_intensity_array()).map_to_asu()
    known = {h: k for k, h in enumerate(array.indices())}
    value, sigma = array.data().as_numpy_array(), array.sigmas().as_numpy_array()
    place = np.array(
        [known.get(tuple(int(x) for x in h), -1) for h in common.unique_index]
    )
    there = place >= 0
    return Merged(
        np.where(there, value[place], np.nan),
        np.where(there, sigma[place], np.nan),
        there.astype(int),
    )
