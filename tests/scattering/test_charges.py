"""Ions: form factors against published ones, structure factors, counting noise."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from cctbx import crystal, xray
from cctbx.eltbx import e_scattering, tiny_pse
from iotbx import cif

from dials_spread.scattering.charges import (
    apply_charges,
    compare_charges,
    difference_in_noise,
    net_charge,
    parse_charges,
    warn_if_charged,
)
from dials_spread.scattering.form_factors import (
    MOTT_BETHE,
    charge_shift,
    electron_form_factor,
    listed_charges,
    parse_type,
    type_name,
    xray_form_factor,
)
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.structures import random_structure

# Peng (1998), Acta Cryst. A54, 481, table 1: f = Σ a exp(-b s²) + 0.023934 Δz / s².
PENG = {
    "Li1+": (
        (0.0046, 0.0165, 0.0435, 0.0649, 0.027),
        (0.0358, 0.239, 0.879, 2.64, 7.09),
    ),
    "O1-": ((0.205, 0.628, 1.17, 1.03, 0.29), (0.397, 2.64, 8.8, 27.1, 91.8)),
    "O2-": ((0.0421, 0.21, 0.852, 1.82, 1.17), (0.0609, 0.559, 2.96, 11.5, 37.7)),
    "Na1+": ((0.0256, 0.0919, 0.297, 0.514, 0.199), (0.0397, 0.287, 1.18, 3.75, 10.8)),
    "Mg2+": ((0.021, 0.0672, 0.198, 0.368, 0.174), (0.0331, 0.222, 0.838, 2.48, 6.75)),
    "Cl1-": ((0.265, 0.596, 1.6, 2.69, 1.23), (0.252, 1.56, 6.21, 17.8, 47.8)),
    "K1+": ((0.199, 0.396, 0.928, 1.45, 0.45), (0.192, 1.1, 3.91, 9.75, 23.4)),
}


def peng(label, s):
    a, b = map(np.array, PENG[label])
    return np.exp(-np.square(s)[:, None] * b) @ a + 0.023934 * (
        parse_type(label)[1] / np.square(s)
    )


@pytest.mark.parametrize("label", PENG)
def test_ions_against_published_form_factors(label):
    s = np.linspace(0.1, 1.2, 23)
    own = electron_form_factor(*parse_type(label), s)
    # Cl- was computed with other wave functions in the two sources.
    tolerance = 0.16 if label == "Cl1-" else 0.012
    np.testing.assert_allclose(own, peng(label, s), atol=tolerance, rtol=0.01)


def test_neutral_atoms_obey_mott_and_bethe():
    s = np.linspace(0.1, 1.5, 15)
    for element in ("H", "C", "N", "O", "Na", "Si", "S", "Cl", "Fe", "Br", "I"):
        Z = tiny_pse.table(element).atomic_number()
        label = listed_charges(element)[0.0]
        expected = MOTT_BETHE * (Z - xray_form_factor(label, s)) / s**2
        own = electron_form_factor(element, 0.0, s)
        np.testing.assert_allclose(own, expected, rtol=0.04)


@pytest.mark.parametrize(
    "element, charge",
    [("Na", 1), ("Fe", 2.5), ("O", -0.4), ("N", 0.3), ("C", -0.2), ("S", -1), ("H", 1)],
)
def test_the_charge_alone_counts_far_away_and_nothing_near_the_nucleus(element, charge):
    shift = charge_shift(element, charge, np.array([0.0, 1e-4, 2.0]))
    assert shift[0] == pytest.approx(charge, abs=1e-12)
    assert shift[1] == pytest.approx(charge, rel=1e-4)
    assert abs(shift[2]) < 0.05 * abs(charge) + 0.01


def test_charges_are_interpolated_between_ions():
    s = np.array([0.1, 0.4])
    two, three = (charge_shift("Fe", q, s) for q in (2, 3))
    np.testing.assert_allclose(charge_shift("Fe", 2.25, s), 0.75 * two + 0.25 * three)
    np.testing.assert_allclose(charge_shift("Fe", 0.5, s), 0.25 * two)


@pytest.mark.parametrize(
    "element, charge, message",
    [
        ("Fe", 4, "Fe4\\+ has no form factor: the largest charge .* is \\+3"),
        ("N", -4, "the largest charge of this sign that N can have is -3"),
        ("C", 5, "the largest charge of this sign that C can have is \\+4"),
        ("S", 7, "the largest charge of this sign that S can have is \\+6"),
        ("Na", -1, "Na1- has no form factor"),
        ("He", 1, "He1\\+ has no form factor"),
    ],
)
def test_charges_that_cannot_be(element, charge, message):
    with pytest.raises(ValueError, match=message):
        charge_shift(element, charge, np.array([0.1]))


def test_types_are_written_as_they_are_read():
    for element, charge in (("Na", 1.0), ("O", -0.5), ("C", 0.0), ("Fe", 2.25)):
        assert parse_type(type_name(element, charge)) == (element, charge)
    assert parse_type("Cl-") == ("Cl", -1.0)
    for odd in ("Xx", "Na1", "1+", "", "Zz2+"):
        with pytest.raises(ValueError, match="no electron form factor"):
            parse_type(odd)


@pytest.fixture
def rock_salt():
    symmetry = crystal.symmetry((5.64,) * 3 + (90,) * 3, space_group_symbol="F m -3 m")
    structure = xray.structure(crystal_symmetry=symmetry)
    for element, x in (("Na", 0.0), ("Cl", 0.5)):
        structure.add_scatterer(xray.scatterer(element, site=(x,) * 3, u=0.015))
    return structure


def test_rock_salt_by_hand_with_published_form_factors(rock_salt):
    """F = 4 (f_Na ± f_Cl) exp(-8π² U s²), the sign being that of (-1)^h."""
    hkl = np.array([(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0)])
    s = np.linalg.norm(hkl, axis=1) / 5.64 / 2
    damping = 4 * np.exp(-8 * np.pi**2 * 0.015 * s**2)
    sodium, chlorine = peng("Na1+", s), peng("Cl1-", s)
    by_hand = damping * (sodium + np.where(hkl[:, 0] % 2, -1, 1) * chlorine)
    ions = apply_charges(rock_salt, parse_charges("Na=+1, Cl=-1"))
    own = structure_factors(ions, hkl)
    np.testing.assert_allclose(own.imag, 0, atol=1e-10)
    np.testing.assert_allclose(own.real, by_hand, atol=0.35, rtol=0.01)
    # Neutral atoms are far from that: the test can tell.
    assert abs(structure_factors(rock_salt, hkl[:1])[0] - by_hand[0]) > 0.35
    assert net_charge(ions) == pytest.approx(0)


def explicit_sum(structure, indices):
    """F by the textbook sum over all atoms of the cell with their charges."""
    result = np.zeros(len(indices), dtype=complex)
    stol = [structure.unit_cell().stol(tuple(map(int, hkl))) for hkl in indices]
    for atom in structure.expand_to_p1().scatterers():
        element, charge = parse_type(atom.scattering_type)
        f = electron_form_factor(element, charge, np.array(stol))
        damping = np.exp(-8 * np.pi**2 * atom.u_iso * np.square(stol))
        phase = np.exp(2j * np.pi * (indices @ np.array(atom.site)))
        result += atom.occupancy * f * damping * phase
    return result


def test_against_the_textbook_sum_of_ions(data_folder):
    quartz = read(data_folder, "quartz")
    quartz.convert_to_isotropic()
    indices = np.random.default_rng(0).integers(-6, 7, size=(50, 3))
    for structure, text in (
        (random_structure(np.random.default_rng(0)), "C=0.1 N=-0.3 O=-0.2 H1=0.4"),
        (quartz, "Si=+2 O=-1"),
    ):
        first = structure.scatterers()[0]
        text = text.replace("H1", first.label)
        charged = apply_charges(structure, parse_charges(text))
        expected = explicit_sum(charged, indices)
        own = structure_factors(charged, indices)
        np.testing.assert_allclose(own, expected, rtol=1e-8, atol=1e-8)
    assert net_charge(charged) == pytest.approx(0)


def read(data_folder, name):
    file = data_folder / "structures" / f"{name}.cif"
    (structure,) = cif.reader(str(file)).build_crystal_structures().values()
    return structure


def test_small_charges_change_little_and_the_mean_potential_stays_finite():
    structure = random_structure(np.random.default_rng(0))
    elements = [atom.scattering_type for atom in structure.scatterers()]
    ratio = elements.count("O") / elements.count("C")
    hkl = np.array([(0, 0, 0), (1, 1, 0), (1, 2, 3)])
    neutral = structure_factors(structure, hkl)
    changes = [
        structure_factors(apply_charges(structure, {"C": q * ratio, "O": -q}), hkl)
        - neutral
        for q in (1e-3, 0.1, 0.2)
    ]
    assert np.abs(changes[0]).max() < 0.02 * np.abs(changes[1]).max()
    np.testing.assert_allclose(changes[2], 2 * changes[1], rtol=1e-9)
    assert np.isfinite(changes[2]).all()


def test_labels_go_before_elements_and_the_structure_stays(rock_salt):
    glycine = random_structure(np.random.default_rng(0))
    label = next(a.label for a in glycine.scatterers() if a.scattering_type == "O")
    charged = apply_charges(glycine, {"O": -0.5, label: -0.25})
    types = {a.label: a.scattering_type for a in charged.scatterers()}
    assert types.pop(label) == "O0.25-"
    assert {t for n, t in types.items() if n.startswith("O")} <= {"O0.5-"}
    assert {a.scattering_type for a in glycine.scatterers()} <= {*"CHNO"}
    # A charge of zero takes away what the structure came with.
    ions = apply_charges(rock_salt, {"Na": 1, "Cl": -1})
    back = apply_charges(ions, {"Na": 0, "Cl": 0})
    hkl = np.array([(1, 1, 1)])
    assert structure_factors(back, hkl) == structure_factors(rock_salt, hkl)


@pytest.mark.parametrize(
    "text, message",
    [
        ("Na", "Na is not of the form"),
        ("Na=x", "Na=x is not of the form"),
        ("=1", "=1 is not of the form"),
        ("Na=nan", "not of the form"),
        ("Na=1 Na=2", "Na is given twice"),
        ("K=1", "no atom or element is called K; the elements are Cl, Na"),
        ("Na=+2", "Na2\\+ has no form factor"),
    ],
)
def test_bad_charges(rock_salt, text, message):
    with pytest.raises(ValueError, match=message):
        apply_charges(rock_salt, parse_charges(text))


def test_a_charged_cell_is_warned_about(rock_salt, caplog):
    logging.getLogger("dials").propagate = True
    assert warn_if_charged(apply_charges(rock_salt, {"Na": 1, "Cl": -1})) == 0
    assert not caplog.records
    assert warn_if_charged(apply_charges(rock_salt, {"Na": 0.5})) == 2.0
    assert "net charge of +2" in caplog.text


def test_difference_in_noise_against_drawn_counts():
    """Σz² is what differences add to χ² of counts drawn from the charged crystal."""
    rng = np.random.default_rng(5)
    neutral = rng.exponential(size=400)
    charged = neutral * (1 + 0.2 * rng.standard_normal(400)) ** 2
    counts, background = 500.0, 20.0
    z, scale = difference_in_noise(neutral, charged, counts, background)
    to_counts = counts / charged.mean()
    expected = to_counts * charged + background
    drawn = rng.poisson(expected, size=(3000, 400))
    model = to_counts * scale * neutral + background
    excess = np.mean(np.sum((drawn - model) ** 2 / expected, axis=1)) - 400
    assert z @ z == pytest.approx(excess, rel=0.01)
    # No other scale would hide more of the difference.
    for factor in (0.99, 1.01):
        other = to_counts * (charged - factor * scale * neutral) / np.sqrt(expected)
        assert other @ other > z @ z


def test_zwitterionic_glycine_against_neutral_atoms(data_folder):
    glycine = read(data_folder, "glycine")
    # The usual charges of a force field, CH2 aside: NH3 +0.8, COO -0.8.
    charges = "N1=-0.4 H1n1=0.4 H2n1=0.4 H3n1=0.4 C2=0.4 O1=-0.6 O2=-0.6"
    charged = apply_charges(glycine, parse_charges(charges))
    effect = compare_charges(charged, d_min=0.8, counts=1000)
    assert abs(effect.net_charge) < 1e-9
    d_of_most = effect.d_spacing[np.argsort(-np.abs(effect.z))[:10]]
    assert np.median(d_of_most) > 3 * np.median(effect.d_spacing)
    assert 0.01 < effect.r1 < 0.06 and effect.z_all > 100
    again = compare_charges(charged, d_min=0.8, counts=effect.counts_needed)
    assert again.z_all == pytest.approx(5, rel=1e-6)
    text = json.dumps(effect.as_dict(), allow_nan=False)
    assert json.loads(text)["largest"][0]["z"] == pytest.approx(max(effect.z, key=abs))


def test_comparing_needs_a_charge(rock_salt):
    with pytest.raises(ValueError, match="No atom of the structure bears a charge"):
        compare_charges(rock_salt, 0.8)


def test_every_element_of_the_table_scatters():
    for element in e_scattering.ito_vol_c_2011_table_4_3_2_2_elements():
        assert electron_form_factor(element, 0.0, np.array([0.5]))[0] > 0
