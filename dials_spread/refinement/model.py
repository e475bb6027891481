"""
The model that is refined: electron form factors, displacements and where it starts.

Functions:
    electron_model: a structure that scatters electrons in cctbx, ions included
    hydrogen_atoms: which atoms are hydrogen
    move_atoms: a start away from the reference
    set_displacements: isotropic or anisotropic
    mean_square_displacements: smallest and largest U of each atom
    partly_occupied: atoms of a disordered part
    without_density: atoms that refinement has taken out
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import optimize

from cctbx import adptbx, xray
from cctbx.array_family import flex
from cctbx.eltbx import e_scattering, xray_scattering

from dials_spread.scattering.form_factors import (
    electron_form_factor,
    parse_type,
    type_name,
)

# An ion's form factor is fitted by ten Gaussians, as many as cctbx takes. Their widths
# [Å²] begin with these multiples of 1/s² at the largest and the smallest s of the data.
N_GAUSSIANS = 10
NARROWEST, WIDEST = 0.6, 4.0

# U of atoms for which the structure has none [Å²].
USUAL_U = 0.03

# Occupancies above this are full.
FULL = 0.995

SMEARED, SMEARED_TIMES = 0.3, 5.0
"""U [Å²], and times the median one, from which an atom scatters next to nothing: of 0.3 Å² a
hundredth is left at 1.1 Å."""


def electron_model(structure: xray.structure, d_min: float) -> xray.structure:
    """
    Copy a structure so that cctbx lets its atoms scatter electrons.

    Args:
        structure: With scattering types such as C, Na1+ or O0.5-.
        d_min: Up to which the form factors of ions have to hold [Å].

    Returns:
        A copy without dispersion. Its amplitudes are those of
        `scattering.structure_factors`, to 0.1 % of the form factor of an ion at worst.

    Raises:
        ValueError: There are no atoms, or one has no form factor.
    """
    if not structure.scatterers().size():
        raise ValueError("The structure has no atoms.")
    model = structure.deep_copy_scatterers()
    pairs = set()
    for scatterer in model.scatterers():
        pair = parse_type(scatterer.scattering_type)
        scatterer.scattering_type = type_name(*pair)
        scatterer.fp = scatterer.fdp = 0.0
        scatterer.flags.set_use_fp_fdp(False)
        pairs.add(pair)
    # The registry is rebuilt for the new types only if the structure is new.
    model = xray.structure(model, scatterers=model.scatterers())
    # No reflection has a smaller s than the shortest axis of the reciprocal cell.
    shortest = min(structure.unit_cell().reciprocal_parameters()[:3])
    limits = round(0.49 * shortest, 4), round(0.51 / d_min, 4)
    model.scattering_type_registry(
        custom_dict={type_name(*pair): _gaussian(*pair, *limits) for pair in pairs}
    )
    return model


@lru_cache(maxsize=64)
def _gaussian(
    element: str, charge: float, s_min: float, s_max: float
) -> xray_scattering.gaussian:
    """The electron form factor of an atom or an ion as a sum of Gaussians."""
    if charge == 0:
        neutral = e_scattering.ito_vol_c_2011_table_4_3_2_2_entry_as_gaussian(element)
        return xray_scattering.gaussian(
            neutral.array_of_a(), neutral.array_of_b(), neutral.c(), True
        )
    s = np.geomspace(s_min, s_max, 200)
    f = electron_form_factor(element, charge, s)
    # Relative errors count, as f goes to infinity with 1/s².
    size = np.abs(f) + 0.03

    def fitted(log_widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Heights for given widths, and the relative misfit."""
        shapes = np.exp(-np.square(s)[:, None] * np.exp(log_widths)) / size[:, None]
        heights = np.linalg.lstsq(shapes, f / size, rcond=1e-13)[0]
        return heights, shapes @ heights - f / size

    start = np.geomspace(NARROWEST / s_max**2, WIDEST / s_min**2, N_GAUSSIANS)
    found = optimize.least_squares(lambda x: fitted(x)[1], np.log(start), max_nfev=60)
    return xray_scattering.gaussian(
        fitted(found.x)[0].tolist(), np.exp(found.x).tolist()
    )


def hydrogen_atoms(structure: xray.structure) -> np.ndarray:
    """Which atoms are hydrogen; shape (a,)."""
    types = [s.scattering_type for s in structure.scatterers()]
    return np.array([parse_type(name)[0] == "H" for name in types], dtype=bool)


def special_positions(structure: xray.structure) -> np.ndarray:
    """Which atoms are on special positions; shape (a,)."""
    special = np.zeros(structure.scatterers().size(), dtype=bool)
    special[np.array(structure.special_position_indices(), dtype=int)] = True
    return special


def move_atoms(
    model: xray.structure,
    parent: np.ndarray,
    shift: float,
    rng: np.random.Generator,
) -> None:
    """
    Move atoms in random directions, hydrogen with its parent.

    Args:
        model: Changed in place. Atoms on special positions stay.
        parent: Shape (a,), for hydrogen the atom that it follows, for others themselves;
            -1 stays where it is.
        shift: How far each atom is moved [Å].
        rng: Random numbers.
    """
    steps = rng.normal(size=(len(parent), 3))
    steps *= shift / np.linalg.norm(steps, axis=1)[:, None]
    steps[special_positions(model)] = 0
    steps = np.where(parent[:, None] >= 0, steps[parent], 0.0)
    steps[special_positions(model)] = 0
    cell = model.unit_cell()
    for scatterer, step in zip(model.scatterers(), steps):
        moved = np.array(cell.orthogonalize(scatterer.site)) + step
        scatterer.site = cell.fractionalize(tuple(moved))


def set_displacements(model: xray.structure, anisotropic: bool) -> None:
    """
    Give atoms isotropic or anisotropic displacements, hydrogen isotropic ones.

    Args:
        model: Changed in place. Where an atom has no U, it gets 0.03 Å².
        anisotropic: Of atoms other than hydrogen.
    """
    hydrogen = hydrogen_atoms(model)
    model.convert_to_isotropic(
        selection=flex.size_t(np.flatnonzero(hydrogen | (not anisotropic)))
    )
    for scatterer in model.scatterers():
        if scatterer.flags.use_u_iso() and not scatterer.u_iso > 0:
            scatterer.u_iso = USUAL_U
    if anisotropic:
        model.convert_to_anisotropic(selection=flex.bool([bool(x) for x in ~hydrogen]))


def mean_square_displacements(model: xray.structure) -> np.ndarray:
    """Smallest and largest U along any direction of each atom [Å²]; shape (a, 2)."""
    found = []
    for scatterer in model.scatterers():
        if scatterer.flags.use_u_aniso():
            u_cart = adptbx.u_star_as_u_cart(model.unit_cell(), scatterer.u_star)
            values = np.linalg.eigvalsh(symmetric_matrix(u_cart))
            found.append((values[0], values[-1]))
        else:
            found.append((scatterer.u_iso, scatterer.u_iso))
    return np.array(found)


def symmetric_matrix(u: tuple) -> np.ndarray:
    """The symmetric matrix of six components in the order 11, 22, 33, 12, 13, 23."""
    xx, yy, zz, xy, xz, yz = u
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def partly_occupied(structure: xray.structure) -> list[str]:
    """Labels of atoms with an occupancy below 1."""
    return [s.label for s in structure.scatterers() if s.occupancy < FULL]


def without_density(
    structure: xray.structure, limit: float = SMEARED, times: float = SMEARED_TIMES
) -> list[tuple[str, float]]:
    """
    Name atoms other than hydrogen that refinement has taken out by their U.

    Args:
        structure: Refined.
        limit: U from which an atom may be out [Å²].
        times: The median U from which it is.

    Returns:
        Label and U [Å²] of each.
    """
    cell, heavy = structure.unit_cell(), ~hydrogen_atoms(structure)
    u = np.array([s.u_iso_or_equiv(cell) for s in structure.scatterers()])
    if not heavy.any():
        return []
    large = heavy & (u > max(limit, times * float(np.median(u[heavy]))))
    return [(structure.scatterers()[int(i)].label, u[i]) for i in np.flatnonzero(large)]
