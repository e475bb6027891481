"""Structures from files, against what was written by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cctbx import adptbx, crystal, sgtbx, xray
from cctbx.array_family import flex

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.random_compounds import random_cell
from dials_spread.structures.structure_files import BUILT_IN, read_structure, write_cif

CIF = """data_first
_cell_length_a 5.10(2)
_cell_length_b 6.2
_cell_length_c 7.3
_cell_angle_alpha 90
_cell_angle_beta 104.5(3)
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1 21/c 1'
loop_
 _atom_site_label
 _atom_site_type_symbol
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_U_iso_or_equiv
 _atom_site_occupancy
Na1 Na1+ 0.1 0.2 0.3 0.02(1) 0.75
K1 K+ 0.1 0.2 0.3 0.02 0.25
O1 O2- 0.400(3) 0.6 0.7 0.03 1
D1 D 0.01 0.02 0.49 0.04 0.5
C1 C 0.0 0.0 0.0 0.01 1
loop_
 _atom_site_aniso_label
 _atom_site_aniso_U_11
 _atom_site_aniso_U_22
 _atom_site_aniso_U_33
 _atom_site_aniso_U_12
 _atom_site_aniso_U_13
 _atom_site_aniso_U_23
O1 0.01 0.02 0.03 0.001 0.002 0.003
"""

INS = """TITL hand-made
CELL 0.0251 5.1 6.2 7.3 90 104.5 90
ZERR 4 0 0 0 0 0 0
LATT 1
SYMM -X, 0.5+Y, 0.5-Z
SFAC C O H
UNIT 8 4 4
FVAR 1.0 0.75
O1 2 0.4 0.6 0.7 11.0 0.01 0.02 0.03 0.003 0.002 0.001
C1 1 0.1 0.2 0.3 21.0 0.02
C1A 1 0.11 0.22 0.31 -21.0 0.02
H1 3 0.2 0.3 0.4 11.0 -1.5
HKLF 4
END
"""

PDB = """CRYST1    5.100    6.200    7.300  90.00 104.50  90.00 P 1 21 1      2
HETATM    1  CA  LIG A   1       1.000   2.000   3.000  1.00 10.00           C
HETATM    2 CA    CA A   2       3.000   4.000   1.000  0.50 20.00          CA
END
"""


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def atoms(structure) -> dict:
    return {s.label.strip(): s for s in structure.scatterers()}


def test_cif_with_ions_mixed_occupancy_and_anisotropy(write):
    structure = read_structure(write("a.cif", CIF))
    assert structure.unit_cell().parameters() == (5.1, 6.2, 7.3, 90, 104.5, 90)
    assert structure.space_group_info().type().number() == 14
    found = atoms(structure)
    assert {n: s.scattering_type for n, s in found.items()} == {
        **{"Na1": "Na1+", "K1": "K1+", "O1": "O2-", "D1": "H", "C1": "C"}
    }
    assert found["Na1"].occupancy == 0.75 and found["K1"].occupancy == 0.25
    assert found["Na1"].site == (0.1, 0.2, 0.3)
    assert found["Na1"].u_iso == 0.02

    u_cif = adptbx.u_star_as_u_cif(structure.unit_cell(), found["O1"].u_star)
    assert u_cif == pytest.approx((0.01, 0.02, 0.03, 0.001, 0.002, 0.003))
    # Half an atom 0.28 Å from its own mate: on an inversion centre it would be counted
    # once where there are two.
    assert found["D1"].multiplicity() == 4
    assert found["C1"].multiplicity() == 2


def test_shelx_with_free_variables_and_riding_displacement(write):
    structure = read_structure(write("a.ins", INS))
    assert structure.space_group_info().type().number() == 14
    found = atoms(structure)
    assert found["C1"].occupancy == pytest.approx(0.75)
    assert found["C1A"].occupancy == pytest.approx(0.25)
    assert found["H1"].u_iso == pytest.approx(1.5 * 0.02)
    assert found["O1"].flags.use_u_aniso()
    assert read_structure(write("b.res", INS)).scatterers().size() == 4


def test_the_same_structure_from_shelx_and_cif(write):
    once = read_structure(write("a.ins", INS))
    again = read_structure(write("a.cif", write_cif(once, "again")))
    hkl = np.array([(1, 0, 0), (0, 2, 0), (1, 2, -3), (2, -1, 1), (0, 0, 4)])
    np.testing.assert_allclose(
        structure_factors(once, hkl), structure_factors(again, hkl), rtol=1e-5
    )
    assert "Cromer" not in write_cif(once, "again")


def test_pdb_takes_elements_from_their_columns(write):
    structure = read_structure(write("a.pdb", PDB))
    assert [s.scattering_type for s in structure.scatterers()] == ["C", "Ca"]
    assert structure.scatterers()[0].u_iso == pytest.approx(10 / (8 * np.pi**2))
    cell = structure.unit_cell()
    assert cell.orthogonalize(structure.scatterers()[0].site) == pytest.approx(
        (1, 2, 3)
    )
    assert structure.scatterers()[1].occupancy == 0.5


@pytest.mark.parametrize(
    "name,contents",
    [
        ("abiraterone", {"C": 104, "H": 132, "N": 4, "O": 8}),  # 4 C26 H33 N O2
        ("glycine", {"C": 8, "H": 20, "N": 4, "O": 8}),  # 4 C2 H5 N O2
        ("paracetamol", {"C": 64, "H": 72, "N": 8, "O": 16}),  # 8 C8 H9 N O2
        ("quartz", {"O": 6, "Si": 3}),
    ],
)
def test_built_in_structures_have_the_right_formula(name, contents):
    structure = read_structure(name)
    assert structure.unit_cell_content() == pytest.approx(contents)
    assert name in BUILT_IN


@pytest.mark.parametrize(
    "name,text,told",
    [
        ("a.cif", CIF.replace("O2-", "Xx"), "atom O1 is of type Xx"),
        ("a.cif", CIF.replace("Na1+", "Na7+"), "atom Na1 is of type Na7"),
        ("a.cif", CIF + CIF.replace("first", "second"), "cif_block=: first, second"),
        ("a.cif", CIF.replace("P 1 21/c 1", "Q 7"), "symmetry"),
        ("a.cif", "not a cif", "cannot be read"),
        ("a.cif", "data_x\n_cell_length_a 5\n", "no atoms"),
        ("a.cif", "", "no atoms"),
        ("a.ins", "TITL nothing", "no CELL"),
        ("a.pdb", PDB.split("\n", 1)[1], "no unit cell"),
        ("a.txt", CIF, "is read from .cif"),
    ],
)
def test_unreadable_files_are_told_in_one_line(write, name, text, told):
    with pytest.raises(ValueError, match=".*" + told) as error:
        read_structure(write(name, text))
    assert "\n" not in str(error.value)


def test_a_block_is_chosen_by_name(write):
    other = CIF.replace("first", "second").replace("5.10(2)", "5.5")
    path = write("a.cif", CIF + other)
    assert read_structure(path, "second").unit_cell().parameters()[0] == 5.5
    with pytest.raises(ValueError, match="no structure is called third"):
        read_structure(path, "third")


def test_names_that_are_no_structure(tmp_path):
    with pytest.raises(ValueError, match="no such file, and no built-in"):
        read_structure("quarz")
    with pytest.raises(ValueError, match="a folder"):
        read_structure(str(tmp_path))


def settings() -> list[str]:
    return [s.hall() for s in sgtbx.space_group_symbol_iterator()]


def test_there_are_all_the_settings():
    assert len(settings()) == 530  # International Tables A, as listed in cctbx


@pytest.mark.slow
def test_all_settings_of_all_space_groups(write):
    """Read back from a CIF, |F|² obeys the Laue group and the absences of the setting,
    and is that of a sum over all atoms of the cell with form factors taken one by one."""
    rng = np.random.default_rng(4)
    grid = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
    for hall in settings():
        group = sgtbx.space_group(hall)
        structure = xray.structure(
            crystal_symmetry=crystal.symmetry(
                unit_cell=random_cell(rng, group, 8.0 * group.order_z() + 100),
                space_group=group,
            )
        )
        for element in ("C", "O"):
            site = tuple(np.round(rng.random(3), 6))
            structure.add_scatterer(xray.scatterer(element, site=site, u=0.03))
        read = read_structure(write("setting.cif", write_cif(structure, "x")))
        assert read.space_group() == group
        hkl = grid[np.any(grid, axis=1)]
        F = structure_factors(read, hkl)
        intensity = np.abs(F) ** 2
        largest = intensity.max()
        indices = flex.miller_index([*map(tuple, hkl.tolist())])
        absent = np.array(group.is_sys_absent(indices))
        assert (intensity[absent] < 1e-12 * largest).all(), hall
        # By place in the grid: nan outside of it.
        whole = np.full((11, 11, 11), np.nan)
        whole[tuple((hkl + 5).T)] = intensity
        rotations = np.array([op.r().as_double() for op in group.smx()])
        mates = np.rint(hkl[:20] @ rotations.reshape(-1, 3, 3)).astype(int)
        of_mates = whole[tuple(np.moveaxis(np.clip(mates, -5, 5) + 5, -1, 0))]
        known = np.isfinite(of_mates)
        expected = np.broadcast_to(intensity[:20], known.shape)
        np.testing.assert_allclose(
            of_mates[known],
            expected[known],
            rtol=1e-6,
            atol=1e-9 * largest,
            err_msg=hall,
        )
        np.testing.assert_allclose(
            np.abs(F), np.abs(sum_over_cell(read, hkl)), atol=1e-9 * np.sqrt(largest)
        )


def sum_over_cell(structure: xray.structure, hkl: np.ndarray) -> np.ndarray:
    """Σ f exp(2πi h·x) over all atoms of the cell, each placed by a symmetry operator."""
    s = np.array([structure.unit_cell().stol(tuple(int(x) for x in h)) for h in hkl])
    F = np.zeros(len(hkl), dtype=complex)
    registry = structure.scattering_type_registry(table="electron")
    for scatterer in structure.scatterers():
        f = registry.gaussian(scatterer.scattering_type)
        f = np.array([f.at_stol(x) for x in s])
        f = f * np.exp(-8 * np.pi**2 * scatterer.u_iso * s**2)
        weight = scatterer.multiplicity() / structure.space_group().order_z()
        for operator in structure.space_group().all_ops():
            mate = np.array(operator * scatterer.site)
            F += weight * f * np.exp(2j * np.pi * (hkl @ mate))
    return F


def test_a_single_atom_need_not_be_in_a_loop(write):
    atom = {"label": "C1", "type_symbol": "C", "U_iso_or_equiv": "0.02"}
    atom.update(zip(("fract_x", "fract_y", "fract_z"), ("0.1(2)", "0.2", "0.3")))
    text = CIF.split("loop_")[0]
    text += "".join(f"_atom_site_{name} {value}\n" for name, value in atom.items())
    (scatterer,) = read_structure(write("a.cif", text)).scatterers()
    assert scatterer.site == (0.1, 0.2, 0.3) and scatterer.u_iso == 0.02


@pytest.mark.parametrize("name", sorted(BUILT_IN))
@pytest.mark.parametrize("operator", ["a,b,c", "b,c,a"])
def test_a_written_cif_has_core_names_and_gives_the_amplitudes_again(
    tmp_path, name, operator
):
    """By its own reader, and by gemmi where it is installed: a sum written here."""
    structure = read_structure(name)
    structure = structure.change_basis(sgtbx.change_of_basis_op(operator))
    path = tmp_path / "w.cif"
    path.write_text(write_cif(structure, f"{name} again"))
    text = path.read_text()
    assert not re.search(r"^\s*_\w+\.", text, re.MULTILINE)
    assert text.startswith(f"data_{name}_again\n") and "_scat_" not in text
    again = read_structure(str(path))
    assert again.space_group() == structure.space_group()
    hkl = np.array([(1, 0, 2), (2, 1, 1), (0, 3, 1), (3, 2, 4), (1, 5, 0), (4, 1, 2)])
    F = np.abs(structure_factors(structure, hkl))
    largest = np.abs(structure_factors(structure, np.array([(0, 0, 0)])))[0]
    np.testing.assert_allclose(
        np.abs(structure_factors(again, hkl)), F, atol=1e-4 * largest
    )
    gemmi = pytest.importorskip("gemmi")
    other = gemmi.read_small_structure(str(path))
    np.testing.assert_allclose(
        other.cell.parameters, structure.unit_cell().parameters(), atol=1e-4
    )
    if operator == "a,b,c":  # gemmi has no name for trigonal axes along a
        number = structure.space_group_info().type().number()
        assert other.spacegroup.number == number
    ours = {gemmi.Op(op.as_xyz()).wrap().triplet() for op in structure.space_group()}
    assert {gemmi.Op(op).wrap().triplet() for op in other.symops} == ours
    assert len(other.sites) == structure.scatterers().size()
    assert len(other.symops) == structure.space_group().order_z()
    for site, atom in zip(other.sites, structure.scatterers()):
        np.testing.assert_allclose(site.fract.tolist(), atom.site, atol=1e-6)
        assert site.occ == pytest.approx(atom.occupancy)
        assert site.element.name == re.match("[A-Z][a-z]?", atom.scattering_type)[0]


def test_a_block_of_an_mmcif_with_two_structures_is_chosen(tmp_path):
    """Cells and sites of P1, so that orthogonal coordinates are a, b, c times those."""
    text = "".join(
        f"""data_{name}
_cell.length_a 5
_cell.length_b 6
_cell.length_c 7
_cell.angle_alpha 90
_cell.angle_beta 90
_cell.angle_gamma 90
_symmetry.space_group_name_H-M 'P 1'
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
HETATM 1 C C1 UNL A 1 {x} 3.0 0.7 1.0 2.0
"""
        for name, x in (("one", 1.0), ("two", 2.0))
    )
    path = tmp_path / "two.cif"
    path.write_text(text)
    for name, x in (("one", 0.2), ("two", 0.4)):
        (atom,) = read_structure(str(path), name).scatterers()
        np.testing.assert_allclose(atom.site, (x, 0.5, 0.1), atol=1e-4)
    with pytest.raises(ValueError, match="choose one with cif_block=: one, two"):
        read_structure(str(path))
    with pytest.raises(
        ValueError, match="no structure is called x; there are: one, two"
    ):
        read_structure(str(path), "x")
