from __future__ import annotations

import json

import numpy as np
import pytest

from cctbx import crystal, xray
from cctbx import euclidean_model_matching as emma
from cctbx.array_family import flex

from dials_spread.solution import assign_atoms, solve
from dials_spread.solution.amplitudes import sphere_amplitudes
from dials_spread.solution.assign import elements_by_height, scattering_power
from dials_spread.solution.polish import common_displacement, refine_sites


def matched(reference, found):
    """Pairs of atoms at the best origin, by the model matching of cctbx."""
    heavy = flex.bool([s.scattering_type != "H" for s in reference.scatterers()])
    reference = reference.select(heavy)
    match = emma.model_matches(
        reference.as_emma_model(),
        found.as_emma_model(),
        tolerance=0.5,
        models_are_diffraction_index_equivalent=True,
    ).refined_matches[0]
    cell = reference.unit_cell()
    elements = [
        (
            reference.scatterers()[i].element_symbol(),
            found.scatterers()[j].element_symbol(),
        )
        for i, j in match.pairs
    ]
    assert cell.is_similar_to(found.unit_cell())
    return reference.scatterers().size(), elements, match.rms


@pytest.mark.parametrize(
    ("name", "composition", "Z"),
    [
        ("paracetamol", "C8H9NO2", 8),
        ("quartz", "Si O2", 3),
        ("glycine", "C 2 H 5 N 1 O 2", 4),
    ],
)
def test_exact_data_give_the_published_structure(kinematic, name, composition, Z):
    f_sq, structure = kinematic(name)
    found = assign_atoms(solve(f_sq, n_starts=3), composition)
    n, elements, rms = matched(structure, found.structure)
    assert len(elements) == n == found.structure.scatterers().size()
    assert rms < 0.1
    assert all(a == b for a, b in elements)
    assert (found.Z, found.n_found) == (Z, found.n_expected)
    assert found.n_agree >= 2 and found.solved
    assert found.r1 < 0.25
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert len(told["atoms"]) == n
    assert found.sentence().startswith("Solved: ")


def test_without_composition_all_are_carbon(kinematic):
    f_sq, structure = kinematic("glycine")
    found = assign_atoms(solve(f_sq, n_starts=2))
    assert {s.scattering_type for s in found.structure.scatterers()} == {"C"}
    assert (found.Z, found.by_composition) == (None, False)
    assert "all atoms carbon" in found.sentence()


def test_z_is_checked(kinematic):
    solutions = solve(kinematic("quartz")[0], n_starts=1)
    with pytest.raises(ValueError, match="Z=0"):
        assign_atoms(solutions, "SiO2", Z=0)
    with pytest.raises(ValueError, match="cannot be read"):
        assign_atoms(solutions, "?")


def test_oxygen_is_higher_than_carbon_at_high_resolution(kinematic):
    """Electrons see f(0) of C > O, but the mean over a sphere to 0.9 Å goes with Z."""
    amplitudes = sphere_amplitudes(kinematic("glycine")[0])
    power = scattering_power(["C", "N", "O"], amplitudes)
    assert power["O"] > power["N"] > power["C"]
    elements = elements_by_height(
        {"C": 8.0, "N": 4.0, "O": 8.0}, np.full(5, 4), amplitudes
    )
    assert elements == ["O", "O", "N", "C", "C"]


def test_multiplicity_decides_where_heights_do_not(kinematic):
    amplitudes = sphere_amplitudes(kinematic("quartz")[0])
    counts = {"Si": 3.0, "O": 6.0}
    assert elements_by_height(counts, np.array([6, 3]), amplitudes) == ["O", "Si"]


def test_a_displaced_atom_comes_back(kinematic):
    f_sq, structure = kinematic("quartz")
    amplitudes = sphere_amplitudes(f_sq)
    moved = xray.structure(
        special_position_settings=crystal.special_position_settings(
            structure.crystal_symmetry(), min_distance_sym_equiv=0.5
        )
    )
    for scatterer in structure.scatterers():
        site = np.array(scatterer.site)
        if scatterer.scattering_type == "O":
            site = site + [0.015, -0.01, 0.01]
        moved.add_scatterer(
            xray.scatterer(
                scatterer.label, tuple(site), 0.03, 1.0, scatterer.scattering_type
            )
        )
    moved.scattering_type_registry(table="electron")
    back = refine_sites(moved, amplitudes, displacements=True)
    apart = [
        structure.unit_cell().distance(a.site, b.site)
        for a, b in zip(structure.scatterers(), back.scatterers())
    ]
    assert max(apart) < 0.01
    # The published displacements are anisotropic; their mean comes out.
    published = structure.extract_u_iso_or_u_equiv().as_numpy_array()
    assert common_displacement(back, amplitudes) == pytest.approx(
        published.mean(), rel=0.35
    )
