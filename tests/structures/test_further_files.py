"""Further valid files as programs write them, against a sum that shares no code."""

from __future__ import annotations

import numpy as np
import pytest

CELL = (6.1, 7.2, 8.3, 90, 104, 90)
CELL_TEXT = """_cell_length_a 6.100(1)
_cell_length_b 7.200(1)
_cell_length_c 8.300(2)
_cell_angle_alpha 90
_cell_angle_beta 104.00(1)
_cell_angle_gamma 90.
"""
P21C = ("x,y,z", "-x,-y,-z", "-x,y+1/2,-z+1/2", "x,-y+1/2,z+1/2")
P21N = ("x,y,z", "-x,-y,-z", "-x+1/2,y+1/2,-z+1/2", "x+1/2,-y+1/2,z+1/2")
ATOMS = (
    ("C", 0.1234, -0.0123, 0.3, 1, 0.03),
    ("O", 0.31, 0.22, 0.37, 0.5, 0.05),
    ("N", 0.75, 0.41, 0.12, 1, 0.04),
)
B = 8 * np.pi**2

ROWS = """C1 C 0.1234(5) -0.0123(12) 3.0e-1 0.030(2) 1
O1 O 0.31 0.22 0.37 0.05 0.500(3)
N1 N 0.75(1) 0.41 0.12 4.0E-2 1.
"""
LOOP = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
_atom_site_occupancy
"""
SYMMETRY = "_symmetry_space_group_name_H-M 'P 21/c'\n"


def cif(symmetry=SYMMETRY, loop=LOOP, rows=ROWS, cell=CELL_TEXT, head="data_x\n"):
    return head + cell + symmetry + loop + rows


def orthogonal(cell):
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta")
    pairs = zip((*names, "angle_gamma"), cell)
    return "".join(f"_cell_{name} {value}\n" for name, value in pairs)


CUBE = (5.2, 6.3, 7.4, 90, 90, 90)
ONE = "Si1 Si 0.11 0.07 0.23 0.02 1\nO1 O 0.4 0.15 0.05 0.03 1\n"
ONE_ATOMS = (("Si", 0.11, 0.07, 0.23, 1, 0.02), ("O", 0.4, 0.15, 0.05, 1, 0.03))
# C m c e (64) with the C centring.
CMCE = [
    f"{x},{y},{z}"
    for a, b in (("", ""), ("+1/2", "+1/2"))
    for x, y, z in (
        (f"x{a}", f"y{b}", "z"),
        (f"-x{a}", f"-y+1/2{b}", "z+1/2"),
        (f"-x{a}", f"y+1/2{b}", "-z+1/2"),
        (f"x{a}", f"-y{b}", "-z"),
        (f"-x{a}", f"-y{b}", "-z"),
        (f"x{a}", f"y+1/2{b}", "-z+1/2"),
        (f"x{a}", f"-y+1/2{b}", "z+1/2"),
        (f"-x{a}", f"y{b}", "z"),
    )
]
B2M = [
    f"{x},{y},{z}"
    for a, c in (("", ""), ("+1/2", "+1/2"))
    for x, y, z in (
        (f"x{a}", "y", f"z{c}"),
        (f"-x{a}", "-y", f"z{c}"),
        (f"-x{a}", "-y", f"-z{c}"),
        (f"x{a}", "y", f"-z{c}"),
    )
]
P31 = ("x,y,z", "-y,x-y,z", "-x+y,-x,z")
TENSOR = (0.02, 0.03, 0.04, 0.003, -0.006, 0.004)

CIFS = {
    "su, exponents and trailing points": (cif(), CELL, P21C, ATOMS),
    "old operators in capitals with decimals": (
        cif(
            "loop_\n_symmetry_equiv_pos_site_id\n_symmetry_equiv_pos_as_xyz\n"
            "1 'X, Y, Z'\n2 '-X, -Y, -Z'\n3 '0.5-X, 0.5+Y, 0.5-Z'\n"
            "4 '.5+X, .5-Y, .5+Z'\n"
        ),
        *(CELL, P21N, ATOMS),
    ),
    "operators alone, not in a loop": (
        cif("_space_group_symop_operation_xyz 'x, y, z'\n"),
        *(CELL, ("x,y,z",), ATOMS),
    ),
    "short symbol of another setting": (
        cif("_space_group_name_H-M_alt P21/n\n"), CELL, P21N, ATOMS,
    ),
    "number of the group alone": (
        cif("_space_group_IT_number 14\n"), CELL, P21C, ATOMS,
    ),
    "capitals, byte order mark, comments, Windows lines": (
        "\ufeff"
        + cif(loop="# a comment\n" + LOOP.upper().replace("LOOP_", "LOOP_"))
        .replace("_cell", "_CELL")
        .replace("\n", "\r\n"),
        *(CELL, P21C, ATOMS),
    ),
    "elements from labels": (
        cif(
            loop=LOOP.replace("_atom_site_type_symbol\n", ""),
            rows="C12A 0.1234 -0.0123 0.3 0.03 1\nO(W1) 0.31 0.22 0.37 0.05 .5\n"
            "N1' 0.75 0.41 0.12 0.04 1\n",
        ),
        *(CELL, P21C, ATOMS),
    ),
    "isotopes": (
        cif(
            rows="Si1 Si 0.1 0.2 0.3 0.02 1\nO1 O 0.3 0.1 0.4 0.03 1\n"
            "D1 D 0.6 0.1 0.4 0.03 1\n"
        ),
        *(CELL, P21C),
        (
            ("Si", 0.1, 0.2, 0.3, 1, 0.02),
            ("O", 0.3, 0.1, 0.4, 1, 0.03),
            ("H", 0.6, 0.1, 0.4, 1, 0.03),
        ),
    ),
    "B beside U, each where it is known": (
        cif(
            loop=LOOP.replace(
                "_atom_site_occupancy",
                "_atom_site_occupancy\n_atom_site_B_iso_or_equiv",
            ),
            rows=f"C1 C 0.1234 -0.0123 0.3 . 1 {0.03 * B}\n"
            f"O1 O 0.31 0.22 0.37 ? 0.5 {0.05 * B}\nN1 N 0.75 0.41 0.12 0.04 1 .\n",
        ),
        *(CELL, P21C, ATOMS),
    ),
    "B tensors": (
        cif(rows=ROWS + "loop_\n_atom_site_aniso_label\n"
            + "".join(f"_atom_site_aniso_B_{n}\n" for n in ("11", "22", "33", "12", "13", "23"))
            + "O1 " + " ".join(f"{u * B:.7f}" for u in TENSOR) + "\n"),
        *(CELL, P21C),
        (ATOMS[0], ("O", 0.31, 0.22, 0.37, 0.5, TENSOR), ATOMS[2]),
    ),
    "tensors in the loop of the atoms": (
        cif(
            loop=LOOP + "".join(
                f"_atom_site_aniso_U_{n}\n" for n in ("11", "22", "33", "12", "13", "23")),
            rows="C1 C 0.1234 -0.0123 0.3 0.03 1 . . . . . .\n"
            "O1 O 0.31 0.22 0.37 0.05 0.5 " + " ".join(map(str, TENSOR))
            + "\nN1 N 0.75 0.41 0.12 0.04 1 ? ? ? ? ? ?\n",
        ),
        *(CELL, P21C),
        (ATOMS[0], ("O", 0.31, 0.22, 0.37, 0.5, TENSOR), ATOMS[2]),
    ),
    "two elements on one site, and disorder": (
        cif(
            loop=LOOP + "_atom_site_disorder_assembly\n_atom_site_disorder_group\n",
            rows="Na1 Na 0.1 0.2 0.3 0.02 0.6 . .\nK1 K 0.1 0.2 0.3 0.02 0.4 . .\n"
            "O1A O 0.4 0.2 0.3 0.03 0.7 A 1\nO1B O 0.42 0.24 0.3 0.03 0.3 A 2\n",
        ),
        *(CELL, P21C),
        (("Na", 0.1, 0.2, 0.3, 0.6, 0.02), ("K", 0.1, 0.2, 0.3, 0.4, 0.02),
         ("O", 0.4, 0.2, 0.3, 0.7, 0.03), ("O", 0.42, 0.24, 0.3, 0.3, 0.03)),
    ),
    "two atoms of one label": (
        cif(rows="C1 C 0.1 0.2 0.3 0.02 1\nC1 C 0.4 0.1 0.2 0.03 1\n"),
        *(CELL, P21C),
        (("C", 0.1, 0.2, 0.3, 1, 0.02), ("C", 0.4, 0.1, 0.2, 1, 0.03)),
    ),
    "symbols with e": (
        cif("_space_group_name_H-M_alt 'C m c e'\n", rows=ONE, cell=orthogonal(CUBE)),
        *(CUBE, CMCE, ONE_ATOMS),
    ),
    "the old symbol of it": (
        cif("_symmetry_space_group_name_H-M 'C m c a'\n", rows=ONE, cell=orthogonal(CUBE)),
        *(CUBE, CMCE, ONE_ATOMS),
    ),
    "unique axis c": (
        cif("_symmetry_space_group_name_H-M 'B 1 1 2/m'\n", rows=ONE,
            cell=orthogonal((5.2, 6.3, 7.4, 90, 90, 101))),
        *((5.2, 6.3, 7.4, 90, 90, 101), B2M, ONE_ATOMS),
    ),
    "a lattice that no letter has": (
        cif("_space_group_name_H-M_alt 'X -1'\nloop_\n_space_group_symop_operation_xyz\n"
            "x,y,z\n-x,-y,-z\nx+1/3,y+1/3,z\n-x+1/3,-y+1/3,-z\nx+2/3,y+2/3,z\n"
            "-x+2/3,-y+2/3,-z\n", rows=ONE, cell=orthogonal((9, 6.3, 7.4, 80, 95, 101))),
        *((9, 6.3, 7.4, 80, 95, 101),),
        ("x,y,z", "-x,-y,-z", "x+1/3,y+1/3,z", "-x+1/3,-y+1/3,-z", "x+2/3,y+2/3,z",
         "-x+2/3,-y+2/3,-z"),
        ONE_ATOMS,
    ),
    "thirds with four digits, and beyond the cell": (
        cif("_symmetry_space_group_name_H-M 'P 3'\n",
            rows="C1 C 0.3333 0.6667 1.25 0.02 1\nO1 O -0.9 1.15 0.05 0.03 1\n",
            cell=orthogonal((6, 6, 7.4, 90, 90, 120))),
        *((6, 6, 7.4, 90, 90, 120), P31),
        (("C", 1 / 3, 2 / 3, 0.25, 1, 0.02), ("O", 0.1, 0.15, 0.05, 1, 0.03)),
    ),
    "text fields before the atoms": (
        cif(head="data_x\n_publ_section_comment\n;\nloop_\n_atom_site_label\nC9\n;\n"
            "_chemical_name_common 'it''s \"x\"'\n".replace("it''s", "it s")),
        *(CELL, P21C, ATOMS),
    ),
}  # fmt: skip


def check(text, name, cell, operations, atoms, tmp_path, direct_sum, read_amplitudes):
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8"))
    read, _ = read_amplitudes(path)
    expected = direct_sum(cell, operations, atoms)
    np.testing.assert_allclose(read, expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("name", CIFS)
def test_cif(name, tmp_path, direct_sum, read_amplitudes):
    text, *rest = CIFS[name]
    check(text, "x.cif", *rest, tmp_path, direct_sum, read_amplitudes)


HEAD = """TITL a = sign at the end of a title =
CELL 0.0251 6.1 7.2 8.3 90 104 90
ZERR 4 .001 .001 .001 0 .01 0
LATT 1
SYMM -X, 0.5+Y, 0.5-Z
"""
SFAC = "SFAC C H N O\nUNIT 4 4 4 4\n"
TAIL = "HKLF 4\nEND\n"
C, O, N = ATOMS[0], ATOMS[1], ATOMS[2]
THREE = (
    "C1 1 0.1234 -0.0123 0.3 11 0.03\nO1 4 0.31 0.22 0.37 10.5 0.05\n"
    "N1 3 0.75 0.41 0.12 11 0.04\n"
)
EQUIVALENT = 0.03

INS = {
    "all that a .res file has": (
        HEAD + SFAC + "TEMP -100\nSIZE .1 .1 .1\nL.S. 10\nBOND $H\nACTA NOHKL\nLIST 4\n"
        "FMAP 2\nPLAN -20\nCONF\nHTAB\nMPLA 3 C1 O1 N1\nWGHT 0.1 0.2\nEXTI 0.01\n"
        "EQIV $1 -x, -y, -z\nHTAB N1 O1_$1\nDFIX_LIG 1.5 0.02 C1 O1\nSIMU_* C1 > N1\n"
        "SADI C1 N1 C1 O1\nEADP C1 C1\nRIGU\nANIS 2\nDELU $C\nISOR 0.01 C1\n"
        "FVAR 0.5\nREM a remark =\nMERG 2\nOMIT -2 180\nOMIT 1 0 0\nSHEL 99 0.8\n"
        + THREE + TAIL + "\nREM after the end\nWGHT 1 2\nQ1 1 0 0 0 11 0.05 3.2\n",
        ATOMS,
    ),
    "lower case, tabs and comments": (
        (HEAD + SFAC + "FVAR 1\n" + THREE + TAIL).lower().replace(
            "fvar 1\n", "fvar\t1 ! overall scale\n").replace("o1 4 0.31", "o1\t4  0.31"),
        ATOMS,
    ),
    "fixed coordinates and displacement": (
        HEAD + SFAC + "FVAR 1\nC1 1 10.1234 9.9877 10.3 11 10.03\n"
        "O1 4 10.31 10.22 0.37 10.5 0.05\nN1 3 0.75 0.41 0.12 11 0.04\n" + TAIL,
        ATOMS,
    ),
    "coordinates and U by free variables": (
        HEAD + SFAC + "FVAR 1 0.25 =\n 0.04 0.62\n"
        # 2 · 0.25 · … : x = 0.4 × 0.25, y = -(1 × (0.25 - 1)), z as it is
        "C1 1 20.4 -21 0.3 11 31\nO1 4 0.31 0.22 0.37 41 0.05\n"
        "N1 3 0.75 0.41 0.12 -41 30.5\n" + TAIL,
        (("C", 0.1, 0.75, 0.3, 1, 0.04), ("O", 0.31, 0.22, 0.37, 0.62, 0.05),
         ("N", 0.75, 0.41, 0.12, 0.38, 0.02)),
    ),
    "free variables on several lines": (
        HEAD + SFAC + "FVAR 1 .1 .2 .3 .4 .5 .6\nFVAR .7 .8\nFVAR 0.35\n"
        "C1 1 0.1 0.2 0.3 81 0.03\nO1 4 0.31 0.22 0.37 101 0.05\n"
        "N1 3 0.75 0.41 0.12 -91 0.04\n" + TAIL,
        (("C", 0.1, 0.2, 0.3, 0.7, 0.03), ("O", 0.31, 0.22, 0.37, 0.35, 0.05),
         ("N", 0.75, 0.41, 0.12, 0.2, 0.04)),
    ),
    "disorder in parts, with an occupancy on PART": (
        HEAD + SFAC + "FVAR 1 0.7\nC1 1 0.1234 -0.0123 0.3 11 0.03\nPART 1 21\n"
        "O1A 4 0.31 0.22 0.37 11 0.05\nPART 2 -21\nO1B 4 0.36 0.22 0.37 11 0.05\n"
        "PART 0\nN1 3 0.75 0.41 0.12 11 0.04\n" + TAIL,
        (C, ("O", 0.31, 0.22, 0.37, 0.7, 0.05), ("O", 0.36, 0.22, 0.37, 0.3, 0.05), N),
    ),
    "a tensor over two lines, a rider on it": (
        HEAD + SFAC + "FVAR 1\nC1 1 0.1 0.2 0.3 11 0.02 0.03 =\n   0.04 0.004 -0.006 0.003\n"
        "AFIX 43\nH1 2 0.15 0.25 0.3 11 -1.2\nAFIX 0\n"
        "N1 3 0.75 0.41 0.12 11 0.04\n" + TAIL,
        (("C", 0.1, 0.2, 0.3, 1, TENSOR),
         ("H", 0.15, 0.25, 0.3, 1, "1.2 of C1"), N),
    ),
    "elements by 14 numbers among symbols": (
        HEAD + "SFAC C H\nSFAC N 0.1 1 0.2 2 0.3 3 0.4 4 0.5 0 0 1 0.7 =\n 14.0\n"
        "SFAC O\nUNIT 4 4 4 4\nFVAR 1\n" + THREE + TAIL,
        ATOMS,
    ),
    "no HKLF, no END, no ZERR": (
        HEAD.replace("ZERR 4 .001 .001 .001 0 .01 0\n", "") + SFAC + "FVAR 1\n" + THREE,
        ATOMS,
    ),
    "names of four letters that look like instructions": (
        HEAD + SFAC + "FVAR 1\nCONA 1 0.1234 -0.0123 0.3 11 0.03\n"
        "OMIA 4 0.31 0.22 0.37 10.5 0.05\nNEU1 3 0.75 0.41 0.12 11 0.04\n" + TAIL,
        ATOMS,
    ),
}  # fmt: skip


def equivalent(u) -> float:
    """U_eq of the tensor in the cell of the tests: a third of the trace on real axes."""
    a, b, c = CELL[:3]
    sine, cosine = np.sin(np.radians(CELL[4])), np.cos(np.radians(CELL[4]))
    star = np.array([1 / (a * sine), 1 / b, 1 / (c * sine)])
    metric = np.array(
        [[a * a, 0, a * c * cosine], [0, b * b, 0], [a * c * cosine, 0, c * c]]
    )
    tensor = np.array([[u[0], u[3], u[4]], [u[3], u[1], u[5]], [u[4], u[5], u[2]]])
    return float(np.sum(tensor * np.outer(star, star) * metric) / 3)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["cif", "ins"])
def test_encodings(ending, encoding, tmp_path, read_amplitudes):
    """Names of authors, angstrom and degrees, as editors save them."""
    plain = cif() if ending == "cif" else HEAD + SFAC + "FVAR 1\n" + THREE + TAIL
    more = "# Müller, 5 Å, 20 °C\n" if ending == "cif" else "REM Müller, 5 Å, 20 °C\n"
    (tmp_path / f"plain.{ending}").write_text(plain)
    (tmp_path / f"other.{ending}").write_bytes((more + plain).encode(encoding))
    wanted, read = (
        read_amplitudes(tmp_path / f"{n}.{ending}")[0] for n in ("plain", "other")
    )
    np.testing.assert_array_equal(read, wanted)


@pytest.mark.parametrize("ending", ["ins", "res"])
@pytest.mark.parametrize("name", INS)
def test_shelx(name, ending, tmp_path, direct_sum, read_amplitudes):
    text, atoms = INS[name]
    atoms = [
        (*a[:5], 1.2 * equivalent(TENSOR) if isinstance(a[5], str) else a[5])
        for a in atoms
    ]
    arguments = (CELL, P21C, atoms, tmp_path, direct_sum, read_amplitudes)
    check(text, f"x.{ending}", *arguments)


BOX = (7.0, 8.0, 9.0, 90, 90, 90)
P212121 = ("x,y,z", "1/2-x,-y,1/2+z", "-x,1/2+y,1/2-z", "1/2+x,1/2-y,-z")
CRYST = "CRYST1    7.000    8.000    9.000  90.00  90.00  90.00 {:<11}   4\n"


def atom(number, name, element, xyz, occupancy=1.0, b=2.0, record="HETATM", more=""):
    """One record; `more` is the alternative location, and charges go to their columns."""
    location, charge = (more + "  ")[:1], more[1:]
    x, y, z = xyz
    return (
        f"{record:<6}{number:5d} {name:<4}{location}LIG A   1    {x:8.3f}{y:8.3f}{z:8.3f}"
        f"{occupancy:6.2f}{b:6.2f}          {element:>2}{charge:<2}\n"
    )


CARBON, OXYGEN, NITROGEN = (0.7, 1.6, 2.7), (2.1, 1.6, 2.7), (2.8, 3.2, 0.9)


def site(element, xyz, occupancy=1.0, b=2.0):
    return (element, *np.divide(xyz, BOX[:3]), occupancy, b / B)


PLAIN = (
    site("C", CARBON),
    site("O", OXYGEN, 0.5, 3.0),
    site("N", NITROGEN, 1.0, 4.0),
)
RECORDS = (
    atom(1, " C1", "C", CARBON)
    + atom(2, " O1", "O", OXYGEN, 0.5, 3.0)
    + atom(3, " N1", "N", NITROGEN, 1.0, 4.0)
)
THIRD = (9.0, 9.0, 7.0, 90, 90, 120)
R3 = [
    f"{x}+{a},{y}+{b},{z}+{c}"
    for a, b, c in (("0", "0", "0"), ("2/3", "1/3", "1/3"), ("1/3", "2/3", "2/3"))
    for x, y, z in (("x", "y", "z"), ("-y", "x-y", "z"), ("-x+y", "-x", "z"))
]

PDBS = {
    "full symbol": (CRYST.format("P 21 21 21") + RECORDS + "END\n", BOX, P212121, PLAIN),
    "symbol without blanks": (
        CRYST.format("P212121") + RECORDS, BOX, P212121, PLAIN,
    ),
    "anisotropic atoms": (
        CRYST.format("P 21 21 21")
        + atom(1, " C1", "C", CARBON)
        + atom(2, " O1", "O", OXYGEN, 0.5, 3.0)
        + "ANISOU    2  O1  LIG A   1      300    400    500     30     20     10"
        "       O  \n"
        + atom(3, " N1", "N", NITROGEN, 1.0, 4.0),
        *(BOX, P212121),
        (PLAIN[0], (*PLAIN[1][:5], (0.03, 0.04, 0.05, 0.003, 0.002, 0.001)), PLAIN[2]),
    ),
    "alternative locations": (
        CRYST.format("P 21 21 21")
        + atom(1, " C1", "C", CARBON)
        + atom(2, " O1", "O", OXYGEN, 0.6, 3.0, more="A")
        + atom(3, " O1", "O", (2.3, 1.9, 2.7), 0.4, 3.0, more="B"),
        *(BOX, P212121),
        (PLAIN[0], site("O", OXYGEN, 0.6, 3.0), site("O", (2.3, 1.9, 2.7), 0.4, 3.0)),
    ),
    "two models": (
        CRYST.format("P 21 21 21") + "MODEL        1\n" + RECORDS + "ENDMDL\n"
        "MODEL        2\n" + atom(1, " C1", "C", (1, 1, 1)) + "ENDMDL\nEND\n",
        *(BOX, P212121, PLAIN),
    ),
    "deuterium and calcium beside carbon": (
        CRYST.format("P 21 21 21")
        + atom(1, "CA  ", "CA", CARBON)
        + atom(2, " CA ", "C", OXYGEN)
        + atom(3, " D1 ", "D", NITROGEN),
        *(BOX, P212121),
        (site("Ca", CARBON), site("C", OXYGEN), site("H", NITROGEN)),
    ),
    "a lattice H": (
        "CRYST1    9.000    9.000    7.000  90.00  90.00 120.00 H 3           9\n"
        + atom(1, " C1", "C", (0.9, 1.6, 2.7)),
        *(THIRD, R3),
        (
            ("C", (0.9 + 1.6 / np.sqrt(3)) / 9, 1.6 / (9 * np.sqrt(0.75)), 2.7 / 7, 1, 2.0 / B),
        ),
    ),
    "axes turned by SCALE": (
        CRYST.format("P 21 21 21")
        + "SCALE1      0.000000  0.142857  0.000000        0.00000\n"
        "SCALE2     -0.125000  0.000000  0.000000        0.00000\n"
        "SCALE3      0.000000  0.000000  0.111111        0.00000\n"
        + atom(1, " C1", "C", (-1.6, 0.7, 2.7))
        + atom(2, " O1", "O", (-1.6, 2.1, 2.7), 0.5, 3.0)
        + atom(3, " N1", "N", (-3.2, 2.8, 0.9), 1.0, 4.0),
        *(BOX, P212121, PLAIN),
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["pdb", "ent"])
@pytest.mark.parametrize("name", PDBS)
def test_pdb(name, ending, tmp_path, direct_sum, read_amplitudes):
    text, *rest = PDBS[name]
    check(text, f"x.{ending}", *rest, tmp_path, direct_sum, read_amplitudes)


def test_deuterium_is_counted_as_hydrogen(tmp_path, read_amplitudes, caplog):
    text = HEAD + "SFAC C D N O\nUNIT 4 4 4 2\nFVAR 1\nD1 2 0.6 0.5 0.1 11 0.03\n"
    (tmp_path / "x.ins").write_text(text + THREE + TAIL)
    read_amplitudes(tmp_path / "x.ins")
    assert "UNIT says" not in caplog.text
