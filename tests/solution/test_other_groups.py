"""Screw axes and glide planes that the data were not told of are found from the phases."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import miller, sgtbx
from cctbx.array_family import flex

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution import other_space_groups, solve
from dials_spread.structures.structure_files import read_structure
from dials_spread.with_structure.solved import obeyed_instead


def intensities(name: str, symbol: str, shuffled: bool = False) -> miller.array:
    """Kinematic F² of a built-in structure, merged in another space group."""
    structure = read_structure(name)
    symmetry = structure.crystal_symmetry().customized_copy(
        space_group_info=sgtbx.space_group_info(symbol)
    )
    points = miller.build_set(symmetry, False, d_min=0.9)
    I = np.abs(structure_factors(structure, np.array(list(points.indices())))) ** 2
    rng = np.random.default_rng(0)
    I = I * (1 + 0.1 * rng.standard_normal(len(I)))
    if shuffled:
        order = np.argsort(points.d_spacings().data().as_numpy_array())
        for own in np.array_split(order, 10):
            I[own] = rng.permutation(I[own])
    array = miller.array(points, flex.double(I), flex.double(0.1 * I + 0.01 * I.mean()))
    return array.set_observation_type_xray_intensity()


@pytest.mark.parametrize(
    "name, given, right",
    [
        ("quartz", "P 3 2 1", {"P 31 2 1", "P 32 2 1"}),
        ("glycine", "P 1 2 1", {"P 1 21/n 1"}),
        ("glycine", "P 1 2/m 1", {"P 1 21/n 1"}),
    ],
)
def test_the_space_group_is_found_from_the_laue_group(name, given, right):
    solutions = solve(intensities(name, given), n_starts=20, nproc=2)
    assert not solutions.n_solved
    found = other_space_groups(solutions)
    assert {str(sgtbx.space_group_info(group=group)) for group, _ in found} == right
    assert all(0.6 < agreement <= 1 for _, agreement in found)
    told = obeyed_instead(solutions)
    assert f"the data are in {given}" in told
    assert any(f'dials.reindex space_group="{symbol}"' in told for symbol in right)


@pytest.mark.parametrize("name, given", [("glycine", "P 1 2 1"), ("quartz", "P 3 2 1")])
def test_amplitudes_of_nothing_have_no_space_group(name, given):
    solutions = solve(intensities(name, given, shuffled=True), n_starts=20, nproc=2)
    assert obeyed_instead(solutions) == ""


def test_what_solves_in_its_own_group_is_told_no_other():
    solutions = solve(intensities("glycine", "P 1 21/n 1"), n_starts=20, nproc=2)
    assert solutions.n_solved and obeyed_instead(solutions) == ""
