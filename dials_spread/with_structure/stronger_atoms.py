"""
Elements where no composition is given: how much each atom scatters beside the others.

All atoms are carbon at first, with one displacement for all, and

    Ic(h) = |Σ_i q_i F_i(h)|²

is fitted for q of each atom by least squares. An atom whose q is well above the median scatters
like a heavier element. Which one is not told: neighbours in the periodic table scatter alike,
and the scale is that of the median atom. Carbon, nitrogen and oxygen stay carbon.

Functions:
    name_stronger_atoms: do it
    new_name: a name for an atom
"""

from __future__ import annotations

import numpy as np

from cctbx import adptbx, miller, xray
from cctbx.array_family import flex

from dials_spread.refinement import Refinement
from dials_spread.refinement.model import hydrogen_atoms
from dials_spread.scattering.form_factors import electron_form_factor
from dials_spread.scattering.structure_factors import structure_factors

CANDIDATES = ("Na", "Si", "S", "K", "Fe", "Zn", "Br", "Ag", "I", "W")
"""Some that differ from each other in what they scatter."""

STRONGER = 1.6
"""Times the median atom: between oxygen beside carbon (0.7 to 1.1) and sodium (2)."""

ROUNDS = 20
LARGEST_STEP = 0.3
OBSERVATIONS_WANTED = 4
"""For each atom."""


def name_stronger_atoms(one: Refinement, f_sq: miller.array) -> xray.structure | None:
    """
    Call atoms that scatter much more than the others by an element that does.

    Args:
        one: Refined with all atoms but hydrogen called carbon.
        f_sq: Merged intensities.

    Returns:
        A structure; None where no atom is stronger, or too few reflections tell.
    """
    structure = one.structure
    heavy = np.flatnonzero(~hydrogen_atoms(structure))
    index = np.array(f_sq.indices(), dtype=int).reshape(-1, 3)
    if len(heavy) < 2 or len(index) < OBSERVATIONS_WANTED * len(heavy):
        return None
    q = _scattered(structure, heavy, index, np.array(f_sq.data()) / one.scale)
    if q is None:
        return None
    ratio = q / np.sort(q)[(len(q) - 1) // 2]  # of two atoms, the weaker one
    s = np.sqrt(f_sq.sin_theta_over_lambda_sq().data().as_numpy_array())
    u = np.median(structure.extract_u_iso_or_u_equiv().as_numpy_array())
    weight = np.exp(-2 * adptbx.u_as_b(float(u)) * s**2)
    carbon = electron_form_factor("C", 0.0, s)
    power = {
        key: float(np.sum(weight * electron_form_factor(key, 0.0, s) * carbon)
                   / np.sum(weight * carbon**2))
        for key in CANDIDATES
    }  # fmt: skip
    # Atoms that have a name already keep it.
    carbons = [structure.scatterers()[int(i)].scattering_type == "C" for i in heavy]
    strong = np.flatnonzero((ratio > STRONGER) & np.array(carbons))
    if not len(strong):
        return None
    named = structure.deep_copy_scatterers()
    for i in strong:
        key = min(power, key=lambda key: abs(np.log(power[key] / ratio[i])))
        atom = named.scatterers()[int(heavy[i])]
        atom.scattering_type, atom.label = key, new_name(named, key)
        atom.u_iso = float(u)
    return xray.structure(named, scatterers=named.scatterers())


def new_name(structure: xray.structure, element: str) -> str:
    """Give the first name of an element that no atom has, as C1, C2, …."""
    names = {s.label for s in structure.scatterers()}
    number = 1
    while f"{element}{number}" in names:
        number += 1
    return f"{element}{number}"


def _scattered(
    structure: xray.structure, heavy: np.ndarray, index: np.ndarray, I: np.ndarray
) -> np.ndarray | None:
    """q of each atom, shape (heavy,); None without a minimum."""
    u = structure.extract_u_iso_or_u_equiv().as_numpy_array()
    common = float(np.median(u[heavy]))
    parts = []
    for i in heavy:
        alone = structure.select(flex.bool([bool(k == i) for k in range(len(u))]))
        alone.set_u_iso(value=common)
        parts.append(structure_factors(alone, index))
    part = np.array(parts)
    q = np.ones(len(heavy))
    weight = 1 / np.maximum(
        np.sqrt(np.maximum(I, 0)), 0.1 * np.sqrt(np.mean(np.abs(I)))
    )
    for _ in range(ROUNDS):
        total = q @ part
        slope = 2 * np.real(np.conj(total) * part)
        step = np.linalg.lstsq(
            (slope * weight).T, weight * (I - np.abs(total) ** 2), rcond=1e-6
        )[0]
        if not np.isfinite(step).all():
            return None
        q = q + np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if np.abs(step).max() < 1e-3:
            break
    return q if (q > 0).all() else None
