"""CIF as databases and programs write them, against a sum over the atoms by hand."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

from dials_spread.structures.cell_content import cell_content

CELL = (7.0, 8.0, 9.0, 90.0, 100.0, 90.0)
P21C = ("x,y,z", "-x,1/2+y,1/2-z", "-x,-y,-z", "x,1/2-y,1/2+z")
HEAD = """data_t
_cell_length_a 7.0
_cell_length_b 8.0
_cell_length_c 9.0
_cell_angle_alpha 90
_cell_angle_beta 100
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1 21/c 1'
"""
NAMES = "label type_symbol fract_x fract_y fract_z U_iso_or_equiv occupancy".split()
ATOMS = """C1 C 0.1 0.2 0.3 0.03 1
O1 O 0.3 0.2 0.3 0.05 0.5
N1 N 0.35 0.3 0.45 0.04 0.25(2)
"""
PLAIN = [
    ("C", 0.1, 0.2, 0.3, 1, 0.03),
    ("O", 0.3, 0.2, 0.3, 0.5, 0.05),
    ("N", 0.35, 0.3, 0.45, 0.25, 0.04),
]


def loop(names, rows: str, prefix: str = "_atom_site_") -> str:
    return "loop_\n" + "".join(f"{prefix}{name}\n" for name in names) + rows


def with_atoms(rows: str = ATOMS, names=NAMES, more: str = "", head: str = HEAD) -> str:
    return head + more + loop(names, rows)


def changed(number: int, **values):
    """The atoms of PLAIN, one of them changed."""
    atoms = [dict(zip(("e", "x", "y", "z", "occ", "u"), atom)) for atom in PLAIN]
    atoms[number].update(values)
    return [tuple(atom.values()) for atom in atoms]


BETA = loop(
    ["label", *(f"beta_{ij}" for ij in ("11", "22", "33", "12", "13", "23"))],
    "O1 0.0125 0.0123 0.0126 0.0001 0.0002 0.0003\n",
    "_atom_site_aniso_",
)
ASTAR = np.array(
    [1 / (7 * np.sin(np.radians(100))), 1 / 8, 1 / (9 * np.sin(np.radians(100)))]
)
I, J = np.array([0, 1, 2, 0, 0, 1]), np.array([0, 1, 2, 1, 2, 2])
U_OF_BETA = np.array([0.0125, 0.0123, 0.0126, 0.0001, 0.0002, 0.0003]) / (
    2 * np.pi**2 * ASTAR[I] * ASTAR[J]
)
ANISO_B = BETA.replace("beta_", "B_")
ANISO_U = BETA.replace("beta_", "U_").replace("0.0002", "?")
UNIFIED = with_atoms().replace("_atom_site_", "_atom_site.").replace("_cell_", "_cell.")

SAME = {
    "as it should be": (with_atoms(), PLAIN),
    "one occupancy unknown": (with_atoms(ATOMS.replace("0.03 1", "0.03 .")), PLAIN),
    "one occupancy a question": (with_atoms(ATOMS.replace("0.03 1", "0.03 ?")), PLAIN),
    "another unknown": (
        with_atoms(ATOMS.replace("0.05 0.5", "0.05 ?")),
        changed(1, occ=1.0),
    ),
    "all occupancies unknown": (
        with_atoms("C1 C 0.1 0.2 0.3 0.03 .\nO1 O 0.3 0.2 0.3 0.05 .\n"),
        [PLAIN[0], ("O", 0.3, 0.2, 0.3, 1, 0.05)],
    ),
    "one U unknown": (with_atoms(ATOMS.replace("0.05 0.5", ". 0.5")), changed(1, u=0.035)),
    "one U a question": (
        with_atoms(ATOMS.replace("0.03 1", "? 1")),
        changed(0, u=0.045),
    ),
    "one U unknown but anisotropic": (
        with_atoms(ATOMS.replace("0.05 0.5", ". 0.5")) + BETA,
        changed(1, u=U_OF_BETA),
    ),
    "B": (
        with_atoms(
            "C1 C 0.1 0.2 0.3 2.5\nO1 O 0.3 0.2 0.3 ?\nN1 N 0.35 0.3 0.45 3.5(1)\n",
            [*NAMES[:5], "B_iso_or_equiv"],
        ),
        [
            ("C", 0.1, 0.2, 0.3, 1, 2.5 / (8 * np.pi**2)),
            ("O", 0.3, 0.2, 0.3, 1, 3.0 / (8 * np.pi**2)),
            ("N", 0.35, 0.3, 0.45, 1, 3.5 / (8 * np.pi**2)),
        ],
    ),
    "U of one and B of the others": (
        with_atoms(
            "C1 C 0.1 0.2 0.3 . 2.5\nO1 O 0.3 0.2 0.3 0.05 .\n",
            [*NAMES[:6], "B_iso_or_equiv"],
        ),
        [
            ("C", 0.1, 0.2, 0.3, 1, 2.5 / (8 * np.pi**2)),
            ("O", 0.3, 0.2, 0.3, 1, 0.05),
        ],
    ),
    "beta": (with_atoms() + BETA, changed(1, u=U_OF_BETA)),
    "anisotropic B": (
        with_atoms() + ANISO_B.replace("0.0125", "2.5"),
        changed(
            1,
            u=np.array([2.5, 0.0123, 0.0126, 0.0001, 0.0002, 0.0003]) / (8 * np.pi**2),
        ),
    ),
    "an unknown component": (with_atoms() + ANISO_U, PLAIN),
    "dotted names": (UNIFIED, PLAIN),
    "capitals": (with_atoms().replace("_atom_site_fract", "_ATOM_SITE_FRACT"), PLAIN),
    "a dummy": (
        with_atoms(
            "C1 C 0.1 0.2 0.3 0.03 1 Uiso d\nX C 0.5 0.4 0.3 0.03 1 Uiso dum\n",
            [*NAMES, "adp_type", "calc_flag"],
        ),
        PLAIN[:1],
    ),
    "an atom that was not found": (
        with_atoms(ATOMS + "H1 H ? ? ? ? 1\n"),
        PLAIN,
    ),
    "no type symbols": (
        with_atoms(
            "C1 0.1 0.2 0.3 0.03\nO1A 0.3 0.2 0.3 0.05\n",
            [NAMES[0], *NAMES[2:6]],
        ),
        [PLAIN[0], ("O", 0.3, 0.2, 0.3, 1, 0.05)],
    ),
    "beside a centre": (
        with_atoms(
            "C1 C 0.505 0.505 0.5 0.03 0.5 -1\nO1 O 0.3 0.2 0.3 0.05 0.5 .\n",
            [*NAMES, "disorder_group"],
        ),
        [("C", 0.505, 0.505, 0.5, 0.5, 0.03), PLAIN[1]],
    ),
    "charge of zero": (with_atoms(ATOMS.replace("C1 C ", "C1 C0+ ")), PLAIN),
    "unknown wavelength": (
        with_atoms(more="_diffrn_radiation_wavelength .\n_cell_measurement_temperature ?\n"),
        PLAIN,
    ),
    "angles of 90 left out": (
        with_atoms(
            head=HEAD.replace("_cell_angle_alpha 90\n", "").replace(
                "gamma 90", "gamma ?"
            )
        ),
        PLAIN,
    ),
    "no modulation": (with_atoms(more="_cell_modulation_dimension 0\n"), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_amplitudes_are_those_of_the_atoms(name, tmp_path, direct_sum, read_amplitudes):
    text, atoms = SAME[name]
    path = tmp_path / "a.cif"
    path.write_text(text)
    read, _ = read_amplitudes(path)
    expected = direct_sum(CELL, P21C, atoms)
    np.testing.assert_allclose(read, expected, atol=1e-4 * expected.max())


def test_small_cases(cases, direct_sum, read_amplitudes):
    read, _ = read_amplitudes(cases / "occupancy_unknown.cif")
    atoms = [("C", 0.1, 0.2, 0.3, 1, 0.03), ("O", 0.3, 0.2, 0.3, 0.5, 0.03)]
    atoms.append(("O", 0.3, 0.3, 0.4, 0.25, 0.03))
    np.testing.assert_allclose(read, direct_sum(CELL, P21C, atoms), rtol=1e-5)

    read, _ = read_amplitudes(cases / "beta.cif")
    second = U_OF_BETA * (1, 1, 1, 0, 0, 0)
    atoms = [("C", 0.1, 0.2, 0.3, 1, U_OF_BETA), ("C", 0.3, 0.2, 0.3, 1, second)]
    np.testing.assert_allclose(read, direct_sum(CELL, P21C, atoms), rtol=1e-5)
    assert U_OF_BETA[0] == pytest.approx(0.0301, abs=5e-5)

    for block, y in (("t", 0.2), ("u", 0.25)):
        _, structure = read_amplitudes(cases / "two_structures.cif", block=block)
        assert structure.scatterers()[1].site[1] == y


@pytest.mark.parametrize(
    "more,told",
    [
        ("_cell_modulation_dimension 1\n", "_cell_modulation_dimension"),
        ("_space_group_ssg_name 'P21/c(0b0)s0'\n", "_space_group_ssg_name"),
        ("_space_group_ssg_name_WJJ 'P:C2/m'\n", "_space_group_ssg_name"),
        (
            loop(["label", "axis"], "C1 x\n", "_atom_site_displace_Fourier_atom_site_"),
            "_atom_site_displace",
        ),
        ("_cell_wave_vector_seq_id 1\n_cell_wave_vector_x 0.3\n", "_cell_wave_vector"),
    ],
)
def test_modulated_structures_are_refused(more, told, tmp_path, read_amplitudes):
    path = tmp_path / "m.cif"
    path.write_text(with_atoms(more=more))
    with pytest.raises(ValueError, match="m.cif: data_t: a modulated") as error:
        read_amplitudes(path)
    assert told.lower() in str(error.value) and "\n" not in str(error.value)


SILICON = """data_Si
_cell_length_a 5.431
_cell_length_b 5.431
_cell_length_c 5.431
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
{}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Si1 Si {} 0.006
"""
DIAMOND = [
    ("Si", *np.add(corner, shift), 1, 0.006)
    for corner in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
    for shift in (0.0, 0.25)
]
FORMULA = "_chemical_formula_sum Si\n_cell_formula_units_Z 8\n"
NAME = "_space_group_name_H-M_alt"
CODE = "_space_group_IT_coordinate_system_code"


@pytest.mark.parametrize(
    "symmetry,site",
    [
        (f"{NAME} 'F d -3 m :1'", "0 0 0"),
        (f"{NAME} 'F d -3 m:2'", "0.125 0.125 0.125"),
        (f"{NAME} 'F d -3 m'\n{CODE} 1", "0 0 0"),
        (f"{NAME} 'F d -3 m'\n{CODE} 2", "0.125 0.125 0.125"),
        (f"{NAME} 'F d -3 m S'", "0 0 0"),
        (f"{NAME} 'F d -3 m Z'", "0.125 0.125 0.125"),
        (f"{NAME} 'F d -3 m'\n{FORMULA}", "0 0 0"),
        (f"{NAME} 'F d -3 m'\n{FORMULA}", "0.125 0.125 0.125"),
        (f"_space_group_IT_number 227\n{CODE} 1", "0 0 0"),
        (f"_space_group_IT_number 227\n{FORMULA}", "0 0 0"),
        (f"{NAME} 'F d -3 m :1'\n_space_group_IT_number 227", "0 0 0"),
        ("_space_group_name_Hall 'F 4d 2 3 -1d'", "0 0 0"),
    ],
)
def test_silicon_has_eight_atoms(symmetry, site, tmp_path, direct_sum, read_amplitudes):
    path = tmp_path / "si.cif"
    path.write_text(SILICON.format(symmetry, site))
    read, structure = read_amplitudes(path)
    assert cell_content(structure) == {"Si": 8}
    expected = direct_sum((*[5.431] * 3, *[90.0] * 3), ["x,y,z"], DIAMOND)
    np.testing.assert_allclose(read, expected, atol=1e-4 * expected.max())


def test_an_open_origin_is_told(tmp_path, read_amplitudes, caplog):
    path = tmp_path / "si.cif"
    path.write_text(SILICON.format(f"{NAME} 'F d -3 m'", "0 0 0"))
    with caplog.at_level(logging.WARNING):
        _, structure = read_amplitudes(path)
    assert cell_content(structure) == {"Si": 16}
    assert "does not say which origin" in caplog.text


@pytest.mark.parametrize(
    "symmetry,expected",
    [
        (f"{NAME} 'P 1 21/n 1'\n_space_group_IT_number 14", "P 1 21/n 1"),
        (f"{NAME} 'P 21/n'\n_symmetry_Int_Tables_number 14", "P 1 21/n 1"),
        (f"_space_group_IT_number 14\n{CODE} b2", "P 1 21/n 1"),
        (f"_space_group_IT_number 14\n{CODE} c1", "P 1 1 21/a"),
        (f"{NAME} 'P 2~1~/c'", "P 1 21/c 1"),
        (f"{NAME} 'P2(1)/c'", "P 1 21/c 1"),
        (f"_space_group_IT_number 62\n{CODE} cab", "P b n m"),
    ],
)
def test_the_setting_is_kept(symmetry, expected, tmp_path, read_amplitudes):
    path = tmp_path / "a.cif"
    head = HEAD.split("_space")[0].replace("beta 100", "beta 90")
    path.write_text(with_atoms(head=head + symmetry + "\n"))
    _, structure = read_amplitudes(path)
    assert str(structure.space_group_info()) == expected


@pytest.mark.parametrize("cell,name", [((5.0, 120), "H"), ((5.0, 80), "R")])
def test_axes_of_rhombohedral_groups_by_the_cell(cell, name, tmp_path, read_amplitudes):
    path = tmp_path / "r.cif"
    a, angle = cell
    others = 90 if name == "H" else angle
    head = (
        f"data_r\n_cell_length_a {a}\n_cell_length_b {a}\n_cell_length_c "
        f"{12 if name == 'H' else a}\n_cell_angle_alpha {others}\n_cell_angle_beta "
        f"{others}\n_cell_angle_gamma {angle}\n{NAME} 'R -3 m'\n"
    )
    path.write_text(with_atoms(head=head))
    _, structure = read_amplitudes(path)
    assert str(structure.space_group_info()) == f"R -3 m :{name}"


RIGHT = "_chemical_formula_sum 'C4 N O2'\n_cell_formula_units_Z 1\n"


@pytest.mark.parametrize(
    "more,told",
    [
        (RIGHT, None),
        (RIGHT.replace("Z 1", "Z ?"), None),
        ("_chemical_formula_sum ?\n_cell_formula_units_Z 4\n", None),
        (RIGHT.replace("Z 1", "Z 2"), "make C4 N1 O2 .* is C8 N2 O4"),
        (RIGHT.replace("C4", "C4 H8"), "make C4 N1 O2 .* is C4 H8 N1 O2"),
        (RIGHT.replace("O2", "O4").replace("Z 1", "Z ?"), "is C4 N1 O4"),
    ],
)
def test_content_against_the_formula(more, told, tmp_path, read_amplitudes, caplog):
    path = tmp_path / "f.cif"
    path.write_text(with_atoms(more=more))
    with caplog.at_level(logging.WARNING):
        read_amplitudes(path)
    if told is None:
        assert "make" not in caplog.text
    else:
        assert re.search(told, caplog.text)


def test_attached_hydrogens_and_unknown_u_are_told(tmp_path, read_amplitudes, caplog):
    path = tmp_path / "h.cif"
    rows = "C1 C 0.1 0.2 0.3 0.03 1 3\nO1 O 0.3 0.2 0.3 ? 0.5 .\n"
    path.write_text(with_atoms(rows, [*NAMES, "attached_hydrogens"]))
    with caplog.at_level(logging.WARNING):
        read_amplitudes(path)
    assert "3 hydrogen atoms are said to be attached" in caplog.text
    assert "no displacement is given for O1" in caplog.text
    assert "occupanc" not in caplog.text


@pytest.mark.parametrize(
    "text,told",
    [
        (with_atoms(ATOMS.replace("0.05 0.5", "0.05 half")), "O1: .*occupancy is half"),
        (with_atoms(ATOMS.replace("0.35 0.3 ", "nan 0.3 ")), "N1: .*fract_x is nan"),
        (with_atoms(head=HEAD.replace("a 7.0", "a ?")), "no unit cell"),
        (with_atoms(head=HEAD.replace("a 7.0", "a seven")), "_cell_length is seven"),
        (with_atoms(head=HEAD.replace("gamma 90", "gamma 97")), "not one of space group"),
        (with_atoms(head=HEAD.replace("'P 1 21/c 1'", "?")), "no symmetry operations"),
        (with_atoms(more="_symmetry_equiv_pos_as_xyz 'x,y,w'\n"), "operation x,y,w"),
        (with_atoms() + BETA.replace("0.0125", "big"), "O1: .*beta is big"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(text, told, tmp_path, read_amplitudes):
    path = tmp_path / "bad.cif"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"bad.cif: data_t.*{told}") as error:
        read_amplitudes(path)
    assert "\n" not in str(error.value)
