"""A wrong setting and a wrong compound are seen, on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, sgtbx, xray
from cctbx.array_family import flex

from dials_spread.reference import Reference, match_reference, read_reference
from dials_spread.reindexing import reindexed, reindexing_choices
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure


def indices(array) -> np.ndarray:
    return array.indices().as_vec3_double().as_numpy_array().astype(int)


def as_reference(structure) -> Reference:
    return Reference(
        "known", structure.crystal_symmetry(), structure, None, "structure"
    )


def match(structure, merged, hkl, cell, group, seed=1):
    rng = np.random.default_rng(seed)
    return match_reference(as_reference(structure), merged, hkl, cell, group, rng)


def test_the_right_reference(glycine, f_calc, as_merged):
    merged = as_merged(f_calc.data().as_numpy_array())
    found = match(
        glycine, merged, indices(f_calc), glycine.unit_cell(), glycine.space_group()
    )
    assert found.believed and not found.warnings
    assert [s.operator for s in found.settings] == ["h,k,l"]
    assert found.settings[0].r1 < 0.06 < 0.4 < found.chance_r1
    np.testing.assert_allclose(found.f_calc, f_calc.data(), rtol=1e-9, atol=1e-9)


def test_a_structure_in_another_setting(glycine, f_calc, as_merged):
    there = glycine.change_basis(sgtbx.change_of_basis_op("-a-c,b,a"))
    assert str(there.space_group_info()) != str(glycine.space_group_info())
    merged = as_merged(f_calc.data().as_numpy_array())
    found = match(
        there, merged, indices(f_calc), glycine.unit_cell(), glycine.space_group()
    )
    np.testing.assert_allclose(found.f_calc, f_calc.data(), rtol=1e-9, atol=1e-9)
    assert found.believed
    assert "another setting" in found.warnings[0]


def test_the_indexing_of_quartz_is_found():
    quartz = read_structure("quartz")
    symmetry = quartz.crystal_symmetry()
    hkl = indices(symmetry.build_miller_set(False, d_min=0.6))
    wrong = reindexing_choices(symmetry, symmetry)[1]
    F = np.abs(structure_factors(quartz, reindexed(hkl, wrong)))
    from dials_spread.rfactor import Merged

    merged = Merged(F**2, 0.1 * F**2 + 1e-3, np.full(len(F), 3))
    found = match(quartz, merged, hkl, symmetry.unit_cell(), symmetry.space_group())
    assert [s.operator for s in found.settings] == [wrong.symbol, "h,k,l"]
    assert found.settings[0].r1 < 1e-9 and found.settings[1].r1 > 0.3
    np.testing.assert_allclose(found.f_calc, F, atol=1e-9)


def other_compound(glycine, seed=0) -> xray.structure:
    """Atoms of glycine at random places of the same cell."""
    rng = np.random.default_rng(seed)
    scatterers = flex.xray_scatterer(
        [
            xray.scatterer(a.label, tuple(rng.random(3)), 0.03, 1.0, a.scattering_type)
            for a in glycine.scatterers()
        ]
    )
    return xray.structure(
        crystal.special_position_settings(glycine.crystal_symmetry()), scatterers
    )


@pytest.mark.parametrize("seed", range(4))
def test_another_compound_is_no_better_than_chance(glycine, f_calc, as_merged, seed):
    merged = as_merged(f_calc.data().as_numpy_array(), 0.5)
    found = match(
        other_compound(glycine, seed),
        merged,
        indices(f_calc),
        glycine.unit_cell(),
        glycine.space_group(),
    )
    assert not found.believed
    assert "another compound" in found.warnings[0]
    assert found.as_dict()["believed"] is False


def test_another_cell_is_refused_in_one_line(glycine, f_calc, as_merged):
    merged = as_merged(f_calc.data().as_numpy_array())
    with pytest.raises(ValueError, match="of another compound") as told:
        match(
            read_structure("quartz"),
            merged,
            indices(f_calc),
            glycine.unit_cell(),
            glycine.space_group(),
        )
    assert "\n" not in str(told.value)


def test_a_list_that_hardly_overlaps_is_refused(glycine, f_calc, as_merged):
    few = f_calc.select(flex.size_t(range(10)))
    reference = Reference("few.hkl", glycine.crystal_symmetry(), None, few, "F")
    merged = as_merged(f_calc.data().as_numpy_array())
    with pytest.raises(ValueError, match="for 10 of the"):
        match_reference(
            reference,
            merged,
            indices(f_calc),
            glycine.unit_cell(),
            glycine.space_group(),
            np.random.default_rng(0),
        )


@pytest.mark.parametrize(
    "name, structure, lorentz, d_min, r1",
    [
        ("quartz/scaled", "quartz", "auto", 0.7, 0.234),
        ("abiraterone/integrated", "abiraterone", "auto", 0.7, 0.270),
        ("abiraterone/integrated", "abiraterone", "applied", 0.7, 0.326),
        ("glycine/integrated", "glycine", "auto", 0.7, 0.191),
        ("glycine/integrated", "glycine", "applied", 0.7, 0.262),
    ],
)
def test_measured_data_agree_as_found_before(
    read_measured, name, structure, lorentz, d_min, r1
):
    """R1 of the plain merge, with and without the Lorentz factor, by another program."""
    from dials_spread.observations import build_observations
    from dials_spread.prepare.geometry import add_geometry
    from dials_spread.prepare.scaling import fit_scales
    from dials_spread.rfactor import assess, merge

    experiments, tables = read_measured(name)
    observations = build_observations(experiments, tables)
    measured = add_geometry(observations, experiments, tables, lorentz)
    scale = 1.0 if observations.scaled else fit_scales(measured).scale
    I, var = measured.intensity / scale, (measured.sigma / scale) ** 2
    cell, group = observations.unit_cell, observations.space_group
    symmetry = crystal.symmetry(unit_cell=cell, space_group=group)
    merged = merge(I, var, observations.unique, len(observations.unique_index))
    found = match_reference(
        read_reference(structure, symmetry),
        merged,
        observations.unique_index,
        cell,
        group,
        np.random.default_rng(0),
    )
    assert found.believed and not found.warnings
    near = np.where(observations.d_spacing > d_min, found.f_calc, np.nan)
    assessed = assess(observations, near, I, var)
    assert assessed.merged.r1[0] == pytest.approx(r1, abs=0.015)
    assert assessed.crystal.n.min() > 100
