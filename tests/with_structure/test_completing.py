"""Structures with atoms missing, atoms too many and wrong elements, and their true |F|."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cctbx import xray
from cctbx.array_family import flex

from dials_spread.refinement.difference_map import Peak, nearest
from dials_spread.refinement.hydrogen import find_parents
from dials_spread.refinement.model import hydrogen_atoms
from dials_spread.structures.structure_checks import overlapping_atoms
from dials_spread.structures.structure_files import read_structure
from dials_spread.with_structure.completing import (
    Contents,
    _element,
    carbon_height,
    complete_structure,
)


def intensities(structure, d_min=0.8, error=0.03):
    """True F² with relative errors of |F|."""
    made = structure.deep_copy_scatterers()
    made.scattering_type_registry(table="electron")
    F = made.structure_factors(
        d_min=d_min, anomalous_flag=False, algorithm="direct"
    ).f_calc()
    I = F.as_intensity_array()
    rng = np.random.default_rng(3)
    values = I.data().as_numpy_array()
    noisy = values * (1 + 2 * error * rng.standard_normal(len(values)))
    sigma = 2 * error * values + 1e-3 * values.mean()
    return I.customized_copy(
        data=flex.double(noisy), sigmas=flex.double(sigma)
    ).set_observation_type_xray_intensity()


def without(structure, labels):
    return structure.select(
        flex.bool([s.label not in labels for s in structure.scatterers()])
    )


def bare(structure):
    return structure.select(flex.bool([bool(x) for x in ~hydrogen_atoms(structure)]))


def as_carbon(structure):
    """All atoms carbon with one displacement, as a solution without a composition."""
    made = structure.deep_copy_scatterers()
    for scatterer in made.scatterers():
        scatterer.scattering_type = "C"
    made.convert_to_isotropic()
    made.set_u_iso(value=0.03)
    return xray.structure(made, scatterers=made.scatterers())


@pytest.fixture(scope="module")
def paracetamol():
    """With hydrogen where its nuclei are: the published structure is from X-rays."""
    structure = read_structure("paracetamol")
    cell, parent = structure.unit_cell(), find_parents(structure)
    scatterers = structure.scatterers()
    for h in np.flatnonzero(hydrogen_atoms(structure)):
        other = scatterers[int(parent[h])]
        start, end = (np.array(x.site) for x in (other, scatterers[int(h)]))
        length = cell.distance(tuple(start), tuple(end))
        wanted = {"C": 1.08, "N": 1.02, "O": 0.98}[other.scattering_type]
        scatterers[int(h)].site = tuple(start + (end - start) * wanted / length)
    return structure


@pytest.mark.parametrize("composition", [None, "C 8 H 9 N O 2"])
def test_what_lacks_is_found_and_what_is_too_much_goes(paracetamol, composition):
    data = intensities(paracetamol)
    there = bare(paracetamol)
    names = [s.label for s in there.scatterers()]
    part = without(there, names[2:4])
    if composition is None:
        part = as_carbon(part)
    part.add_scatterer(
        xray.scatterer("C99", site=(0.9, 0.45, 0.1), u=0.05, scattering_type="C")
    )
    apart, _ = nearest(
        there, np.array([[0.9, 0.45, 0.1]]), np.array(there.sites_frac())
    )
    assert apart[0] > 1.5, "the false atom is none of the molecule"
    found = complete_structure(part, data, composition)
    heavy = bare(found.structure)
    distance, _ = nearest(
        paracetamol, np.array(there.sites_frac()), np.array(heavy.sites_frac())
    )
    assert len(heavy.scatterers()) == len(names)
    assert distance.max() < 0.1
    assert found.n_added == 2 and found.n_removed == 1
    # Hydrogen where it is, as many as there are.
    hydrogen = paracetamol.select(
        flex.bool(list(map(bool, hydrogen_atoms(paracetamol))))
    )
    own = found.structure.select(
        flex.bool(list(map(bool, hydrogen_atoms(found.structure))))
    )
    distance, _ = nearest(
        paracetamol, np.array(own.sites_frac()), np.array(hydrogen.sites_frac())
    )
    assert len(own.scatterers()) == len(hydrogen.scatterers()) == found.n_hydrogen
    assert distance.max() < 0.3


def test_a_complete_structure_stays_as_it_is(paracetamol):
    found = complete_structure(paracetamol, intensities(paracetamol), "C8H9NO2")
    assert found.n_added == found.n_hydrogen == found.n_removed == found.n_rounds == 0
    assert found.refinement.r1_all < 0.06


def test_two_atoms_in_one_place_become_one(paracetamol):
    """As two peaks of charge flipping where there is one atom, which run together."""
    double = paracetamol.deep_copy_scatterers()
    first = double.scatterers()[0]
    site = np.array(double.unit_cell().orthogonalize(first.site)) + (0.35, 0.0, 0.0)
    double.add_scatterer(
        xray.scatterer(
            "C99",
            site=double.unit_cell().fractionalize(tuple(site)),
            u=0.05,
            scattering_type="C",
        )
    )
    found = complete_structure(double, intensities(paracetamol), "C8H9NO2")
    assert not overlapping_atoms(found.structure)
    assert len(found.structure.scatterers()) == len(paracetamol.scatterers())
    assert found.n_removed == 1


def test_hydrogen_atoms_are_not_beside_each_other(paracetamol):
    """Noise beside a hydrogen atom, also at the length of a bond, is no second one."""
    cell, parent = paracetamol.unit_cell(), find_parents(paracetamol)
    scatterers = paracetamol.scatterers()
    h = int(np.flatnonzero(hydrogen_atoms(paracetamol))[0])
    at = np.array(cell.orthogonalize(scatterers[int(parent[h])].site))
    bond = np.array(cell.orthogonalize(scatterers[h].site)) - at
    across = np.cross(bond, (0.3, 0.5, 0.8))
    across *= np.linalg.norm(bond) / np.linalg.norm(across)
    lacking = {"C": 0.0, "H": 8.0}
    found = []
    for angle in (0.9, 1.15):  # H to H: 0.94 Å and 1.18 Å
        end = at + np.cos(angle) * bond + np.sin(angle) * across
        peak = Peak(cell.fractionalize(tuple(end)), 1.0, 6.0, "", 1.08)
        found.append(_element(peak, paracetamol, lacking, 10.0))
    assert found == [None, None]


def test_no_more_atoms_than_the_composition_has(paracetamol):
    part = without(bare(paracetamol), ["C1"])
    assert len(part.scatterers()) == len(bare(paracetamol).scatterers()) - 1
    found = complete_structure(part, intensities(paracetamol), "C 7 H 2 N O 2")
    kinds = Counter(s.scattering_type for s in found.structure.scatterers())
    assert kinds["C"] <= 7 and kinds["H"] <= 2
    lacking = Contents.of(paracetamol, "C 8 H 9 N O 2").lacking(part)
    assert lacking["H"] == pytest.approx(9 * 4) or lacking["H"] == pytest.approx(9 * 8)
    assert lacking["C"] > 0 and lacking["O"] == pytest.approx(0)


@pytest.mark.parametrize("name, strong", [("quartz", {"Si"}), ("glycine", set())])
def test_what_scatters_more_is_named(name, strong):
    structure = read_structure(name)
    found = complete_structure(as_carbon(bare(structure)), intensities(structure, 0.75))
    kinds = [s.scattering_type for s in bare(found.structure).scatterers()]
    truth = [s.scattering_type for s in bare(structure).scatterers()]
    named = {k: new for k, (old, new) in enumerate(zip(truth, kinds)) if new != "C"}
    assert {truth[k] for k in named} == strong
    # By how much it scatters, relative to the lighter one, not by its name.
    assert all(new not in ("C", "H") for new in named.values())


def test_height_of_carbon_is_that_of_a_map():
    from cctbx import crystal

    from dials_spread.refinement.difference_map import POTENTIAL

    symmetry = crystal.symmetry(
        unit_cell=(9, 10, 11, 80, 95, 105), space_group_symbol="P 1"
    )
    atom = xray.scatterer("C1", site=(0, 0, 0), u=0.04, scattering_type="C")
    alone = xray.structure(
        crystal_symmetry=symmetry, scatterers=flex.xray_scatterer([atom])
    )
    alone.scattering_type_registry(table="electron")
    F = alone.structure_factors(d_min=0.8, anomalous_flag=False).f_calc()
    whole = F.fft_map(resolution_factor=1 / 8)
    whole.apply_volume_scaling()
    highest = flex.max(whole.real_map_unpadded().as_1d()) * POTENTIAL
    assert carbon_height(alone, intensities(alone)) == pytest.approx(highest, rel=0.01)
