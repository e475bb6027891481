"""SHELX lists as the instructions beside them say; expected numbers are made by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from cctbx import crystal, sgtbx

from dials_spread.reference import read_reference, reference_amplitudes
from dials_spread.reference.hkl_files import read_instructions
from dials_spread.reference.lists import read_list
from dials_spread.reindexing import reindexed, reindexing_choices
from dials_spread.structures.structure_files import write_cif

SYMMETRY = crystal.symmetry((5, 6, 7, 90, 90, 90), "P 1")

HEAD = """TITL x HKLF 5 in a title is none
CELL 0.0251 5 6 7 90 90 90
ZERR 1 0 0 0 0 0 0
LATT -1
SFAC C
UNIT 4
"""

ROWS = [((1, 0, 0), 16.0), ((0, 2, 0), 25.0), ((1, 2, 3), 49.0), ((-1, 1, 4), 81.0)]


def rows(values, batches=None) -> str:
    batches = batches or [1] * len(values)
    return "".join(
        "{:4d}{:4d}{:4d}".format(*hkl) + f"{x:8.2f}{1:8.2f}{batch:4d}\n"
        for (hkl, x), batch in zip(values, batches)
    )


def list_of(folder, instructions=None, text=None, ending="ins"):
    (folder / "x.hkl").write_text(text or rows(ROWS))
    if instructions is not None:
        (folder / f"x.{ending}").write_text(instructions)
    return str(folder / "x.hkl")


def amplitudes_of(found, hkl) -> np.ndarray:
    return reference_amplitudes(found, np.array(hkl))


@pytest.mark.parametrize(
    "told, moved",
    [
        ("HKLF 4", lambda h, k, l: (h, k, l)),
        ("HKLF 4 1 1 0 0 0 1 0 0 0 1", lambda h, k, l: (h, k, l)),
        ("hklf 4 1 0 1 0 0 0 1 1 0 0", lambda h, k, l: (k, l, h)),
        ("HKLF 4 0.01 0 0 1 1 0 0 0 1 0", lambda h, k, l: (l, h, k)),
        ("HKLF 4 1 1 0 0 0 -1 0 -1 0 -1", lambda h, k, l: (h, -k, -h - l)),
        ("HKLF 4 2 -1 0 0 =\n 0 -1 0 =\n 0 0 1", lambda h, k, l: (-h, -k, l)),
        ("HKLF 4 1 1 1 0 -1 1 0 0 0 1 0.5 3", lambda h, k, l: (h + k, k - h, l)),
    ],
)
@pytest.mark.parametrize("code", [3, 4])
def test_matrix_and_scale(tmp_path, told, moved, code):
    words = told.split()
    told = told.replace("4", str(code), 1)
    scale = float(words[2]) if len(words) > 2 else 1.0
    found = read_reference(list_of(tmp_path, f"{HEAD}{told}\nEND\n"), SYMMETRY)
    F = amplitudes_of(found, [moved(*hkl) for hkl, _ in ROWS])
    expected = np.array([x * scale for _, x in ROWS])
    np.testing.assert_allclose(F, expected if code == 3 else np.sqrt(expected))
    # A matrix may not add reflections.
    assert found.amplitudes.size() == len(ROWS)


def test_indices_that_are_not_whole_are_left_out(tmp_path, caplog):
    told = f"{HEAD}HKLF 4 1 0.5 0 0 0 0.5 0 0 0 1\nEND\n"
    with caplog.at_level(logging.INFO):
        found = read_reference(list_of(tmp_path, told), SYMMETRY)
    assert list(found.amplitudes.indices()) == [(0, 1, 0)]
    assert "3 of 4 are no whole numbers" in caplog.text


@pytest.mark.parametrize(
    "instructions, code",
    [
        ("HKLF 5\n", 5),
        ("hklf 5 1\n", 5),
        ("HKLF 6\n", 6),
        ("HKLF 2\n", 2),
        ("HKLF 1\n", 1),
        ("BASF 0.4\nHKLF  5\n", 5),
        ("HKLF =\n 5\n", 5),
        ("HKLF -4\n", -4),
    ],
)
@pytest.mark.parametrize("ending", ["ins", "res"])
def test_other_kinds_are_refused_in_one_line(tmp_path, instructions, code, ending):
    name = list_of(tmp_path, f"{HEAD}{instructions}END\n", ending=ending)
    with pytest.raises(ValueError, match=rf"x.hkl: HKLF {code} is ") as told:
        read_reference(name, SYMMETRY)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("batches", [[-2, 1, 1, 2], [2, -1, 2, 1], [-3, -2, 1, 1]])
def test_twin_domains_tell_without_instructions(tmp_path, batches):
    with pytest.raises(ValueError, match="a twin, each intensity") as told:
        read_reference(list_of(tmp_path, text=rows(ROWS, batches)), SYMMETRY)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("batches", [[1, -1, 1, 1], [0, 0, 0, 0], [1, 2, 3, 2]])
def test_free_reflections_and_batches_are_no_twin(tmp_path, batches):
    found = read_reference(list_of(tmp_path, text=rows(ROWS, batches)), SYMMETRY)
    assert found.amplitudes.size() == 4


def test_instructions_tell_free_reflections_among_batches_from_a_twin(tmp_path):
    text = rows(ROWS, [2, -1, 2, 1])
    found = read_reference(list_of(tmp_path, f"{HEAD}HKLF 4\nEND\n", text), SYMMETRY)
    assert found.amplitudes.size() == 4
    text = rows(ROWS, [-2, 1, -2, 1])
    with pytest.raises(ValueError, match="a twin"):
        read_reference(list_of(tmp_path, f"{HEAD}HKLF 4\nEND\n", text), SYMMETRY)


def test_what_follows_the_end_of_the_list_is_not_read(tmp_path):
    text = rows([*ROWS, ((0, 0, 0), 0.0), ((1, 1, 1), 4.0)], [1, 1, 1, 1, 0, -2])
    assert read_reference(list_of(tmp_path, text=text), SYMMETRY).amplitudes.size() == 4


@pytest.mark.parametrize(
    "told, why",
    [
        ("HKLF 4 1 1 0 0", "3 numbers of the matrix, which has 9"),
        ("HKLF 4 1 1 0 0 0 1 0 0 0 -1", "the determinant of the matrix is -1"),
        ("HKLF 4 1 1 0 0 1 0 0 0 0 1", "the determinant of the matrix is 0"),
        ("HKLF four", "these are not all numbers"),
        ("HKLF 4.5", "no whole number"),
        ("HKLF 4 -1", "the scale -1 must be positive"),
        ("SYMM nonsense\nHKLF 4", "do not give a unit cell and a space group"),
    ],
)
def test_wrong_instructions_give_one_line(tmp_path, told, why):
    with pytest.raises(ValueError, match=why) as message:
        read_reference(list_of(tmp_path, f"{HEAD}{told}\nEND\n"), SYMMETRY)
    assert "x.ins" in str(message.value) and "\n" not in str(message.value)


def test_a_list_with_all_signs_changed_is_refused(tmp_path):
    text = rows([(hkl, -x) for hkl, x in ROWS])
    with pytest.raises(ValueError, match="none of 4 intensities is positive"):
        read_reference(list_of(tmp_path, text=text), SYMMETRY)


@pytest.mark.parametrize(
    "lines, symbol",
    [
        ("LATT 1\nSYMM 0.5-X, 0.5+Y, 0.5-Z\n", "P 1 21/n 1"),
        ("LATT -1\nSYMM -X, 1/2+Y, -Z\n", "P 1 21 1"),
        ("", "P -1"),
        ("LATT -7\nSYMM -X, +Y, -Z\n", "C 1 2 1"),
        ("SYMM -X, Y, -Z\n", "P 1 2/m 1"),
    ],
)
def test_symmetry_is_that_of_the_instructions(tmp_path, lines, symbol):
    """LATT 1, primitive with a centre, is the default."""
    text = f"TITL\nCELL 0.02 5 6 7 90 100 90\nSFAC C\n{lines}HKLF 4\nSYMM nonsense\n"
    text = text.replace("SYMM nonsense", "END\nSYMM nonsense")
    told = read_instructions(type(tmp_path)(list_of(tmp_path, text)))
    assert str(told.symmetry.space_group_info()) == symbol
    assert told.symmetry.unit_cell().parameters()[4] == 100


def test_hklf_of_the_res_file_where_the_ins_has_none(tmp_path):
    name = list_of(tmp_path, HEAD)
    (tmp_path / "x.res").write_text(f"{HEAD}HKLF 3\nEND\nHKLF 5\n")
    F = amplitudes_of(read_reference(name, SYMMETRY), [hkl for hkl, _ in ROWS])
    np.testing.assert_allclose(F, [x for _, x in ROWS])


def test_a_twin_law_is_told(tmp_path, caplog):
    told = f"{HEAD}TWIN -1 0 0 0 -1 0 0 0 1\nHKLF 4\nEND\n"
    read_reference(list_of(tmp_path, told), SYMMETRY)
    assert "has TWIN" in caplog.text


@pytest.mark.parametrize(
    "operator", ["c,a,b", "b,c,a", "-a,-c,-b", "a,b,c", "a+c,-b,-c", "-a-c,-b,a"]
)
def test_another_setting_of_the_instructions(tmp_path, glycine, f_calc, operator):
    """The list and its .ins in other axes; amplitudes are those of the data's own."""
    change = sgtbx.change_of_basis_op(operator)
    there = f_calc.f_as_f_sq().change_basis(change)
    scale = 9e4 / max(there.data())
    lines = [(hkl, x * scale) for hkl, x in zip(there.indices(), there.data())]
    cell = " ".join(f"{x:.4f}" for x in there.unit_cell().parameters())
    group = there.space_group()
    two_fold = group(1)
    text = f"TITL\nCELL 0.0251 {cell}\nLATT 1\nSYMM {two_fold.as_xyz()}\nHKLF 4\nEND\n"
    name = list_of(tmp_path, text, rows(lines))
    found = read_reference(name, glycine.crystal_symmetry())
    assert found.symmetry.space_group() == group
    choices = reindexing_choices(glycine.crystal_symmetry(), found.symmetry)
    hkl = f_calc.indices().as_vec3_double().as_numpy_array().astype(int)
    best = [reference_amplitudes(found, reindexed(hkl, choice)) for choice in choices]
    F = min(best, key=lambda F: np.nanmax(np.abs(F / scale**0.5 - f_calc.data())))
    known = np.isfinite(F)
    assert known.mean() > 0.99
    expected = f_calc.data().as_numpy_array()[known]
    np.testing.assert_allclose(F[known] / scale**0.5, expected, rtol=1e-3, atol=0.02)


LIST = """data_{name}
_cell_length_a 5
_cell_length_b 6
_cell_length_c 7
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
loop_
_refln_index_h
_refln_index_k
_refln_index_l
_refln_F_squared_calc
1 0 0 {first}
0 2 0 25
"""


@pytest.mark.parametrize("ending", ["fcf", "cif"])
@pytest.mark.parametrize("block, first", [("one", 16.0), ("two", 81.0)])
def test_a_block_with_a_list_is_chosen(tmp_path, ending, block, first):
    path = tmp_path / f"x.{ending}"
    path.write_text(
        LIST.format(name="one", first=16) + LIST.format(name="two", first=81)
    )
    found = read_reference(str(path), SYMMETRY, block=block)
    F = amplitudes_of(found, [(1, 0, 0), (0, 2, 0)])
    np.testing.assert_allclose(F, [first**0.5, 5.0])
    with pytest.raises(ValueError, match="choose one with cif_block=: one, two"):
        read_reference(str(path), SYMMETRY)
    with pytest.raises(ValueError, match="a block called x; there are: one, two"):
        read_reference(str(path), SYMMETRY, block="x")


def test_a_block_with_a_structure_is_chosen(tmp_path, glycine, f_calc):
    moved = glycine.deep_copy_scatterers()
    moved.set_u_iso(0.2)
    path = tmp_path / "two.cif"
    path.write_text(write_cif(moved, "wrong") + write_cif(glycine, "right"))
    hkl = f_calc.indices().as_vec3_double().as_numpy_array().astype(int)
    found = read_reference(str(path), SYMMETRY, block="right")
    F = reference_amplitudes(found, hkl)
    np.testing.assert_allclose(F, f_calc.data(), rtol=1e-3, atol=1e-3)
    other = reference_amplitudes(
        read_reference(str(path), SYMMETRY, block="wrong"), hkl
    )
    assert np.abs(other - F).max() > 0.1
    with pytest.raises(ValueError, match="choose one with cif_block=: wrong, right"):
        read_reference(str(path), SYMMETRY)


XDS = """!FORMAT=XDS_ASCII    MERGE=FALSE    FRIEDEL'S_LAW=FALSE
!OUTPUT_FILE=XDS_ASCII.HKL        DATE=28-Nov-2026
!SPACE_GROUP_NUMBER=    1
!UNIT_CELL_CONSTANTS=     5.000     6.000     7.000  90.000  90.000  90.000
!X-RAY_WAVELENGTH=  0.025080
!NUMBER_OF_ITEMS_IN_EACH_DATA_RECORD=12
!ITEM_H=1
!ITEM_K=2
!ITEM_L=3
!ITEM_IOBS=4
!ITEM_SIGMA(IOBS)=5
!ITEM_XD=6
!ITEM_YD=7
!ITEM_ZD=8
!ITEM_RLP=9
!ITEM_PEAK=10
!ITEM_CORR=11
!ITEM_PSI=12
!END_OF_HEADER
     1     0     0  1.600E+01  1.000E+00   10.0   10.0    1.0  0.02000 100  50   10.00
    -1     0     0  1.800E+01  1.000E+00   10.0   10.0    3.0  0.02000 100  50   10.00
     0     2     0  2.500E+01  1.000E+00   20.0   10.0    2.0  0.02000 100  50   10.00
!END_OF_DATA
"""


def test_a_list_of_xds_is_read(tmp_path):
    path = tmp_path / "XDS_ASCII.HKL"
    path.write_text(XDS)
    array, _ = read_list(str(path), SYMMETRY)
    found = dict(zip(array.indices(), array.data()))
    # Friedel mates are one reflection; F is the root of the mean.
    assert found == {(1, 0, 0): pytest.approx(17**0.5), (0, 2, 0): pytest.approx(5.0)}


@pytest.mark.parametrize(
    "text, words",
    [
        ("!OUTPUT_FILE=INTEGRATE.HKL    DATE=1\n!END_OF_HEADER\n", "dials.import_xds"),
        ("CrystFEL reflection list version 2.0\nSymmetry: 1\n", "output-format=mtz"),
        ("h k l F\n1 2 3 4\n", "line 1 is “h k l F”"),
        ("   1   0   0  100.00    2.00\n 1,0,0,100,2\n", "line 2 is “1,0,0,100,2”"),
        ("<html>\n", "not a SHELX list (HKLF 4"),
        ("   1   0   0   5x.00    2.00\n", "line 1 is “1   0   0   5x.00    2.00”"),
        ("   1   0   0     nan    2.00\n", "line 1 is"),
        ("1 0 0 100.0 2.0\n", "line 1 is"),
        ("\n   1   0   0  100.00    2.00\n", "no reflections before the first line"),
    ],
)
def test_lists_of_others_are_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "other.hkl"
    path.write_text(text)
    with pytest.raises(ValueError) as told:
        read_list(str(path), SYMMETRY)
    assert words in str(told.value) and "\n" not in str(told.value)
    assert "=hklf" not in str(told.value)


def test_numbers_as_fortran_reads_them(tmp_path):
    """3I4, 2F8.2: blanks are 0, two decimals without a point, D is E; 0 0 0 ends."""
    path = tmp_path / "x.hkl"
    text = (
        "   1           10000     200\n"  # h 0 0, 100.00
        "   0   2   0 1.44D+2    2.00\n"
        "   0   0   3  81.       \n"
        "  -1   0   0     100      50   1\n"
        "   0   0   0    0.00    0.00\nTITL what follows is no list\n"
    )
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    array, _ = read_list(str(path), SYMMETRY)
    found = dict(zip(array.indices(), array.data()))
    assert found == {
        (1, 0, 0): pytest.approx(50.5**0.5),
        (0, 2, 0): pytest.approx(12.0),
        (0, 0, 3): pytest.approx(9.0),
    }
