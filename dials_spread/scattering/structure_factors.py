"""Kinematic electron structure factors, of neutral atoms and of ions."""

from __future__ import annotations

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex
from cctbx.eltbx import xray_scattering

from dials_spread.scattering.form_factors import ionic_term, parse_type

# The Gaussian electron form factors in cctbx hold to sin(theta)/lambda = 2 per angstrom
# (Peng (1999), Micron 30, 625).
MIN_D_SPACING = 0.25


def structure_factors(
    structure: xray.structure, miller_indices: np.ndarray
) -> np.ndarray:
    """
    Structure factors by direct summation over the atoms, displacements included.

    Args:
        structure: The crystal structure. Scattering types with a charge, such as Na1+
            or O0.5-, scatter as ions. Where there are none its scattering table becomes
            electrons.
        miller_indices: Integers of shape (n, 3); of repeated and of equivalent ones one is
            computed.

    Returns:
        Complex F [Å], of shape (n,), phase convention F = Σ f exp(+2πi h·x). For ions
        F(000) is that of a cell without net charge, averaged over directions.

    Raises:
        ValueError: There are no atoms, one of them has no form factor, or an index lies
            beyond the form factors.
    """
    indices = np.asarray(miller_indices, dtype=int).reshape(-1, 3)
    if not structure.scatterers().size():
        raise ValueError("The structure has no atoms.")
    neutral, charged = separate_charges(structure)
    neutral.scattering_type_registry(table="electron")
    if not len(indices):
        return np.empty(0, dtype=complex)
    equivalents, mates, phases = _representatives(structure, indices)
    unique, inverse = np.unique(equivalents, axis=0, return_inverse=True)
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
    F = _direct_sum(unique_set, neutral)
    s = np.sqrt(unique_set.sin_theta_over_lambda_sq().data().as_numpy_array())
    for (element, charge), ions in charged.items():
        F = F + ionic_term(element, charge, s) * _direct_sum(unique_set, ions)
    # numpy 2 returns the inverse with the shape of its input.
    F = F[np.ravel(inverse)]
    return np.where(mates, np.conj(F), F) * phases


def _representatives(
    structure: xray.structure, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    One of all indices that are equivalent by symmetry, and what its F tells of theirs.

    An operation x' = Rx + t makes F(h) = F(hR) exp(2πi h·t) (International Tables for
    Crystallography B, 1.4.2.2), and Friedel mates are conjugate where nothing absorbs.

    Returns:
        The indices, of shape (n, 3), whether to take the conjugate of their F, and the
        factor of it, both of shape (n,).
    """
    absorbing = any(scatterer.fdp for scatterer in structure.scatterers())
    span = 4 * np.abs(indices).max(initial=0) + 1
    best, mates = indices.copy(), np.zeros(len(indices), dtype=bool)
    highest, turns = np.full(len(indices), -np.inf), np.zeros(len(indices))
    group = structure.space_group().build_derived_acentric_group()
    # Operations that differ by a lattice translation alone say the same.
    for operation in {x.r().as_xyz(): x for x in group}.values():
        rotation = np.array(operation.r().as_double()).reshape(3, 3)
        images = np.rint(indices @ rotation).astype(int)
        turn = indices @ np.array(operation.t().as_double())
        for sign in (1,) if absorbing else (1, -1):
            rank = sign * (images @ np.array([span**2, span, 1]))
            higher = rank > highest
            highest[higher] = rank[higher]
            best[higher], turns[higher] = sign * images[higher], turn[higher]
            mates[higher] = sign < 0
    return best, mates, np.exp(2j * np.pi * turns)


def separate_charges(
    structure: xray.structure,
) -> tuple[xray.structure, dict[tuple[str, float], xray.structure]]:
    """
    Take a structure apart into neutral atoms and charges.

    Args:
        structure: With scattering types as `structure_factors` takes them.

    Returns:
        The structure of neutral atoms, the very one where there is no charge; and for
        each element and charge the structure of these ions, each scattering like one.
    """
    types = [scatterer.scattering_type for scatterer in structure.scatterers()]
    parsed = [parse_type(name) for name in types]
    ions = sorted({pair for pair in parsed if pair[1]})
    if not ions and all(name == pair[0] for name, pair in zip(types, parsed)):
        return structure, {}
    neutral = structure.deep_copy_scatterers()
    for scatterer, (element, _) in zip(neutral.scatterers(), parsed):
        scatterer.scattering_type = element
    # The registry is rebuilt for the new types only if the structure is told.
    neutral = xray.structure(neutral, scatterers=neutral.scatterers())
    charged = {}
    for pair in ions:
        own = neutral.select(flex.bool([other == pair for other in parsed]))
        own.scattering_type_registry(
            custom_dict={pair[0]: xray_scattering.gaussian(1.0)}
        )
        charged[pair] = own
    return neutral, charged


def _direct_sum(unique_set: miller.set, structure: xray.structure) -> np.ndarray:
    calculated = unique_set.structure_factors_from_scatterers(
        structure, algorithm="direct"
    ).f_calc()
    F = calculated.data().as_numpy_array()
    # cctbx sums over one lattice point and multiplies, also where the points of a
    # centred cell cancel.
    F[unique_set.sys_absent_flags().data().as_numpy_array()] = 0.0
    return F


def _is_origin(miller_indices: np.ndarray) -> flex.bool:
    return flex.bool([bool(x) for x in ~np.any(miller_indices, axis=1)])
