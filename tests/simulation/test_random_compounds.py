from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cctbx import sgtbx
from cctbx.eltbx import covalent_radii

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.random_compounds import (
    U_LIMITS,
    Wishes,
    random_cell,
    random_compound,
    settings,
)
from dials_spread.structures.structure_checks import check_structure
from dials_spread.structures.structure_files import read_structure, write_cif


@pytest.fixture(scope="module")
def compounds():
    small = Wishes(volume=(300.0, 1200.0))
    return [random_compound(np.random.default_rng(seed), small) for seed in range(40)]


def displacements(structure) -> list[float]:
    """The principal displacements of all atoms [Å²]."""
    from cctbx import adptbx

    found = []
    for atom in structure.scatterers():
        if atom.flags.use_u_iso():
            found.append(atom.u_iso)
        else:
            u_cart = adptbx.u_star_as_u_cart(structure.unit_cell(), atom.u_star)
            found += adptbx.eigenvalues(u_cart)
    return found


@pytest.mark.slow
def test_they_can_be_simulated(compounds):
    for structure in compounds:
        check_structure(structure, 0.9)
        assert 300 * 0.98 < structure.unit_cell().volume() < 1200 * 1.02
        u = displacements(structure)
        # Averaging over a site's symmetry stays within the limits.
        assert U_LIMITS[0] - 1e-6 < min(u) and max(u) < U_LIMITS[1] + 1e-6


def test_no_atom_is_too_near_to_another(compounds):
    # The outside opinion: cctbx's table of contacts, mates included.
    for structure in compounds[::4]:
        atoms = structure.scatterers()
        radius = [covalent_radii.table(a.element_symbol()).radius() for a in atoms]
        table = structure.pair_asu_table(distance_cutoff=1.7 * max(radius))
        cell = structure.unit_cell()
        for pair in table.extract_pair_sym_table().iterator():
            mate = pair.rt_mx_ji * atoms[pair.j_seq].site
            distance = cell.distance(atoms[pair.i_seq].site, mate)
            wanted = 0.85 * (radius[pair.i_seq] + radius[pair.j_seq])
            assert distance > wanted - 0.001


def test_they_are_of_all_kinds(compounds):
    groups = [structure.space_group() for structure in compounds]
    assert 0.3 < np.mean([group.is_centric() for group in groups]) < 0.9
    assert len({group.crystal_system() for group in groups}) >= 6
    elements = Counter(
        atom.element_symbol()
        for structure in compounds
        for atom in structure.scatterers()
    )
    assert {"C", "H", "N", "O"} < set(elements) and len(elements) > 12
    special = [len(structure.special_position_indices()) for structure in compounds]
    assert any(special) and not all(special)


def test_a_cif_holds_all_of_it(compounds, tmp_path):
    hkl = np.array([(1, 0, 0), (0, 1, 1), (2, -1, 3), (-4, 2, 1), (0, 0, 6)])
    for structure in compounds[:20]:
        (tmp_path / "random.cif").write_text(write_cif(structure, "random"))
        read = read_structure(str(tmp_path / "random.cif"))
        F = structure_factors(structure, hkl)
        np.testing.assert_allclose(
            structure_factors(read, hkl), F, atol=2e-4 * np.abs(F).max() + 1e-4
        )


def test_wishes():
    rng = np.random.default_rng(3)
    wishes = Wishes(kind="organic", space_group="P 1 21/n 1", volume=(500, 600))
    structure = random_compound(rng, wishes)
    assert str(structure.space_group_info()) == "P 1 21/n 1"
    assert 495 < structure.unit_cell().volume() < 605
    assert {"C", "H"} <= {a.element_symbol() for a in structure.scatterers()}
    assert not structure.special_position_indices()
    other = random_compound(rng, Wishes(kind="inorganic", volume=(300, 400)))
    assert "H" not in {a.element_symbol() for a in other.scatterers()}


@pytest.mark.parametrize(
    "wishes,told",
    [
        ({"kind": "metallic"}, "Unknown kind"),
        ({"volume": (400, 300)}, "out of order"),
        ({"space_group": "Q 7"}, "Unknown space group"),
        ({"kind": "organic", "space_group": "P m -3 m", "volume": (300, 310)}, "200"),
    ],
)
def test_wishes_that_cannot_come_true(wishes, told):
    with pytest.raises(ValueError, match=told):
        random_compound(np.random.default_rng(1), Wishes(**wishes))


def test_one_seed_one_compound():
    first, again, other = (
        write_cif(random_compound(np.random.default_rng(seed)), "x")
        for seed in (11, 11, 12)
    )
    assert first == again != other


def test_cells_obey_all_settings_and_have_the_volume():
    rng = np.random.default_rng(1)
    for symbols in settings().values():
        for hall in symbols:
            group = sgtbx.space_group(hall)
            cell = random_cell(rng, group, 1000.0)
            assert group.is_compatible_unit_cell(cell, 0.001, 0.02), hall
            assert cell.volume() == pytest.approx(1000, rel=0.01)
