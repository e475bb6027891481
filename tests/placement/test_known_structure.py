"""The structure on the reflections of the data, whatever its setting."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx, uctbx

from dials_spread.placement.known_structure import (
    check_fits,
    check_structure_file,
    find_structure,
    intensity_array,
)
from dials_spread.reference import Reference
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure, write_cif


def reference_of(structure) -> Reference:
    return Reference("x", structure.crystal_symmetry(), structure, None, "structure")


@pytest.mark.parametrize("operator", ["a,b,c", "b,c,a", "c,a,b"])
def test_amplitudes_in_any_setting(common, small_structure, operator):
    """Against a direct sum with the indices of the data, in the first setting."""
    other = small_structure.change_basis(sgtbx.change_of_basis_op(operator))
    known = find_structure(reference_of(other), common, np.random.default_rng(0))
    expected = np.abs(structure_factors(small_structure, common.unique_index))
    np.testing.assert_allclose(known.f_calc, expected, rtol=1e-4, atol=1e-4)
    merged = common.merged["none"]
    array, place = intensity_array(known, common, merged)
    f_c = np.abs(structure_factors(other, np.array(list(array.indices()))))
    f_o = np.sqrt(np.maximum(array.data().as_numpy_array(), 0))
    assert r_factor(f_o, f_c)[0] < 0.08
    np.testing.assert_allclose(array.data().as_numpy_array(), merged.intensity[place])
    assert array.is_unique_set_under_symmetry()


def test_cells_are_compared_before_anything_is_run(
    simulated, small_structure, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    experiments, _ = simulated
    (tmp_path / "x.cif").write_text(write_cif(small_structure, "x"))
    check_fits("x.cif", experiments)
    with pytest.raises(ValueError, match="glycine is of another compound: The cell"):
        check_fits("glycine", experiments)
    with pytest.raises(ValueError, match="structure=no.cif: no such file"):
        check_fits("no.cif", experiments)


def test_a_list_has_no_atoms(tmp_path, simulated):
    experiments, _ = simulated
    crystal = experiments[0].crystal
    from cctbx.crystal import symmetry

    file = tmp_path / "x.hkl"
    file.write_text("   1   0   2   10.00    1.00   1\n")
    data = symmetry(
        unit_cell=crystal.get_unit_cell(), space_group=crystal.get_space_group()
    )
    with pytest.raises(ValueError, match="has no atoms"):
        check_structure_file(str(file), data)


def test_one_of_several_structures_is_chosen(
    simulated, small_structure, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    experiments, _ = simulated
    both = write_cif(small_structure, "x") + write_cif(read_structure("quartz"), "q")
    (tmp_path / "two.cif").write_text(both)
    check_fits("two.cif", experiments, "x")
    symmetry = small_structure.crystal_symmetry()
    found = check_structure_file("two.cif", symmetry, "x").structure
    assert found.scatterers().size() == small_structure.scatterers().size()
    for block, why in (
        ("q", "two.cif is of another compound"),
        ("y", "no structure is called y; there are: x, q"),
        (None, "several structures, choose one with cif_block=: x, q"),
    ):
        with pytest.raises(ValueError, match=why):
            check_fits("two.cif", experiments, block)


@pytest.mark.parametrize("stretch, warned", [(1.0, False), (1.01, False), (1.05, True)])
def test_another_cell_is_told(common, small_structure, stretch, warned):
    a, *rest = small_structure.unit_cell().parameters()
    other = small_structure.customized_copy(
        unit_cell=uctbx.unit_cell((stretch * a, *rest))
    )
    known = find_structure(reference_of(other), common, np.random.default_rng(0))
    told = [w for w in known.match.warnings if "differs by up to 5.0 %" in w]
    assert bool(told) == warned
