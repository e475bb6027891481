from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cctbx import crystal, miller, sgtbx, xray
from cctbx.array_family import flex
from cctbx.development import random_structure as cctbx_random_structure

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.structures import random_structure


def explicit_sum(structure, indices):
    """F by the textbook sum over all atoms of the cell, in numpy."""
    registry = structure.scattering_type_registry(table="electron")
    p1 = structure.expand_to_p1()
    stol_sq = structure.unit_cell().stol_sq
    result = np.zeros(len(indices), dtype=complex)
    for row, hkl in enumerate(indices):
        s = stol_sq(tuple(int(x) for x in hkl))
        for atom in p1.scatterers():
            f = registry.gaussian(atom.scattering_type).at_stol_sq(s)
            f *= atom.occupancy * np.exp(-8 * np.pi**2 * atom.u_iso * s)
            result[row] += f * np.exp(2j * np.pi * np.dot(hkl, atom.site))
    return result


def test_against_the_textbook_sum():
    structure = random_structure(np.random.default_rng(2))
    indices = np.random.default_rng(0).integers(-7, 8, size=(40, 3))
    expected = explicit_sum(structure, indices)
    np.testing.assert_allclose(
        structure_factors(structure, indices), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("absorbing", [0.0, 0.3])
@pytest.mark.parametrize(
    "space_group",
    ["P 1", "P -1", "P 21 21 21", "C 1 2/c 1", "P 32 2 1", "R -3 m :H", "I 41 3 2"],
)
def test_equivalents_are_computed_once_and_are_those_of_cctbx(space_group, absorbing):
    """Which sums over atoms for each; also where Friedel mates differ."""
    random.seed(2)
    structure = cctbx_random_structure.xray_structure(
        sgtbx.space_group_info(space_group),
        elements=["C", "O", "N"],
        volume_per_atom=60,
        min_distance=1.2,
        general_positions_only=False,
        random_u_iso=True,
    )
    structure.scattering_type_registry(table="electron")
    atom = structure.scatterers()[0]
    atom.fdp = absorbing
    atom.flags.set_use_fp_fdp(True)
    indices = np.random.default_rng(0).integers(-6, 7, (500, 3))
    asked = miller.set(
        structure.crystal_symmetry(),
        flex.miller_index([tuple(map(int, hkl)) for hkl in indices]),
        anomalous_flag=True,
    )
    direct = asked.structure_factors_from_scatterers(structure, algorithm="direct")
    expected = direct.f_calc().data().as_numpy_array()
    expected[asked.sys_absent_flags().data().as_numpy_array()] = 0.0
    found = structure_factors(structure, indices)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_carbon_forward_scattering():
    # f(0) of carbon is 2.5088 Å in International Tables C, table 4.3.1.1.
    symmetry = crystal.symmetry(
        unit_cell=(10,) * 3 + (90,) * 3, space_group_symbol="P1"
    )
    structure = xray.structure(crystal_symmetry=symmetry)
    structure.add_scatterer(xray.scatterer("C1", site=(0.3, 0.2, 0.1), u=0.0))
    f_000 = structure_factors(structure, np.zeros((1, 3)))[0]
    assert f_000 == pytest.approx(2.5088, rel=0.005)


def test_friedel_mates_and_repeats():
    structure = random_structure(np.random.default_rng(2))
    f = structure_factors(structure, [(1, 2, 3), (-1, -2, -3), (1, 2, 3)])
    assert f[0] == f[2]
    assert f[1] == pytest.approx(np.conj(f[0]))


def test_no_scatterers():
    symmetry = crystal.symmetry(
        unit_cell=(10,) * 3 + (90,) * 3, space_group_symbol="P1"
    )
    with pytest.raises(ValueError, match="no atoms"):
        structure_factors(xray.structure(crystal_symmetry=symmetry), [(1, 0, 0)])


def test_beyond_the_form_factors():
    structure = random_structure(np.random.default_rng(2))
    with pytest.raises(ValueError, match="d = 0.146 Å"):
        structure_factors(structure, [(50, 0, 0), (0, 0, 1)])


GROUPS = ("P 1", "P -1", "P 1 21/c 1", "P 21 21 21", "P 41", "P 31 2 1", "R 3 :H")
GROUPS += ("I 41/a :2", "P 21 3", "F d -3 m :2")


@st.composite
def structures(draw):
    """A few atoms at general places of a cell that the group allows, and indices."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    info = sgtbx.space_group_info(draw(st.sampled_from(GROUPS)))
    structure = xray.structure(
        crystal_symmetry=crystal.symmetry(
            unit_cell=info.any_compatible_unit_cell(volume=600), space_group_info=info
        )
    )
    for k, element in enumerate(("C", "O", "Si")[: rng.integers(1, 4)]):
        structure.add_scatterer(
            xray.scatterer(
                f"{element}{k}", site=rng.random(3), u=0.02, scattering_type=element
            )
        )
    return structure, rng.integers(-5, 6, (12, 3)), rng


@settings(max_examples=30, deadline=None)
@given(structures())
def test_symmetry_equivalents_have_equal_amplitudes(data):
    """And phases that a translation t turns by 2π h·t; Friedel mates the opposite."""
    structure, hkl, _ = data
    group = structure.space_group()
    F = structure_factors(structure, hkl)
    np.testing.assert_allclose(structure_factors(structure, -hkl), F.conj(), atol=1e-8)
    for operator in group.all_ops():
        r = np.reshape(operator.r().as_double(), (3, 3))
        t = np.array(operator.t().as_double())
        # F(h) = F(h R) exp(2πi h·t) with h a row vector.
        turned = structure_factors(structure, np.rint(hkl @ r).astype(int))
        np.testing.assert_allclose(turned * np.exp(2j * np.pi * hkl @ t), F, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(structures(), st.sampled_from(["b,c,a", "-a,-b,a+c", "a+b,b,c", "a,-c,b"]))
def test_another_basis_and_another_origin_keep_amplitudes(data, basis):
    structure, hkl, rng = data
    change = sgtbx.change_of_basis_op(basis)
    there = structure.expand_to_p1().change_basis(change)
    # cctbx changes indices itself here: h' = h C⁻¹.
    moved = [change.apply(tuple(int(x) for x in h)) for h in hkl]
    F, moved = structure_factors(structure, hkl), np.array(moved)
    found = structure_factors(there, moved)
    np.testing.assert_allclose(found, F, atol=1e-8)
    shift = rng.random(3)
    there.set_sites_frac(there.sites_frac() + tuple(shift))
    found = structure_factors(there, moved)
    np.testing.assert_allclose(found, F * np.exp(2j * np.pi * moved @ shift), atol=1e-8)
