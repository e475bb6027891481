"""Atoms scattered over the crystal, brought together."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.connected import connected
from dials_spread.structures.structure_files import read_structure


def distances(structure):
    sites = np.array(structure.sites_cart())
    return np.linalg.norm(sites[:, None] - sites[None], axis=2)


@pytest.fixture()
def scattered():
    """Paracetamol, each atom at a random symmetry equivalent in a random cell."""
    structure = read_structure("paracetamol")
    structure.convert_to_isotropic()
    rng, operators = np.random.default_rng(0), [*structure.space_group()]
    moved = structure.deep_copy_scatterers()
    for scatterer in moved.scatterers():
        site = np.array(operators[rng.integers(len(operators))] * scatterer.site)
        scatterer.site = tuple(site + rng.integers(-2, 3, 3))
    return structure, moved


def test_a_molecule_is_one_again(scattered):
    whole, moved = scattered
    found = connected(moved)
    assert np.abs(distances(moved) - distances(whole)).max() > 5
    np.testing.assert_allclose(distances(found), distances(whole), atol=1e-6)
    middle = np.array(found.sites_frac()).mean(axis=0)
    assert np.all((middle >= 0) & (middle < 1))
    names = [s.label for s in whole.scatterers()]
    assert [s.label for s in found.scatterers()] == names


def test_structure_factors_stay(scattered):
    _, moved = scattered
    index = np.array([[1, 2, 3], [4, 0, 2], [0, 6, 1], [2, 2, 0]])
    np.testing.assert_allclose(
        structure_factors(connected(moved), index), structure_factors(moved, index),
        atol=1e-6,
    )  # fmt: skip


def test_special_positions_and_anisotropic_atoms_stay_right():
    quartz = read_structure("quartz")
    index = np.array([[1, 0, 0], [1, 1, 2], [2, 1, 3]])
    before = structure_factors(quartz, index)
    np.testing.assert_allclose(structure_factors(connected(quartz), index), before)
    quartz.convert_to_isotropic()
    before = structure_factors(quartz, index)
    moved = connected(quartz)
    np.testing.assert_allclose(structure_factors(moved, index), before, atol=1e-6)
    assert list(moved.special_position_indices()) == list(
        quartz.special_position_indices()
    )
