"""The model scatters as the project's own structure factors say, and starts beside."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import miller

from dials_spread.refinement import model as models
from dials_spread.refinement.hydrogen import find_parents
from dials_spread.scattering.charges import apply_charges
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure


def amplitudes_of(model, points):
    f_c = points.structure_factors_from_scatterers(model, algorithm="direct").f_calc()
    return np.abs(np.array(f_c.data()))


@pytest.mark.parametrize(
    "name, charges",
    [
        ("glycine", {}),
        ("quartz", {}),
        ("quartz", {"Si": 2.4, "O": -1.2}),
        ("glycine", {"O1": -0.5, "O2": -0.5, "N1": 0.4, "H1n1": 0.2}),
    ],
)
def test_amplitudes_are_those_of_the_project(name, charges):
    structure = read_structure(name)
    if charges:
        structure = apply_charges(structure, charges)
    points = miller.build_set(structure.crystal_symmetry(), False, d_min=0.7)
    own = np.abs(structure_factors(structure, np.array(list(points.indices()))))
    found = amplitudes_of(models.electron_model(structure, 0.7), points)
    assert np.abs(found - own).max() < 1e-4 * own.max()


def test_a_charge_makes_a_difference():
    neutral = read_structure("quartz")
    charged = apply_charges(neutral, {"Si": 2.4, "O": -1.2})
    points = miller.build_set(neutral.crystal_symmetry(), False, d_min=1.0)
    F, G = (
        amplitudes_of(models.electron_model(s, 1.0), points) for s in (neutral, charged)
    )
    assert np.abs(F - G).max() > 0.02 * F.max()


def test_the_given_structure_stays_as_it_is():
    structure = read_structure("glycine")
    before = list(structure.sites_frac())
    model = models.electron_model(structure, 1.0)
    models.move_atoms(model, find_parents(model), 0.3, np.random.default_rng(1))
    assert list(structure.sites_frac()) == before
    assert {s.scattering_type for s in structure.scatterers()} == set("CHNO")


def test_atoms_move_by_the_shift_and_hydrogen_with_them():
    model = models.electron_model(read_structure("paracetamol"), 1.0)
    before = np.array(model.sites_cart())
    parent = find_parents(model)
    models.move_atoms(model, parent, 0.1, np.random.default_rng(1))
    moved = np.array(model.sites_cart()) - before
    assert np.linalg.norm(moved, axis=1) == pytest.approx(0.1)
    assert moved == pytest.approx(moved[parent])
    heavy = moved[~models.hydrogen_atoms(model)]
    assert np.linalg.norm(heavy.mean(axis=0)) < 0.08


def test_special_positions_stay():
    model = models.electron_model(read_structure("quartz"), 1.0)
    before = np.array(model.sites_cart())
    models.move_atoms(model, np.arange(2), 0.1, np.random.default_rng(1))
    moved = np.linalg.norm(np.array(model.sites_cart()) - before, axis=1)
    assert moved == pytest.approx([0.0, 0.1])


def test_displacements():
    model = models.electron_model(read_structure("paracetamol"), 1.0)
    models.set_displacements(model, True)
    hydrogen = models.hydrogen_atoms(model)
    aniso = [s.flags.use_u_aniso() for s in model.scatterers()]
    assert aniso == [not h for h in hydrogen]
    smallest, largest = models.mean_square_displacements(model).T
    assert smallest == pytest.approx(np.where(hydrogen, 0.06, 0.04))
    assert largest == pytest.approx(smallest)
    model.scatterers()[0].u_star = (0, 0, 0, 0, 0, 0)
    models.set_displacements(model, False)
    assert model.scatterers()[0].u_iso == models.USUAL_U
    assert not any(s.flags.use_u_aniso() for s in model.scatterers())


def test_no_atoms():
    structure = read_structure("quartz")
    with pytest.raises(ValueError, match="no atoms"):
        models.electron_model(structure[:0], 1.0)
