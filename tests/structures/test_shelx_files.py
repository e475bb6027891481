"""SHELX files as refinements against electron data have them."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest

from dials_spread.structures.shelx_files import joined_lines
from dials_spread.structures.structure_files import read_structure

LONG = "{} 0.136 0.373 0.548 3.281 1.227 13.046 =\n  0.597 41.02 0 0 0 0 0.75 12.011"

FILE = """TITL x = y
CELL 0.0251 7.0 8.0 9.0 90 100 90
ZERR 4 0.001 0.001 0.001 0 0.01 0
LATT 1
SYMM -X, 0.5+Y, 0.5-Z
{sfac}
UNIT 8 4 4
FVAR 0.5
C1 1 0.4 0.4 0.4 11.0 0.03
O1 3 0.2 0.3 0.1 11.0 0.03
N1 2 0.25 0.1 0.6 11.0 0.04
HKLF 4
END
"""


@pytest.mark.parametrize(
    "sfac",
    [
        "SFAC C N O",
        "SFAC C N\nSFAC O",
        "SFAC C\nSFAC N\nSFAC O",
        "\n".join("SFAC " + LONG.format(e) for e in "CNO"),
        "sfac C N\nSFAC " + LONG.format("O"),
        "SFAC " + LONG.format("$C") + "\nSFAC N O ! the others",
    ],
)
def test_elements_by_number_whatever_the_lines(tmp_path, sfac):
    """The same atoms, one by one, in every way of writing them."""
    file = tmp_path / "x.ins"
    file.write_text(FILE.format(sfac=sfac))
    atoms = {s.label: s for s in read_structure(str(file)).scatterers()}
    assert {k: s.scattering_type for k, s in atoms.items()} == {
        "C1": "C", "O1": "O", "N1": "N",
    }  # fmt: skip
    assert atoms["O1"].site == pytest.approx((0.2, 0.3, 0.1))
    assert atoms["N1"].u_iso == pytest.approx(0.04)


def test_remarks_and_titles_do_not_go_on():
    assert joined_lines("TITL a =\nREM b =\nC1 1 =\n 0.1 ! x\nEND") == [
        (1, "TITL a ="),
        (2, "REM b ="),
        (3, "C1 1 0.1"),
        (5, "END"),
    ]


def test_small_cases(data_folder):
    cases = data_folder.parent / "cases"
    if not cases.is_dir():
        pytest.skip("no folder of small cases beside the measured data")
    structure = read_structure(str(cases / "sfac_two_lines.ins"))
    counted = Counter()
    for s in structure.scatterers():
        counted[s.scattering_type] += round(s.multiplicity() * s.occupancy)
    assert counted == {"C": 8, "N": 4}
    electron = read_structure(str(cases / "sfac_electron.ins"))
    assert {s.scattering_type for s in electron.scatterers()} >= {"C", "H"}


def test_a_structure_with_errors_of_the_cell_goes_to_another_process(tmp_path):
    path = tmp_path / "a.ins"
    path.write_text(
        "TITL x\nCELL 0.0251 5 6 7 90 90 90\nZERR 1 0.001 0.001 0.001 0 0 0\n"
        "LATT -1\nSFAC C\nUNIT 1\nFVAR 1\nC1 1 0.1 0.2 0.3 11 0.02\nHKLF 4\nEND\n"
    )
    structure = read_structure(str(path))
    again = pickle.loads(pickle.dumps(structure))
    assert again.unit_cell().parameters() == structure.unit_cell().parameters()
    assert [a.label for a in again.scatterers()] == ["C1"]
