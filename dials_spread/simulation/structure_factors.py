"""Kinematic electron structure factors."""

from __future__ import annotations

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex

# The Gaussian electron form factors in cctbx hold to sin(theta)/lambda = 2 per angstrom
# (Peng (1999), Micron 30, 625).
MIN_D_SPACING = 0.25


def structure_factors(
    structure: xray.structure, miller_indices: np.ndarray
) -> np.ndarray:
    """
    Structure factors by direct summation over the atoms, displacements included.

    Args:
        structure: The crystal structure. Its scattering table becomes electrons.
        miller_indices: Integers of shape (n, 3); repeated ones are computed once.

    Returns:
        Complex F [Å], of shape (n,), phase convention F = Σ f exp(+2πi h·x).

    Raises:
        ValueError: There are no atoms, or an index lies beyond the form factors.
    """
    indices = np.asarray(miller_indices, dtype=int).reshape(-1, 3)
    if not structure.scatterers().size():
        raise ValueError("The structure has no scatterers.")
    structure.scattering_type_registry(table="electron")
    if not len(indices):
        return np.empty(0, dtype=complex)
    unique, inverse = np.unique(indices, axis=0, return_inverse=True)
    unique_set = miller.set(
        structure.crystal_symmetry(),
        flex.miller_index([tuple(int(x) for x in hkl) for hkl in unique]),
        anomalous_flag=True,
    )
    d_min = unique_set.select(~_is_origin(unique)).d_min() if len(unique) > 1 else 1.0
    if d_min < MIN_D_SPACING:
        raise ValueError(
            f"Electron form factors end at {MIN_D_SPACING} Å, but an index has "
            f"d = {d_min:.3f} Å."
        )
    calculated = unique_set.structure_factors_from_scatterers(
        structure, algorithm="direct"
    ).f_calc()
    # numpy 2 returns the inverse with the shape of its input.
    return calculated.data().as_numpy_array()[np.ravel(inverse)]


def _is_origin(miller_indices: np.ndarray) -> flex.bool:
    return flex.bool([bool(x) for x in ~np.any(miller_indices, axis=1)])
