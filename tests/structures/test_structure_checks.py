from __future__ import annotations

import logging

import pytest

from cctbx import adptbx, crystal, xray

from dials_spread.structures.structure_checks import (
    beyond_physical,
    check_structure,
    overlapping_atoms,
)
from dials_spread.structures.structure_files import BUILT_IN, read_structure


def structure_of(*atoms: dict, space_group: str = "P 1") -> xray.structure:
    structure = xray.structure(
        special_position_settings=crystal.special_position_settings(
            crystal.symmetry((6, 7, 8, 90, 90, 90), space_group),
            min_distance_sym_equiv=0.2,
        )
    )
    for number, atom in enumerate(atoms):
        given = {"label": f"A{number}", "scattering_type": "C", "u": 0.02, **atom}
        structure.add_scatterer(xray.scatterer(**given))
    return structure


def problems(structure: xray.structure, d_min: float = 0.9) -> list[str]:
    with pytest.raises(ValueError) as error:
        check_structure(structure, d_min)
    return str(error.value).splitlines()


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_structures_pass(name):
    check_structure(read_structure(name), 0.3)


def test_all_that_is_wrong_is_told_at_once():
    structure = structure_of(
        {"site": (0.1, 0.1, 0.1), "occupancy": 1.5},
        {"site": (0.5, 0.5, 0.5), "u": -0.01},
        {"site": (0.5, 0.1, 0.5), "u": 30.0},
    )
    assert problems(structure, 0.2) == [
        "d_min=0.2 Å is beyond the electron form factors, which end at 0.25 Å.",
        "Occupancies are not between 0 and 1: A0.",
        "U is not between 0 and 2 Å²: A1, A2.",
    ]
    assert problems(structure_of()) == ["The structure has no atoms."]
    nothing = structure_of({"site": (0.1, 0.1, 0.1), "occupancy": 0.0})
    assert problems(nothing) == ["All occupancies are zero."]
    far = structure_of({"site": (0.1, 4e29, 0.1)})
    assert problems(far) == ["Coordinates are not fractions of the cell: A0."]


@pytest.mark.parametrize("length", [0.5, 1.1812e31])
def test_a_cell_of_no_crystal(length):
    structure = structure_of({"site": (0.1, 0.1, 0.1)})
    cell = crystal.symmetry((6, length, 8, 90, 90, 90), "P 1")
    (told,) = problems(structure.customized_copy(crystal_symmetry=cell))
    assert told == f"The unit cell, of 6, {length:g}, 8 Å, is that of no crystal."


@pytest.mark.parametrize("largest", [30.0, -30.0])
def test_an_ellipsoid_that_is_too_large(largest):
    structure = structure_of({"site": (0.1, 0.1, 0.1)})
    (atom,) = structure.scatterers()
    atom.set_use_u_aniso_only()
    cell = structure.unit_cell()
    atom.u_star = adptbx.u_cart_as_u_star(cell, (0.02, largest, 0.02, 0, 0, 0))
    structure.scatterers()[0] = atom
    assert problems(structure) == ["Elements of U are not below 2 Å²: A0."]


def test_atoms_that_overlap():
    # 0.3 Å apart across the cell edge along b of 7 Å.
    structure = structure_of({"site": (0, 0.98, 0)}, {"site": (0, 0.0228571, 0)})
    ((i, j, distance),) = overlapping_atoms(structure)
    assert (i, j) == (0, 1) and distance == pytest.approx(0.3, abs=1e-5)
    (told,) = problems(structure)
    assert "A0 and A1 are 0.30 Å apart" in told


def test_atoms_that_overlap_with_their_own_mates():
    # 0.4 Å from the mate through the inversion centre: too near for a whole atom.
    site = (0.2 / 6, 0, 0)
    whole = structure_of({"site": site}, space_group="P -1")
    assert "A0 and A0 (a symmetry mate) are 0.40 Å" in problems(whole)[0]
    half = structure_of({"site": site, "occupancy": 0.5}, space_group="P -1")
    check_structure(half, 0.9)


def test_mixed_occupancy_and_disorder_are_no_overlap():
    check_structure(
        structure_of(
            {"site": (0.1, 0.1, 0.1), "occupancy": 0.7},
            {"site": (0.1, 0.1, 0.1), "occupancy": 0.3, "scattering_type": "O"},
            {"site": (0.15, 0.1, 0.1), "occupancy": 0.3},
        ),
        0.9,
    )


def test_a_displacement_that_is_no_ellipsoid_is_told(caplog):
    from cctbx import adptbx

    structure = structure_of({"site": (0.1, 0.1, 0.1)})
    atom = structure.scatterers()[0]
    tensor = (0.02, 0.02, -0.01, 0.0, 0.0, 0.0)
    atom.u_star = adptbx.u_cart_as_u_star(structure.unit_cell(), tensor)
    atom.flags.set_use_u(iso=False, aniso=True)
    assert beyond_physical(structure) == ["A0"]
    with caplog.at_level(logging.WARNING, "dials.spread.structure_checks"):
        check_structure(structure, 0.9)
    assert "A0 are not positive definite" in caplog.text
