"""
Atoms moved to those symmetry equivalents that form molecules.

Functions:
    connected: a structure whose asymmetric unit is as connected as can be
    beside: a structure whose atoms are the equivalents that another one has
"""

from __future__ import annotations

import numpy as np

from cctbx import xray
from cctbx.eltbx import covalent_radii

from dials_spread.scattering.form_factors import parse_type

SLACK = 0.4
"""Two atoms are bonded where they are nearer than their covalent radii and this [Å], as in
the Cambridge Structural Database."""


def connected(structure: xray.structure) -> xray.structure:
    """
    Move each atom to the equivalent that is bonded to those before it.

    Atoms of the first molecule are placed one after the other, each beside one that is
    there already; then those of the next. The middle of each is in the cell.

    Args:
        structure: With isotropic displacements; others stay where they are.

    Returns:
        A copy, atoms in the same order.
    """
    moved = structure.deep_copy_scatterers()
    scatterers = moved.scatterers()
    if any(s.flags.use_u_aniso() for s in scatterers):
        return moved
    cell = np.reshape(structure.unit_cell().orthogonalization_matrix(), (3, 3))
    sites = np.array(structure.sites_frac()).reshape(-1, 3)
    radius = np.array([_radius(s.scattering_type) for s in scatterers])
    images = _images(structure)
    waiting = list(range(len(sites)))
    while waiting:
        molecule = [waiting.pop(0)]
        for one in molecule:  # it grows on the way
            for other in [*waiting]:
                near = _nearest(images[:, other], sites[one], cell)
                reach = radius[one] + radius[other] + SLACK
                if np.linalg.norm(cell @ (near - sites[one])) < reach:
                    sites[other] = near
                    molecule.append(other)
                    waiting.remove(other)
        sites[molecule] -= np.floor(sites[molecule].mean(axis=0))
    for scatterer, site in zip(scatterers, sites):
        scatterer.site = tuple(float(x) for x in site)
    return moved


def beside(structure: xray.structure, other: xray.structure) -> np.ndarray:
    """
    Give of each atom the equivalent nearest to the same atom of another structure.

    Args:
        structure: With cell and space group.
        other: With the same atoms, in their order.

    Returns:
        Fractional sites, shape (atoms, 3).
    """
    cell = np.reshape(structure.unit_cell().orthogonalization_matrix(), (3, 3))
    images = _images(structure)
    wanted = np.array(other.sites_frac()).reshape(-1, 3)
    return np.array(
        [_nearest(images[:, i], site, cell) for i, site in enumerate(wanted)]
    ).reshape(-1, 3)


def _images(structure: xray.structure) -> np.ndarray:
    """All atoms under all operators, shape (operators, atoms, 3), fractional."""
    sites = np.array(structure.sites_frac()).reshape(-1, 3)
    return np.array([
        sites @ np.reshape(op.r().as_double(), (3, 3)).T + op.t().as_double()
        for op in structure.space_group()
    ])  # fmt: skip


def _nearest(images: np.ndarray, site: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Of the equivalents of an atom that which is nearest to a site; fractional."""
    apart = images - site
    apart -= np.round(apart)
    return site + apart[np.argmin(np.linalg.norm(apart @ cell.T, axis=1))]


def _radius(scattering_type: str) -> float:
    return float(covalent_radii.table(parse_type(scattering_type)[0]).radius())
