"""Ways in which indices correspond: known twin laws, other settings, wrong cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cctbx import crystal, sgtbx
from cctbx.array_family import flex
from mmtbx.scaling.twin_analyses import twin_laws

from dials_spread.reindexing import reindexed, reindexing_choices
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure


@pytest.mark.parametrize(
    "cell, group",
    [
        ((4.92, 4.92, 5.40, 90, 90, 120), "P 31 2 1"),
        ((9, 9, 12, 90, 90, 90), "P 41"),
        ((10, 10, 10, 90, 90, 90), "P 21 3"),
        ((10, 10, 10, 90, 90, 90), "P 21 21 21"),
        ((7.47, 9.69, 30.2, 90, 90, 90), "P 21 21 21"),
        ((8, 11, 9, 90, 90.2, 90), "P 1 21/c 1"),
        ((8, 11, 9, 90, 107, 90), "C 1 2/c 1"),
        ((10, 10, 10, 88, 88, 88), "P 1"),
        ((12, 12, 20, 90, 90, 120), "R 3 :H"),
    ],
)
def test_choices_are_the_identity_and_the_twin_laws(cell, group):
    symmetry = crystal.symmetry(cell, group)
    choices = reindexing_choices(symmetry, symmetry, 0.03, 3.0)
    assert choices[0].symbol == "h,k,l"
    array = symmetry.build_miller_set(False, d_min=2.0)
    array = array.array(flex.double(array.size(), 1.0))
    laws = twin_laws(array, lattice_symmetry_max_delta=2.5).operators
    operators = {law.operator.r().as_hkl() for law in laws}
    assert len(choices) == 1 + len(operators)


@pytest.mark.parametrize("other", ["a+c,b,-a", "b,c,a", "-a-c,b,a"])
def test_another_setting_is_found(other):
    structure = read_structure("glycine")
    there = structure.change_basis(sgtbx.change_of_basis_op(other))
    choices = reindexing_choices(structure.crystal_symmetry(), there.crystal_symmetry())
    hkl = np.array([[1, 2, 3], [-2, 1, 0], [3, 0, -1], [0, 4, 2], [1, 1, 1]])
    (choice,) = choices
    found = np.abs(structure_factors(there, reindexed(hkl, choice)))
    expected = np.abs(structure_factors(structure, hkl))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_cells_that_do_not_fit():
    here = read_structure("glycine").crystal_symmetry()
    there = crystal.symmetry((9.1, 11.8, 5.5, 90, 112, 90), "P 1 21/n 1")
    with pytest.raises(ValueError, match="cannot be brought onto") as told:
        reindexing_choices(here, there)
    assert "\n" not in str(told.value)


def test_a_centred_cell_and_its_primitive_one():
    centred = crystal.symmetry((12, 9, 15, 90, 100, 90), "C 1 2/c 1")
    primitive = centred.change_basis(centred.change_of_basis_op_to_primitive_setting())
    body = centred.change_basis(sgtbx.change_of_basis_op("a+c,b,-a"))
    for there in (primitive, body):
        (choice,) = reindexing_choices(centred, there)
        assert choice.symmetric
        hkl = centred.build_miller_set(False, d_min=1.5).indices()  # h + k even
        given = hkl.as_vec3_double().as_numpy_array().astype(int)
        moved = reindexed(given, choice)
        d = [there.unit_cell().d(tuple(map(int, h))) for h in moved]
        np.testing.assert_allclose(d, centred.unit_cell().d(hkl), rtol=1e-6)
    (choice,) = reindexing_choices(centred, primitive)
    with pytest.raises(ValueError, match=r"\(1, 0, 0\) among them"):
        reindexed(np.array([[1, 0, 0]]), choice)


def test_symmetry_that_is_not_there_is_seen():
    cell = (10, 10, 10, 90, 90, 90)
    low, high = crystal.symmetry(cell, "P 4"), crystal.symmetry(cell, "P 21 3")
    triclinic = crystal.symmetry(cell, "P 1")
    assert all(c.symmetric for c in reindexing_choices(triclinic, high))
    assert not any(c.symmetric for c in reindexing_choices(high, low))
    assert not any(c.symmetric for c in reindexing_choices(low, triclinic))


@st.composite
def bases(draw):
    """A triclinic cell of three axes that cannot be taken for one another; a new basis."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = np.array([6.0, 8.0, 10.5]) * rng.uniform(0.97, 1.03, 3)
    angles = rng.uniform(93, 105, 3)
    here = crystal.symmetry((*lengths, *angles), "P 1")
    matrix = np.eye(3, dtype=int)
    for _ in range(3):
        i, j = rng.choice(3, 2, replace=False)
        step = np.eye(3, dtype=int)
        step[i, j] = rng.choice([-1, 1])
        matrix = matrix @ step[rng.permutation(3)]
    if round(np.linalg.det(matrix)) < 0:
        matrix = -matrix
    rows = [
        "+".join(f"{n}*{axis}" for n, axis in zip(row, "abc") if n) for row in matrix
    ]
    change = sgtbx.change_of_basis_op(",".join(rows).replace("+-", "-"))
    return here, change, rng.integers(-6, 7, (20, 3))


@settings(max_examples=30, deadline=None)
@given(bases())
def test_any_other_basis_of_a_lattice_is_found(data):
    """Indices keep their d; there and back they are as before, up to Friedel mates."""
    here, change, hkl = data
    there = here.change_basis(change)
    (forward,) = reindexing_choices(here, there)
    (back,) = reindexing_choices(there, here)
    moved = reindexed(hkl, forward)
    counted = hkl[hkl.any(axis=1)].tolist()
    np.testing.assert_allclose(
        [there.unit_cell().d(tuple(h)) for h in moved[moved.any(axis=1)].tolist()],
        [here.unit_cell().d(tuple(h)) for h in counted],
        rtol=1e-6,
    )
    again = reindexed(moved, back)
    assert (again == hkl).all() or (again == -hkl).all()
    expected = np.array([change.apply(tuple(h)) for h in hkl.tolist()])
    assert (moved == expected).all() or (moved == -expected).all()
