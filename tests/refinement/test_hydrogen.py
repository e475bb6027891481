"""Hydrogen: which geometry it has, where it goes, and what it follows."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, xray
from cctbx.array_family import flex
from smtbx.refinement.constraints.geometrical import hydrogens

from dials_spread.refinement import hydrogen as riding
from dials_spread.refinement.model import electron_model, set_displacements
from dials_spread.refinement.normal_equations import set_flags
from dials_spread.structures.structure_files import read_structure


@pytest.fixture
def paracetamol():
    model = electron_model(read_structure("paracetamol"), 1.0)
    riding.bring_to_parents(model)
    return model


def in_a_box(atoms):
    """Atoms at Cartesian sites in a large cell."""
    symmetry = crystal.symmetry((20, 20, 20, 90, 90, 90), "P 1")
    return xray.structure(
        crystal_symmetry=symmetry,
        scatterers=flex.xray_scatterer(
            [
                xray.scatterer(
                    f"{element}{i}",
                    tuple(np.array(site) / 20 + 0.3),
                    u=0.02,
                    scattering_type=element,
                )
                for i, (element, site) in enumerate(atoms)
            ]
        ),
    )


def test_geometries_of_paracetamol(paracetamol):
    """An aromatic ring, NH, OH; the methyl group is not tetrahedral as published."""
    groups = {
        paracetamol.scatterers()[g.parent].label: g for g in riding.riding(paracetamol)
    }
    assert groups["C2"].geometry is hydrogens.secondary_planar_xh_site
    assert groups["N1"].geometry is hydrogens.secondary_planar_xh_site
    assert groups["O1"].geometry is hydrogens.terminal_tetrahedral_xh_site
    assert len(groups["C8"].hydrogen) == 3
    assert groups["C8"].geometry is None
    ratios = {label: group.u_ratio for label, group in groups.items()}
    assert ratios == {
        **dict.fromkeys(("C2", "C3", "C5", "C6", "N1"), 1.2),
        **dict.fromkeys(("C8", "O1"), 1.5),
    }


def test_tetrahedral_groups_are_recognised():
    # Ethane and its like: C-C 1.54 Å, hydrogen in the directions of a tetrahedron.
    third, root = 1 / 3, np.sqrt(8) / 3
    around = [np.deg2rad(x) for x in (0, 120, 240)]
    methyl = [
        ("H", (root * 1.09 * np.cos(x), root * 1.09 * np.sin(x), -third * 1.09))
        for x in around
    ]
    for order in ([0, 1, 2], [0, 2, 1]):
        own = [methyl[i] for i in order]
        structure = in_a_box([("C", (0, 0, 0)), *own, ("C", (0, 0, 1.54))])
        (group,) = riding.riding(structure)
        assert group.geometry is hydrogens.terminal_tetrahedral_xh3_sites
        assert group.length == pytest.approx(1.09)
    # The same with one hydrogen atom bent away by 0.2 Å
    bent = [*methyl[:2], ("H", tuple(np.add(methyl[2][1], (0, 0, -0.2))))]
    structure = in_a_box([("C", (0, 0, 0)), *bent, ("C", (0, 0, 1.54))])
    assert riding.riding(structure)[0].geometry is None


def test_hydrogen_is_brought_from_another_asymmetric_unit(paracetamol):
    published = read_structure("paracetamol")
    scattered = published.deep_copy_scatterers()
    operators = list(published.space_group())
    for i, scatterer in enumerate(scattered.scatterers()):
        if scatterer.scattering_type == "H":
            scatterer.site = operators[i % 8] * scatterer.site
    riding.bring_to_parents(scattered)
    found, wanted = (np.array(s.sites_cart()) for s in (scattered, paracetamol))
    assert found == pytest.approx(wanted, abs=1e-9)


def test_hydrogen_follows_its_parent(paracetamol):
    set_displacements(paracetamol, True)
    groups = riding.riding(paracetamol)
    set_flags(paracetamol, groups, set())
    placed = riding.parametrise(paracetamol, groups)
    placed.linearise()
    placed.store()
    before = np.array(paracetamol.sites_cart())
    labels = [s.label for s in paracetamol.scatterers()]
    # Nine parameters of each of 11 atoms: all of them and nothing else.
    assert placed.n_independents == 99
    shifts = np.zeros(99)
    step = np.array(paracetamol.unit_cell().fractionalize((0.05, 0.02, -0.04)))
    for start in independent_sites(placed):
        shifts[start : start + 3] = step
    placed.apply_shifts(flex.double(shifts))
    placed.linearise()
    placed.store()
    moved = np.array(paracetamol.sites_cart()) - before
    assert moved == pytest.approx(np.tile([0.05, 0.02, -0.04], (20, 1)), abs=1e-9)
    C8, H8 = (paracetamol.scatterers()[labels.index(x)] for x in ("C8", "H8"))
    assert H8.u_iso == pytest.approx(1.5 * C8.u_iso_or_equiv(paracetamol.unit_cell()))


def independent_sites(parameters):
    """The number of the first component of each refined site."""
    names = parameters.component_annotations
    jacobian = parameters.jacobian_transpose_matching_grad_fc()
    dense = np.array(jacobian.as_dense_matrix()).reshape(-1, len(names))
    for scatterer in parameters.structure.scatterers():
        if scatterer.scattering_type != "H":
            column = names.index(f"{scatterer.label}.x")
            yield int(np.flatnonzero(dense[:, column])[0])


def test_hydrogen_alone_rides_on_nothing():
    structure = in_a_box([("C", (0, 0, 0)), ("H", (0, 0, 4.0))])
    assert riding.find_parents(structure).tolist() == [0, -1]
    assert riding.riding(structure) == []


def test_idealising_twice_changes_nothing(truth):
    once = truth("paracetamol")
    twice = riding.idealised(once)
    difference = np.array(once.sites_cart()) - np.array(twice.sites_cart())
    assert np.abs(difference).max() < 1e-9
