"""References of every kind give the amplitudes that were written into them."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest

import iotbx.cif
from cctbx import crystal
from cctbx.array_family import flex
from iotbx.shelx import hklf

from dials_spread.reference import read_reference, reference_amplitudes
from dials_spread.reference.hkl_files import read_instructions
from dials_spread.structures.structure_files import write_cif

INS = """TITL glycine
CELL 0.0251 5.089 11.812 5.467 90 112.006 90
ZERR 4 0 0 0 0 0 0
LATT 1
SYMM 0.5-X, 0.5+Y, 0.5-Z
SFAC C H N O
UNIT 8 20 4 8
{atoms}HKLF {code}
END
"""


def as_ins(structure, code=4) -> str:
    atoms = ""
    for n, atom in enumerate(structure.scatterers()):
        kind = "CHNO".index(atom.scattering_type) + 1
        x, y, z = atom.site
        atoms += f"{atom.scattering_type}{n} {kind} {x:.5f} {y:.5f} {z:.5f} 11.0 0.03\n"
    return INS.format(atoms=atoms, code=code)


def indices(array) -> np.ndarray:
    return array.indices().as_vec3_double().as_numpy_array().astype(int)


def write_hkl(array, path):
    """Write an array into a SHELX .hkl file."""
    array = array.customized_copy(sigmas=flex.double(array.size(), 0.01))
    text = io.StringIO()
    hklf.miller_array_export_as_shelx_hklf(array, text, full_dynamic_range=True)
    path.write_text(text.getvalue())


def test_a_structure_from_cif_and_ins(tmp_path, glycine, f_calc):
    (tmp_path / "g.cif").write_text(write_cif(glycine, "g"))
    symmetry = crystal.symmetry((3, 4, 5, 90, 90, 90), "P 1")
    found = read_reference(str(tmp_path / "g.cif"), symmetry)
    assert found.label == "structure" and found.symmetry.unit_cell().is_similar_to(
        glycine.unit_cell()
    )
    F = reference_amplitudes(found, indices(f_calc))
    np.testing.assert_allclose(F, f_calc.data(), rtol=1e-3, atol=1e-3)
    (tmp_path / "g.ins").write_text(as_ins(glycine))
    found = read_reference(str(tmp_path / "g.ins"), symmetry)
    # All U are 0.03 Å² here: alike, not equal.
    F = reference_amplitudes(found, indices(f_calc))
    assert np.corrcoef(F, f_calc.data())[0, 1] > 0.97
    assert found.as_dict()["atoms"] == 10


def test_mtz(tmp_path, glycine, f_calc):
    observed = f_calc.customized_copy(
        data=f_calc.data() * 1.1, sigmas=flex.double(f_calc.size(), 0.1)
    )
    mtz = observed.as_mtz_dataset(column_root_label="F")
    mtz.add_miller_array(f_calc, column_root_label="FC", column_types="F")
    mtz.mtz_object().write(str(tmp_path / "g.mtz"))
    found = read_reference(str(tmp_path / "g.mtz"), glycine.crystal_symmetry())
    assert found.label == "FC"
    # Equivalent indices, as measured, are looked up too.
    hkl = indices(f_calc) * [-1, 1, -1]
    F = reference_amplitudes(found, hkl)
    np.testing.assert_allclose(F, f_calc.data(), rtol=1e-5)
    found = read_reference(
        str(tmp_path / "g.mtz"), glycine.crystal_symmetry(), None, "F,"
    )
    np.testing.assert_allclose(
        reference_amplitudes(found, hkl), f_calc.data() * 1.1, rtol=1e-5
    )


@pytest.mark.parametrize("code", [3, 4])
@pytest.mark.parametrize("told_by", ["argument", "ins"])
def test_hkl_of_amplitudes_and_intensities(tmp_path, glycine, f_calc, code, told_by):
    array = f_calc if code == 3 else f_calc.f_as_f_sq()
    write_hkl(array, tmp_path / "g.hkl")
    given = code
    if told_by == "ins":
        (tmp_path / "g.ins").write_text(as_ins(glycine, code))
        assert read_instructions(tmp_path / "g.hkl").code == code
        given = None
    found = read_reference(str(tmp_path / "g.hkl"), glycine.crystal_symmetry(), given)
    F = reference_amplitudes(found, indices(f_calc))
    scale = F.max() / np.max(f_calc.data())
    np.testing.assert_allclose(F / scale, f_calc.data(), rtol=0.01, atol=0.1)
    missing = reference_amplitudes(found, np.array([[40, 0, 0], [1, 1, 1]]))
    assert np.isnan(missing[0]) and missing[1] > 0


def test_unmerged_and_negative_intensities(tmp_path, glycine, f_calc):
    squares = f_calc.f_as_f_sq().select(flex.size_t(range(50)))
    hkl = squares.indices().concatenate(squares.indices())
    data = (squares.data() * 0.8).concatenate(squares.data() * 1.2)
    data[3] = data[53] = -4.0
    write_hkl(squares.customized_copy(indices=hkl, data=data), tmp_path / "g.hkl")
    found = read_reference(str(tmp_path / "g.hkl"), glycine.crystal_symmetry())
    F = reference_amplitudes(found, indices(squares))
    assert F[3] == 0
    F = np.delete(F, 3)
    expected = np.delete(np.sqrt(squares.data()), 3)
    scale = F.max() / expected.max()
    np.testing.assert_allclose(F / scale, expected, rtol=0.02, atol=0.2)


@pytest.mark.parametrize("ending", ["fcf", "cif"])
def test_fcf_and_cif_lists_give_what_was_calculated(tmp_path, glycine, f_calc, ending):
    squares = f_calc.f_as_f_sq()
    block = iotbx.cif.miller_arrays_as_cif_block(
        squares.customized_copy(data=squares.data() * 1.3),
        column_names=["_refln_F_squared_meas"],
        format="coreCIF",
    )
    block.add_miller_array(squares, column_name="_refln_F_squared_calc")
    model = iotbx.cif.model.cif()
    model["g"] = block.cif_block
    path = tmp_path / f"g.{ending}"
    path.write_text(str(model))
    found = read_reference(str(path), glycine.crystal_symmetry())
    assert "calc" in found.label
    F = reference_amplitudes(found, indices(f_calc))
    np.testing.assert_allclose(F, f_calc.data(), rtol=1e-3, atol=1e-3)


def test_bad_files_give_one_line(tmp_path, glycine, data_folder):
    symmetry = glycine.crystal_symmetry()
    (tmp_path / "a.mtz").write_bytes(b"MTZ nothing of the kind")
    (tmp_path / "a.hkl").write_text("this is no list\n")
    (tmp_path / "a.fcf").write_text("data_a\n_cell_length_a 4\n")
    (tmp_path / "a.cif").write_text("data_a\nloop_\n_atom_site_fract_x\n")
    (tmp_path / "a.ins").write_text("nothing")
    (tmp_path / "empty.cif").write_text("")
    shutil.copy(data_folder / "quartz" / "scaled.refl", tmp_path / "a.pdb")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "folder.cif").mkdir()
    names = ["a.mtz", "a.hkl", "a.fcf", "a.cif", "a.ins", "a.pdb", "a.txt", "none.cif"]
    for name in [*names, "empty.cif", "folder.cif"]:
        with pytest.raises(ValueError) as told:
            read_reference(str(tmp_path / name), symmetry)
        assert name in str(told.value) and "\n" not in str(told.value)
    (tmp_path / "nothing.cif").write_text("data_a\n")
    for name, why in (
        ("empty.cif", "the file is empty"),
        ("nothing.cif", "neither atoms nor reflections in it"),
    ):
        with pytest.raises(ValueError, match=f"{name}: {why}"):
            read_reference(str(tmp_path / name), symmetry)
    with pytest.raises(ValueError, match="did you mean paracetamol"):
        read_reference("paracetmol", symmetry)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_list_in_any_encoding(tmp_path, encoding):
    text = (
        "# Müller, λ in Å\n".replace("λ", "l")
        + "data_x\n_cell_length_a 5\n_cell_length_b 6\n_cell_length_c 7\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "_symmetry_space_group_name_H-M 'P 1'\nloop_\n_refln_index_h\n_refln_index_k\n"
        "_refln_index_l\n_refln_F_squared_calc\n1 0 0 16.0\n0 2 0 25.0\n"
    )
    path = tmp_path / "x.fcf"
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    found = read_reference(str(path), crystal.symmetry())
    F = reference_amplitudes(found, np.array([(1, 0, 0), (0, 2, 0)]))
    np.testing.assert_allclose(F, [4.0, 5.0])
