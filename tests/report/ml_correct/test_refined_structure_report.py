"""What a refinement says of the structure that was given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.refinement import RefinementSettings, refine
from dials_spread.refinement.difference_map import Peak
from dials_spread.refinement.element_check import ElementScattering
from dials_spread.report.ml_correct.refined_structure_report import (
    _peaks_sentence,
    atoms_sentences,
    elements_sentences,
)
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure


@pytest.fixture(scope="module")
def quartz():
    return read_structure("quartz")


def told(given, quartz, start=None):
    """Refined against F² of quartz, 5 % off each."""
    points = miller.build_set(quartz.crystal_symmetry(), False, d_min=0.8)
    rng = np.random.default_rng(1)
    I = np.abs(structure_factors(quartz, np.array(list(points.indices())))) ** 2
    I = I * (1 + 0.05 * rng.standard_normal(len(I)))
    data = miller.array(
        points, flex.double(I), flex.double(0.05 * I + 0.001 * I.mean())
    )
    own = RefinementSettings(start_shift=0.0, anisotropic=False)
    one = refine(
        start or given,
        data.set_observation_type_xray_intensity(),
        settings=own,
        rng=rng,
    )
    return " ".join(atoms_sentences(one, given))


def test_the_right_structure_stays(quartz):
    text = told(quartz, quartz)
    assert "moved atoms by 0.0" in text
    assert "may not be there" not in text and "phases" not in text


def test_equivalents_are_the_same_atom(quartz):
    """A structure solved here has its atoms moved to where they form molecules."""
    other = quartz.deep_copy_scatterers()
    op = quartz.space_group()[1]
    for atom in other.scatterers():
        atom.site = tuple(x - 1 for x in op * atom.site)
    assert "moved atoms by 0.0" in told(quartz, quartz, start=other)


def test_an_atom_in_a_void_has_no_density(quartz):
    other = quartz.deep_copy_scatterers()
    other.add_scatterer(
        xray.scatterer("X1", site=(0.9, 0.4, 0.5), u=0.03, scattering_type="C")
    )
    text = told(other, quartz)
    assert "X1: U = " in text and "may not be there" in text
    assert "Si1: U" not in text and "O1: U" not in text


def test_atoms_that_go_far_were_wrong(quartz):
    other = quartz.deep_copy_scatterers()
    last = other.scatterers()[1]
    site = np.array(quartz.unit_cell().orthogonalize(last.site)) + (0.3, 0.2, 0.0)
    last.site = quartz.unit_cell().fractionalize(tuple(site))
    text = told(other, quartz)
    assert f"{last.label} farthest, by 0.3" in text and "phases: correct again" in text


def test_without_a_refinement_nothing_is_told(quartz):
    assert atoms_sentences(None, quartz) == []


def test_what_did_not_converge_is_no_structure_to_correct_with(quartz):
    """Atoms 0.5 Å off: the advice to correct again is for refinements that converged."""
    start = quartz.deep_copy_scatterers()
    moved = start.deep_copy_scatterers()
    for atom in moved.scatterers():
        atom.site = tuple(x + 0.1 for x in atom.site)
    one = SimpleNamespace(structure=start, converged=True)
    assert "correct again" in " ".join(atoms_sentences(one, moved))
    (told,) = atoms_sentences(SimpleNamespace(structure=start, converged=False), moved)
    assert told.startswith("Refinement moved atoms by 0.")
    assert "correct again" not in told and "off" not in told


@pytest.mark.parametrize(
    "converged, r1, said",
    [
        (False, 0.03, "did not converge, that says nothing of them"),
        (True, 0.6, "With R1 this high that says nothing"),
        (True, 0.03, "Nothing speaks against them"),
    ],
)
def test_why_nothing_is_said_of_elements(converged, r1, said):
    """R1 of .034 was called high where the refinement had not converged."""
    one = SimpleNamespace(converged=converged, r1_strong=r1)
    fitted = [ElementScattering("O", 2, 1.01, 0.02, "Si")]
    (told,) = elements_sentences(one, fitted)
    assert (
        told.startswith("Elements: relative to Si, O 1.01 ± 0.02 times")
        and said in told
    )


def peak(in_sigma, distance):
    return Peak(
        site=(0.1, 0.2, 0.3),
        height=in_sigma,
        in_sigma=in_sigma,
        atom="C1",
        distance=distance,
    )


@pytest.mark.parametrize(
    "distances, anisotropic, said, not_said",
    [
        (
            (0.3, 0.4),
            False,
            "No peak above 4 σ is more than 0.85 Å",
            "nearer than a bond",
        ),
        (
            (0.67, 0.3),
            False,
            "1 peak above 4 σ is 0.5 to 0.85 Å from an atom, nearer than a bond is long: "
            "disorder, displacement that is not isotropic, or noise. No peak",
            "may be atoms",
        ),
        ((0.67, 0.7), True, "2 peaks above 4 σ are 0.5 to 0.85 Å", "isotropic"),
        (
            (1.4, 0.3),
            True,
            "1 peak above 4 σ and more than 0.85 Å from all atoms may",
            "bond",
        ),
    ],
)
def test_what_is_nearer_than_a_bond_is_no_atom(distances, anisotropic, said, not_said):
    peaks = [peak(6.0, d) for d in distances]
    one = SimpleNamespace(
        peaks=peaks,
        highest_peak=peaks[0],
        lowest_peak=peak(-4.0, 0.7),
        anisotropic=anisotropic,
    )
    told = _peaks_sentence(one)
    assert said in told and not_said not in told
