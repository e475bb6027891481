from __future__ import annotations

import io
import re

import numpy as np
import pytest

from cctbx import crystal, xray
from iotbx.shelx import crystal_symmetry_from_ins

from dials_spread.shelx import instructions
from dials_spread.shelx.instructions import _label
from dials_spread.structures.structure_files import read_structure

NAMES = ["paracetamol", "quartz", "glycine", "abiraterone"]


def read_back(text: str) -> xray.structure:
    """By iotbx, which does not read form factors: elements alone in their place."""
    elements = re.findall(r"^SFAC (\w+) ", text, re.MULTILINE)
    text = re.sub(r"^SFAC .*=\n.*\n", "", text, flags=re.MULTILINE)
    text = text.replace("UNIT", f"SFAC {' '.join(elements)}\nUNIT")
    return xray.structure.from_shelx(
        file=io.StringIO(text), set_grad_flags=False, strictly_shelxl=False
    )


def built_in(name: str) -> xray.structure:
    return read_structure(name)


@pytest.mark.parametrize("name", NAMES)
def test_iotbx_reads_back_the_structure(name):
    structure = built_in(name)
    text = instructions(structure.crystal_symmetry(), 0.02508, structure=structure)
    again = read_back(text)
    assert again.unit_cell().is_similar_to(structure.unit_cell(), 1e-5, 1e-3)
    assert again.space_group() == structure.space_group()
    assert again.scatterers().size() == structure.scatterers().size()
    points = structure.build_miller_set(d_min=1.0, anomalous_flag=False)
    F = []
    for one in (structure, again):
        one.scattering_type_registry(table="electron")
        f = points.structure_factors_from_scatterers(one, algorithm="direct").f_calc()
        F.append(np.abs(f.data().as_numpy_array()))
    # Coordinates have six decimals, displacements five.
    assert np.abs(F[0] - F[1]).sum() < 1e-3 * F[0].sum()


@pytest.mark.parametrize("name", NAMES)
def test_unit_is_what_the_cell_holds(name):
    structure = built_in(name)
    text = instructions(structure.crystal_symmetry(), 0.02508, structure=structure)
    elements = [line.split()[1] for line in text.splitlines() if line[:4] == "SFAC"]
    unit = next(line for line in text.splitlines() if line[:4] == "UNIT")
    counts = dict(zip(elements, map(float, unit.split()[1:])))
    assert counts == pytest.approx(structure.unit_cell_content())


def test_a_complete_file_for_a_solution():
    symmetry = crystal.symmetry((17.167, 11.8055, 7.3932, 90, 90, 90), "P b c a")
    contents = {"C": 8, "H": 9, "N": 1, "O": 2}
    text = instructions(symmetry, 0.02508, contents, program="shelxt", title="p")
    assert text.splitlines() == [
        "TITL p",
        "CELL 0.02508 17.1670 11.8055 7.3932 90.0000 90.0000 90.0000",
        "ZERR 8 0.0172 0.0118 0.0074 0.0000 0.0000 0.0000",
        "LATT 1",
        "SYMM X+1/2,-Y+1/2,-Z",
        "SYMM -X,Y+1/2,-Z+1/2",
        "SYMM -X+1/2,-Y,Z+1/2",
        "SFAC C H N O",
        "UNIT 64 72 8 16",
        "HKLF 4",
        "END",
    ]
    assert crystal_symmetry_from_ins.extract_from(
        file=io.StringIO(text)
    ).is_similar_symmetry(symmetry)


def test_instructions_come_in_the_order_that_shelx_wants():
    symmetry = crystal.symmetry((5, 6, 7, 90, 100, 90), "P 1 21/n 1")
    text = instructions(symmetry, 0.0251, {"C": 1, "H": 4}, 4, temperature=-170)
    words = [
        line.split()[0] for line in text.splitlines() if line[:1] not in (" ", "R")
    ]
    order = ["TITL", "CELL", "ZERR", "LATT", "SYMM", "SFAC", "SFAC", "UNIT", "TEMP"]
    assert words[: len(order)] == order
    assert words[-3:] == ["FVAR", "HKLF", "END"]
    assert "LATT 1\n" in text and "TEMP -170\n" in text
    # No line is longer than SHELX reads.
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("group", "latt"),
    [("P 1", -1), ("P -1", 1), ("C 1 2 1", -7), ("F d d 2", -4), ("I 41/a :2", 2), ("R -3 m :H", 3)],
)  # fmt: skip
def test_latt_of_lattices(group, latt):
    """SHELX-97 manual: 1 P, 2 I, 3 R, 4 F, 5 A, 6 B, 7 C, negative without a centre."""
    info = crystal.symmetry(space_group_symbol=group, unit_cell=None).space_group_info()
    symmetry = info.any_compatible_crystal_symmetry(volume=1000)
    text = instructions(symmetry, 0.0251, {"C": 1})
    assert f"\nLATT {latt}\n" in text
    again = crystal_symmetry_from_ins.extract_from(file=io.StringIO(text))
    assert again.space_group() == symmetry.space_group()


def test_the_other_origin_of_fddd_is_refused():
    symmetry = crystal.symmetry((9, 10, 11, 90, 90, 90), "F d d d :1")
    with pytest.raises(ValueError, match="away from the origin"):
        instructions(symmetry, 0.0251, {"C": 1})


def test_uncertainties_that_are_not_known():
    symmetry = crystal.symmetry((5, 6, 7, 90, 100, 90), "P 1 21/n 1")
    # One crystal has no standard deviation.
    for unknown in (None, [float("nan")] * 6):
        text = instructions(symmetry, 0.0251, {"C": 1}, 4, cell_error=unknown)
        assert "\nZERR 4 0.0050 0.0060 0.0070 0.0000 0.0100 0.0000\n" in text


def test_what_a_user_has_to_see_to_is_said():
    structure = built_in("paracetamol")
    symmetry = structure.crystal_symmetry()
    text = instructions(symmetry, 0.0251, structure=structure)
    assert "REM uncertainties in ZERR are not measured" in text
    assert "REM hydrogen is refined freely" in text
    known = instructions(
        symmetry, 0.0251, structure=structure, cell_error=[0.01] * 3 + [0.0] * 3
    )
    assert "REM uncertainties" not in known
    given = instructions(
        symmetry,
        0.0251,
        structure=structure,
        cell_error=np.array([0.01] * 3 + [0.0] * 3),
    )
    assert given == known
    assert "REM hydrogen" not in instructions(
        symmetry, 0.0251, structure=built_in("quartz")
    )


def test_an_element_that_contents_lack():
    structure = built_in("quartz")
    with pytest.raises(ValueError, match=r"has O, which the contents \(Si\)"):
        instructions(
            structure.crystal_symmetry(), 0.0251, {"Si": 1}, structure=structure
        )


def test_no_elements_and_no_such_program():
    symmetry = crystal.symmetry((5, 6, 7, 90, 90, 90), "P 1")
    with pytest.raises(ValueError, match="no elements for SFAC"):
        instructions(symmetry, 0.0251)
    with pytest.raises(ValueError, match="'olex' is neither"):
        instructions(symmetry, 0.0251, {"C": 1}, program="olex")


def test_labels_are_short_and_different():
    taken: set[str] = set()
    given = ["C1", "C1", "C(12)", "Ca1", "X", "C123456", "c1a"]
    made = [_label(label, "C", taken) for label in given]
    assert len(set(made)) == len(made)
    assert made[0] == "C1" and made[2] == "C12"
    assert all(len(label) <= 4 and label[0] == "C" for label in made)
    # CA would be calcium.
    assert not made[3].startswith("CA")


def test_thousands_of_labels():
    taken: set[str] = set()
    made = [_label("?", "C", taken) for _ in range(1500)]
    assert len(set(made)) == 1500
    assert max(map(len, made)) == 4


def test_special_positions_and_displacements_in_shelx_order():
    structure = built_in("quartz")
    text = instructions(structure.crystal_symmetry(), 0.0251, structure=structure)
    silicon = next(line for line in text.splitlines() if line.startswith("SI1"))
    # Three of six positions: 10.5.
    assert silicon.split()[5] == "10.50000"
