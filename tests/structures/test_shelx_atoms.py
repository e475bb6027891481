"""What SHELXL makes of its instructions, against a sum over the atoms by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from dials_spread.structures.cell_content import cell_content

CELL = (7.0, 8.0, 9.0, 90.0, 100.0, 90.0)
P21C = ("x,y,z", "-x,1/2+y,1/2-z", "-x,-y,-z", "x,1/2-y,1/2+z")
HEAD = """TITL x in P2(1)/c
CELL 0.0251 7.0 8.0 9.0 90 100 90
ZERR 4 0.001 0.001 0.001 0 0.01 0
{latt}SYMM -X, 0.5+Y, 0.5-Z
SFAC C H N O
UNIT 8 4 4 4
{before}FVAR 0.5 0.7 0.04
"""
ATOMS = """C1 1 0.1 0.2 0.3 11.0 0.03
N1 3 0.3 0.2 0.35 11.0 0.05
O1 4 0.4 0.35 0.1 11.0 0.04
"""
PLAIN = [
    ("C", 0.1, 0.2, 0.3, 1, 0.03),
    ("N", 0.3, 0.2, 0.35, 1, 0.05),
    ("O", 0.4, 0.35, 0.1, 1, 0.04),
]
TENSOR = (0.03, 0.04, 0.05, 0.003, 0.002, 0.001)  # 11 22 33 12 13 23


def shelx(
    atoms: str = ATOMS, before: str = "", latt: str = "LATT 1\n", end="HKLF 4\nEND\n"
) -> str:
    return HEAD.format(latt=latt, before=before) + atoms + end


def equivalent(tensor) -> float:
    """U_eq of a monoclinic tensor: a third of the trace in cartesian axes."""
    u11, u22, u33, _, u13, _ = tensor
    beta = np.radians(CELL[4])
    return ((u11 + u33 + 2 * u13 * np.cos(beta)) / np.sin(beta) ** 2 + u22) / 3


def changed(number: int, **values):
    """The atoms of PLAIN, one of them changed."""
    atoms = [dict(zip(("e", "x", "y", "z", "occ", "u"), atom)) for atom in PLAIN]
    atoms[number].update(values)
    return [tuple(atom.values()) for atom in atoms]


def moved(shift, sign, numbers):
    return [
        (e, *(s + sign * v for s, v in zip(shift, (x, y, z))), occ, u)
        if k in numbers
        else (e, x, y, z, occ, u)
        for k, (e, x, y, z, occ, u) in enumerate(PLAIN)
    ]


def before(name: str, text: str, atoms: str = ATOMS) -> str:
    """The atoms, with lines before one of them."""
    return atoms.replace(name, f"{text}{name}", 1)


SAME = {
    "as it should be": (shelx(), PLAIN),
    "no LATT": (shelx(latt=""), PLAIN),
    "LATT without number": (shelx(latt="LATT\n"), PLAIN),
    "lower case": (shelx().lower().replace("titl", "TITL"), PLAIN),
    "defaults": (
        shelx("C1 1 0.1 0.2 0.3\nN1 3 0.3 0.2 0.35 11\nO1 4 0.4 0.35 0.1 11 0.04\n"),
        [("C", 0.1, 0.2, 0.3, 1, 0.05), *PLAIN[1:]],
    ),
    "MOVE": (shelx(before("N1", "MOVE 0.25 0 0\n")), moved((0.25, 0, 0), 1, (1, 2))),
    "MOVE with sign": (
        shelx(before("N1", "MOVE 0.5 0.5 1 -1\n")),
        moved((0.5, 0.5, 1), -1, (1, 2)),
    ),
    "MOVE and back": (
        shelx(before("O1", "MOVE\n", before("N1", "MOVE 0.1 0.2\n"))),
        moved((0.1, 0.2, 0), 1, (1,)),
    ),
    "MOVE and back with noughts": (
        shelx(before("O1", "MOVE 0 0 0 1\n", before("C1", "MOVE 1 1 1 -1\n"))),
        moved((1, 1, 1), -1, (0, 1)),
    ),
    "MOVE of fixed and free coordinates": (
        shelx(
            "MOVE 0.1 0 0 -1\nC1 1 10.1 0.2 0.3 11 0.03\n"
            "MOVE\nN1 3 0.3 20.5 10.35 11 0.05\n"
        ),
        [("C", 0.0, -0.2, -0.3, 1, 0.03), ("N", 0.3, 0.35, 0.35, 1, 0.05)],
    ),
    "residues": (
        shelx(
            "RESI 9 TOL\nC1 1 0.1 0.2 0.3 11 0.03\nRESI TOL 10\nC1 3 0.3 0.2 0.35 11 0.05\n"
            "RESI 0\nC1 4 0.4 0.35 0.1 11 0.04\n"
        ),
        PLAIN,
    ),
    "residues by number alone": (
        shelx(
            "RESI 1\nC1 1 0.1 0.2 0.3 11 0.03\nRESI 2\nC1 3 0.3 0.2 0.35 11 0.05\n"
            "RESI A:3 HOH\nC1 4 0.4 0.35 0.1 11 0.04\n"
        ),
        PLAIN,
    ),
    "restraints with residues": (
        shelx(
            ATOMS,
            before="SIMU_TOL 0.005 C1_9 > C2_9\nDFIX_* 1.5 0.02 C1 C2\nSADI_2 C1 C2 C1 C3\n"
            "RTAB_* Omeg CA_+ N C_-\nEQIV $1 -x, -y, 1-z\nHTAB O1 N1_$1\nRIGU\nISOR $O\n"
            "BIND C1 C1_$1\nCONN 12 K1\nLIST 4\nACTA\nWGHT 0.1\nEADP C1 N1\nEXYZ C1 N1\n"
            "SUMP 1.0 0.01 1.0 2 1.0 3\nDISP $C 0 0 0\nTEMP -173\nSIZE 0.1 0.1 0.1\n"
            "L.S. 10\nBOND $H\nFMAP 2\nPLAN 20\nTWIN -1 0 0 0 -1 0 0 0 1\nBASF 0.3\n"
            "EXTI 0.01\nSWAT 1 2\nSTIR 1.2\nXNPD 0.01\nABIN\nBEDE\n",
        ),
        PLAIN,
    ),
    "SAME among the atoms": (shelx(before("N1", "SAME C1 > N1\nSAME_TOL C1 N1\n")), PLAIN),
    "a fragment": (
        shelx(before="FRAG 17 1 1 1 90 90 90\nC1 1 0.5 0.5 0.5\nC2 1 0.7 0.5 0.5\nFEND\n"),
        PLAIN,
    ),
    "a fragment among atoms": (
        shelx(before("N1", "FRAG 17\nC1 1 1.2 0.3 4.1\nO2 4 0.7 0.5 0.5\nFEND\n")),
        PLAIN,
    ),
    "riding hydrogen": (
        shelx(
            "C1 1 0.1 0.2 0.3 11.0 0.03 0.04 0.05 =\n 0.001 0.002 0.003\nAFIX 13\n"
            "H1 2 0.15 0.3 0.3 11.0 -1.2\nH2 2 0.15 0.1 0.3 11.0 -1.5\nAFIX 0\n"
        ),
        [
            ("C", 0.1, 0.2, 0.3, 1, TENSOR),
            ("H", 0.15, 0.3, 0.3, 1, 1.2 * equivalent(TENSOR)),
            ("H", 0.15, 0.1, 0.3, 1, 1.5 * equivalent(TENSOR)),
        ],
    ),
    "occupancy and U of AFIX": (
        shelx(
            "C1 1 0.1 0.2 0.3 11.0 0.03\nAFIX 33 0.98 10.4 -1.5\n"
            "H1 2 0.15 0.3 0.3 11.0 0.9\nAFIX 0\nN1 3 0.3 0.2 0.35 11.0 0.05\n"
        ),
        [PLAIN[0], ("H", 0.15, 0.3, 0.3, 0.4, 0.045), PLAIN[1]],
    ),
    "free variables": (
        shelx(
            "C1 1 0.1 0.2 0.3 21.0 0.03\nN1 3 0.3 0.2 0.35 -21.0 31.0\n"
            "O1 4 0.4 0.35 0.1 20.5 30.5\n"
        ),
        [
            ("C", 0.1, 0.2, 0.3, 0.7, 0.03),
            ("N", 0.3, 0.2, 0.35, 0.3, 0.04),
            ("O", 0.4, 0.35, 0.1, 0.35, 0.02),
        ],
    ),
    "more lines of free variables": (
        shelx("C1 1 0.1 0.2 0.3 41.0 0.03\n", before="").replace(
            "FVAR 0.5 0.7 0.04", "FVAR 0.5 0.7\nFVAR 0.04 0.6"
        ),
        [("C", 0.1, 0.2, 0.3, 0.6, 0.03)],
    ),
    "occupancy of PART": (
        shelx(
            "PART 1 21.0\nC1 1 0.1 0.2 0.3 11 0.03\nAFIX 43 0.95 10.9 0.06\n"
            "H1 2 0.15 0.3 0.3 11 0.05\nAFIX 0\nPART 2 -21.0\nN1 3 0.3 0.2 0.35 11 0.05\n"
            "PART 0\nO1 4 0.4 0.35 0.1 11.0 0.04\n"
        ),
        [
            ("C", 0.1, 0.2, 0.3, 0.7, 0.03),
            ("H", 0.15, 0.3, 0.3, 0.7, 0.06),
            ("N", 0.3, 0.2, 0.35, 0.3, 0.05),
            PLAIN[2],
        ],
    ),
    "on a centre": (
        shelx("C1 1 0.5 0.5 0.5 10.5 0.03\nN1 3 0.3 0.2 0.35 11 0.05\n"),
        [("C", 0.5, 0.5, 0.5, 1, 0.03), PLAIN[1]],
    ),
    "beside a centre": (
        shelx("PART -1\nC1 1 0.505 0.505 0.5 10.5 0.03\nPART 0\nN1 3 0.3 0.2 0.35 11 0.05\n"),
        [("C", 0.505, 0.505, 0.5, 0.5, 0.03), PLAIN[1]],
    ),
    "peaks among the atoms": (
        shelx(ATOMS + "Q1 1 0.5 0.5 0.4 11.0 0.05 1.20\nQ20 1 0.6 0.5 0.4 11.0 0.05 0.4\n"),
        PLAIN,
    ),
    "peaks after the end": (
        shelx(end="HKLF 4\nEND\nWGHT 0.1\nREM x\nQ1 1 0.5 0.5 0.4 11.0 0.05 1.20\n"),
        PLAIN,
    ),
    "heights of peaks": (shelx(ATOMS.replace("0.03\n", "0.03 12.5\n")), PLAIN),
    "remarks and continuations": (
        shelx(
            "REM C1 1 0 0 0 =\n  C9 1 0.2 0.2 0.2 11 0.05 a remark\n\n"
            "C1 1 0.1 0.2 = what follows is ignored\n   0.3 11.0 0.03 ! and this\n"
            + ATOMS.split("\n", 1)[1]
        ),
        PLAIN,
    ),
    "matrix of the reflections": (
        shelx(end="HKLF 4 1 0 0 1 1 0 0 0 1 0 1 0\nEND\n"),
        PLAIN,
    ),
    "long names": (shelx(ATOMS.replace("C1 ", "C1ABC ").replace("N1 ", "V000 ")), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_amplitudes_are_those_of_the_atoms(name, tmp_path, direct_sum, read_amplitudes):
    text, atoms = SAME[name]
    path = tmp_path / "a.ins"
    path.write_text(text)
    read, _ = read_amplitudes(path)
    expected = direct_sum(CELL, P21C, atoms)
    np.testing.assert_allclose(read, expected, atol=1e-4 * expected.max())


def test_without_latt_there_is_a_centre(tmp_path, read_amplitudes):
    path = tmp_path / "a.ins"
    path.write_text(shelx(latt="").replace("SYMM -X, 0.5+Y, 0.5-Z\n", ""))
    _, structure = read_amplitudes(path)
    assert str(structure.space_group_info()) == "P -1"
    assert cell_content(structure) == {"C": 2, "N": 2, "O": 2}


P212121 = ("x,y,z", "1/2-x,-y,1/2+z", "-x,1/2+y,1/2-z", "1/2+x,1/2-y,-z")
MOVED = [
    ("C", 0.11, 0.21, 0.31, 1, 0.03),
    ("C", 0.25, 0.13, 0.35, 1, 0.03),
    ("N", 0.67, 0.33, 0.12, 1, 0.03),
    ("O", 0.86, 0.22, 0.45, 1, 0.04),
    ("Cl", 1.08, 0.41, 0.08, 0.35, 0.04),
    ("Cl", 1.13, 0.30, 0.22, 0.25, 0.04),
]
IN_RESIDUES = [
    ("C", 0.1, 0.1, 0.1, 0.5, 0.02798),
    ("C", 0.2, 0.2, 0.1, 0.5, 0.02807),
    ("H", 0.25, 0.25, 0.12, 0.5, 1.2 * 0.02807),
    ("C", 0.12, 0.1, 0.11, 0.5, 0.02798),
    ("C", 0.22, 0.2, 0.11, 0.5, 0.02807),
    ("N", 0.3, 0.4, 0.4, 1, 0.03),
]
ELECTRON = [
    ("C", 0.4, 0.4, 0.4, 1, (0.03, 0.04, 0.05, 0.003, 0.002, 0.001)),
    ("H", 0.45, 0.45, 0.45, 1, 1.5 * equivalent((0.03, 0.04, 0.05, 0.003, 0.002, 0))),
    ("H", 0.46, 0.41, 0.45, 1, 1.5 * equivalent((0.03, 0.04, 0.05, 0.003, 0.002, 0))),
    ("C", 0.2, 0.3, 0.1, 0.7, 0.04),
    ("H", 0.25, 0.3, 0.1, 0.7, 1.2 * 0.04),
]
RIGHT_ANGLES = (7.0, 8.0, 9.0, 90.0, 90.0, 90.0)


@pytest.mark.parametrize(
    "name,cell,operations,atoms",
    [
        ("move_part.ins", RIGHT_ANGLES, P212121, MOVED),
        ("residues.ins", CELL, P21C, IN_RESIDUES),
        ("sfac_electron.ins", CELL, P21C, ELECTRON),
        (
            "sfac_two_lines.ins",
            RIGHT_ANGLES,
            P212121,
            [*MOVED[:2], ("N", 0.42, 0.33, 0.12, 1, 0.03)],
        ),
    ],
)
def test_small_cases(name, cell, operations, atoms, cases, direct_sum, read_amplitudes):
    read, _ = read_amplitudes(cases / name)
    expected = direct_sum(cell, operations, atoms)
    np.testing.assert_allclose(read, expected, atol=1e-4 * expected.max())


def test_what_is_left_out_is_told(tmp_path, read_amplitudes, caplog):
    path = tmp_path / "a.ins"
    peak = "Q1 1 0.5 0.5 0.4 11.0 0.05 1.20\n"
    path.write_text(shelx("HFIX 43 C1\nMOVE 0 0 0 -1\n" + ATOMS + peak, latt=""))
    with caplog.at_level(logging.INFO):
        _, structure = read_amplitudes(path)
    assert "(Q): 1" in caplog.text and "moved by MOVE: 3" in caplog.text
    assert "no LATT" in caplog.text and "HFIX asks" in caplog.text
    assert "make C4 N4 O4 in the unit cell, UNIT says C8 H4 N4 O4" in caplog.text
    assert [s.label for s in structure.scatterers()] == ["C1", "N1", "O1"]


def test_labels_carry_their_residue(tmp_path, read_amplitudes):
    path = tmp_path / "a.ins"
    path.write_text(shelx("RESI 7 GLY\n" + ATOMS))
    _, structure = read_amplitudes(path)
    assert [s.label for s in structure.scatterers()] == ["C1_7", "N1_7", "O1_7"]


@pytest.mark.parametrize(
    "text,told",
    [
        (shelx(before="+more.ins\n"), r"line 8: \+more.ins reads another file"),
        (shelx(before="++more.ins\n"), r"line 8: \+\+more.ins reads another file"),
        (shelx(before="FRAG 17\nC1 1 0 0 0\n"), "line 8: FRAG without"),
        (shelx(ATOMS.replace("N1 3", "N1 5")), "line 10: atom N1 is of element 5"),
        (shelx(ATOMS.replace("0.2 0.35", "0.2 y")), "line 10: atom N1: y is no number"),
        (shelx(ATOMS.replace("11.0 0.05", "51.0 0.05")), "line 10: .*free variable 5"),
        (shelx(ATOMS.replace("0.03\n", "0.03 0.03 0.04\n")), "line 9: .*3 of 6"),
        (shelx(ATOMS.replace("0.03\n", "-1.2\n")), "line 9: .*there is none"),
        (shelx("NONE of this\n"), "line 9: NONE is no instruction"),
        (shelx(latt="LATT 9\n"), "line 4: LATT 9"),
        (shelx().replace("SYMM -X", "SYMM -W"), "line 5: SYMM -W"),
        (shelx().replace("SFAC C H", "SFAC C Qq"), "line 6: SFAC Qq is no element"),
        (shelx().replace("100 90\n", "100 95\n"), "no cell of space group"),
        (shelx().replace("100 90\n", "100\n"), "line 2: CELL needs"),
        (shelx().replace("CELL", "REM"), "no CELL"),
        (shelx().replace("SFAC", "REM"), "no SFAC"),
        (shelx("C1 1 0.5 0.5 0.5 11 0.03\n"), r"C1 is on .* 0.5: give 10.5"),
        (shelx("MOVE 0 0 0 1e30\n"), r"line 9: MOVE has the sign 1e\+30, not 1 or -1"),
        (
            shelx("MOVE 7 0 0\nC1 1 0.1 0.2 0.3 11 0.03\n"),
            "line 10: atom C1 is moved to 7.1, 0.2, 0.3 by MOVE",
        ),
        (shelx("MOVE one\n"), "line 9: MOVE: one is no number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(text, told, tmp_path, read_amplitudes):
    path = tmp_path / "bad.ins"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"bad.ins.*{told}") as error:
        read_amplitudes(path)
    assert "\n" not in str(error.value)
