"""mmCIF with unknown values and few columns, against a sum over the atoms by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest

CELL = (7.0, 8.0, 9.0, 90.0, 90.0, 90.0)
P212121 = ("x,y,z", "1/2-x,-y,1/2+z", "-x,1/2+y,1/2-z", "1/2+x,1/2-y,-z")
HEAD = """data_x
_cell.length_a 7.0
_cell.length_b 8.0
_cell.length_c 9.0
_cell.angle_alpha 90
_cell.angle_beta 90
_cell.angle_gamma 90
_symmetry.space_group_name_H-M 'P 21 21 21'
loop_
"""
FULL = (
    "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id "
)
FULL += "label_entity_id label_seq_id Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv "
FULL += "pdbx_PDB_model_num"
SHORT = "type_symbol Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv"


def written(names: str, rows: str, first: str = "") -> str:
    names = "".join(f"_atom_site.{name}\n" for name in names.split())
    return f"{first}{HEAD}{names}{rows}\n"


def atoms(occupancies=(1, 0.5, 1), B=(2.0, 3.0, 4.0)) -> list[tuple]:
    sites = ((0.7, 1.6, 2.7), (2.1, 1.6, 2.7), (2.8, 3.2, 0.9))
    return [
        (e, *np.divide(xyz, CELL[:3]), occupancy, b / (8 * np.pi**2))
        for e, xyz, occupancy, b in zip("CON", sites, occupancies, B)
    ]


ROWS = "C 0.7 1.6 2.7 1 2.0\nO 2.1 1.6 2.7 0.5 3.0\nN 2.8 3.2 0.9 1 4.0"
LONG = "\n".join(
    f"HETATM {k} {e} {e}1 . LIG A 1 1 {rest} 1"
    for k, (e, rest) in enumerate((row[0], row[2:]) for row in ROWS.split("\n"))
)
SAME = {
    "all columns": (written(FULL, LONG), atoms()),
    "few columns": (written(SHORT, ROWS), atoms()),
    "an unknown occupancy": (
        written(FULL, LONG.replace("0.5 3.0", "? 3.0")),
        atoms((1, 1, 1)),
    ),
    "an unknown B": (
        written(FULL, LONG.replace("0.5 3.0", "0.5 .")),
        atoms(B=(2.0, 3.0, 4.0)),
    ),
    "another unknown B": (written(SHORT, ROWS.replace("2.0", "?", 1)), atoms(B=(3.5, 3, 4))),
    "uncertainties": (written(SHORT, ROWS.replace("3.0", "3.0(2)")), atoms()),
    "another block before": (written(FULL, LONG, "data_info\n_a.b 1\n"), atoms()),
    "a second model": (
        written(FULL, LONG + "\n" + LONG.replace(" 1\n", " 2\n")[:-1] + "2"),
        atoms(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_amplitudes_are_those_of_the_atoms(name, tmp_path, direct_sum, read_amplitudes):
    text, expected = SAME[name]
    path = tmp_path / "a.cif"
    path.write_text(text)
    read, _ = read_amplitudes(path)
    expected = direct_sum(CELL, P212121, expected)
    np.testing.assert_allclose(read, expected, atol=1e-4 * expected.max())


def test_an_unknown_b_is_told(tmp_path, read_amplitudes, caplog):
    path = tmp_path / "a.mmcif"
    path.write_text(written(SHORT, ROWS.replace("3.0", "?")))
    with caplog.at_level(logging.WARNING):
        read_amplitudes(path)
    assert "B is not told of 1 of 3 atoms; theirs is 3" in caplog.text


@pytest.mark.parametrize(
    "rows,told",
    [
        (ROWS.replace("0.5 3.0", "half 3.0"), "occupancy is half"),
        (ROWS.replace("2.8 3.2", "2.8 ?"), "Cartn_y is not told of all"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(rows, told, tmp_path, read_amplitudes):
    path = tmp_path / "bad.cif"
    path.write_text(written(SHORT, rows))
    with pytest.raises(ValueError, match=f"bad.cif: data_x.*{told}"):
        read_amplitudes(path)
