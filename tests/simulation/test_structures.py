from __future__ import annotations

import numpy as np
import pytest

from dials_spread.simulation.structures import random_structure, shortest_contact


def test_atoms_keep_their_distance_from_all_symmetry_mates():
    structure = random_structure(np.random.default_rng(3))
    # The outside opinion: cctbx's own table of contacts, mates included.
    pairs = structure.pair_asu_table(distance_cutoff=1.29)
    assert sum(pairs.pair_counts()) == 0
    assert structure.scatterers().size() == 23  # 13 heavy (923 / 18 / 4), 10 hydrogen
    assert structure.special_position_indices().size() == 0


@pytest.mark.parametrize(
    "space_group,cell",
    [
        ("P -1", (6.1, 7.2, 9.8, 97, 104, 112)),
        ("P 1 21/c 1", (7.1, 9.4, 11.7, 90, 115, 90)),
        ("R 3 :H", (14, 14, 8, 90, 90, 120)),
        ("C 1 2 1", (14, 6, 11, 90, 121, 90)),
    ],
)
def test_other_space_groups(space_group, cell):
    structure = random_structure(np.random.default_rng(5), cell, space_group)
    pairs = structure.pair_asu_table(distance_cutoff=1.29)
    assert sum(pairs.pair_counts()) == 0


def test_shortest_contact_against_a_hand_made_case():
    structure = random_structure(np.random.default_rng(1), space_group="P 1")
    symmetry = structure.crystal_symmetry()
    site = np.array([0.99, 0.0, 0.0])
    other = np.array([[0.04, 0.0, 0.0]])
    assert shortest_contact(symmetry, site, other) == pytest.approx(0.05 * 7.3)


def test_seed_decides_everything():
    first = random_structure(np.random.default_rng(8))
    second = random_structure(np.random.default_rng(8))
    assert first.as_cif_simple(out=_Sink()) == second.as_cif_simple(out=_Sink())
    assert list(first.sites_frac()) == list(second.sites_frac())
    other = random_structure(np.random.default_rng(9))
    assert list(first.sites_frac()) != list(other.sites_frac())


class _Sink:
    def write(self, text):
        pass


def test_cell_too_small():
    with pytest.raises(ValueError, match="27 Å³ is too small"):
        random_structure(np.random.default_rng(0), (3, 3, 3, 90, 90, 90))


def test_cell_too_full():
    with pytest.raises(ValueError, match="No place found for atom"):
        random_structure(np.random.default_rng(0), min_distance=6.0)


def test_unknown_element():
    with pytest.raises(ValueError, match="Xx"):
        random_structure(np.random.default_rng(0), composition={"Xx": 1.0})


def test_bad_limits():
    with pytest.raises(ValueError, match="u_iso"):
        random_structure(np.random.default_rng(0), u_iso=(0.05, 0.02))
