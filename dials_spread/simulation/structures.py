"""Random light-atom crystal structures.

They are for tests and for training: no structure here is a real compound, so nothing
that is learnt from them can have been memorised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from cctbx import crystal, xray
from cctbx.eltbx import tiny_pse

# Fractions of the non-hydrogen atoms in an average organic molecule.
ORGANIC_COMPOSITION = {"C": 0.75, "N": 0.12, "O": 0.13}

# A non-hydrogen atom and its share of hydrogen fill about 18 cubic angstrom in molecular
# crystals (Kempster & Lipson (1972), Acta Cryst. B28, 3674).
VOLUME_PER_ATOM = 18.0

# Elements for which cctbx has electron form factors.
N_ELEMENTS = 98

# Random places tried for one atom before the cell is called too full.
MAX_TRIALS = 5000

_NEIGHBOURS = np.array(list(product((-1, 0, 1), repeat=3)), dtype=float)


def random_structure(
    rng: np.random.Generator,
    unit_cell: Sequence[float] = (7.3, 10.2, 12.4, 90.0, 90.0, 90.0),
    space_group: str = "P 21 21 21",
    composition: Mapping[str, float] = ORGANIC_COMPOSITION,
    hydrogen_ratio: float = 0.8,
    min_distance: float = 1.3,
    u_iso: tuple[float, float] = (0.02, 0.05),
) -> xray.structure:
    """
    Place random atoms on general positions of a cell.

    The number of atoms follows from the volume of the cell. Electron scattering factors
    are set.

    Args:
        rng: Source of all random numbers.
        unit_cell: a, b, c [Å], alpha, beta, gamma [degrees].
        space_group: Any symbol that cctbx reads.
        composition: Element symbols and their relative frequencies, hydrogen excluded.
        hydrogen_ratio: Hydrogen atoms for each other atom.
        min_distance: Shortest distance between any two atoms, symmetry mates
            included [Å].
        u_iso: Limits of the uniformly distributed isotropic displacement [Å²].

    Returns:
        The structure, with the electron scattering table selected.

    Raises:
        ValueError: The cell cannot hold the atoms, or an argument is out of range.
    """
    symmetry = crystal.symmetry(unit_cell=unit_cell, space_group_symbol=space_group)
    if min_distance <= 0 or hydrogen_ratio < 0 or not 0 <= u_iso[0] <= u_iso[1]:
        raise ValueError(
            "min_distance must be positive, hydrogen_ratio not negative and u_iso "
            f"ordered, not {min_distance}, {hydrogen_ratio} and {u_iso}."
        )
    multiplicity = symmetry.space_group().order_z()
    n_heavy = round(symmetry.unit_cell().volume() / VOLUME_PER_ATOM / multiplicity)
    if n_heavy < 1:
        raise ValueError(
            f"A cell of {symmetry.unit_cell().volume():.0f} Å³ is too small for one "
            f"atom on each of the {multiplicity} general positions of {space_group}."
        )
    elements = _random_elements(rng, n_heavy, composition, hydrogen_ratio)
    sites = _random_sites(rng, symmetry, len(elements), min_distance)
    structure = xray.structure(crystal_symmetry=symmetry)
    for index, (element, site) in enumerate(zip(elements, sites)):
        structure.add_scatterer(
            xray.scatterer(
                label=f"{element}{index + 1}",
                scattering_type=element,
                site=tuple(float(x) for x in site),
                u=float(rng.uniform(*u_iso)),
            )
        )
    structure.scattering_type_registry(table="electron")
    return structure


def _random_elements(
    rng: np.random.Generator,
    n_heavy: int,
    composition: Mapping[str, float],
    hydrogen_ratio: float,
) -> list[str]:
    """Draw the elements; one draw per atom, so that small cells vary in content."""
    symbols = list(composition)
    known = {tiny_pse.table(z).symbol() for z in range(1, N_ELEMENTS + 1)}
    unknown = [symbol for symbol in symbols if symbol not in known]
    if unknown:
        raise ValueError("No such element: " + ", ".join(unknown) + ".")
    weights = np.array([composition[symbol] for symbol in symbols], dtype=float)
    if not len(symbols) or np.any(weights < 0) or weights.sum() <= 0:
        raise ValueError(f"Not a composition: {dict(composition)}.")
    heavy = rng.choice(symbols, size=n_heavy, p=weights / weights.sum())
    return [str(symbol) for symbol in heavy] + ["H"] * round(hydrogen_ratio * n_heavy)


def _random_sites(
    rng: np.random.Generator,
    symmetry: crystal.symmetry,
    n_sites: int,
    min_distance: float,
) -> np.ndarray:
    """
    Draw fractional coordinates one by one, discarding those too near to earlier ones.

    Returns:
        Fractional coordinates, of shape (n_sites, 3).
    """
    sites = np.empty((0, 3))
    for _ in range(n_sites):
        for _ in range(MAX_TRIALS):
            site = rng.random(3)
            if shortest_contact(symmetry, site, sites) >= min_distance:
                sites = np.vstack([sites, site])
                break
        else:
            raise ValueError(
                f"No place found for atom {len(sites) + 1} of {n_sites} at least "
                f"{min_distance} Å from the others in {symmetry.unit_cell()}."
            )
    return sites


def shortest_contact(
    symmetry: crystal.symmetry, site: np.ndarray, sites: np.ndarray
) -> float:
    """
    The distance from a site, or its symmetry mates, to the nearest other atom.

    Args:
        symmetry: Cell and space group.
        site: Fractional coordinates, of shape (3,).
        sites: Fractional coordinates of the other atoms, of shape (n, 3).

    Returns:
        Distance [Å], infinite for a single atom in P1.
    """
    operators = symmetry.space_group().all_ops()
    rotations = np.array([op.r().as_double() for op in operators]).reshape(-1, 3, 3)
    translations = np.array([op.t().as_double() for op in operators])
    mates = rotations @ site + translations
    differences = np.concatenate(
        [(mates[:, None, :] - sites[None, :, :]).reshape(-1, 3), mates[1:] - site]
    )
    if not len(differences):
        return np.inf
    differences -= np.round(differences)
    # In an oblique cell the nearest lattice translation is not always the rounded one.
    differences = (differences[:, None, :] + _NEIGHBOURS).reshape(-1, 3)
    orth = np.array(symmetry.unit_cell().orthogonalization_matrix()).reshape(3, 3)
    return float(np.sqrt(np.min(np.sum((differences @ orth.T) ** 2, axis=1))))
