"""Plots of simulations: what they show."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from cctbx import crystal, xray

from dials_spread.report.compare_images.spread.explained_section import (
    simulation_section,
)
from dials_spread.report.page.explained import explained_plot, explained_sentence
from dials_spread.report.simulate_ed.plots_charges import charges_plot
from dials_spread.report.simulate_ed.plots_simulation import (
    agreement_plot,
    crystals_plot,
    thickness_plot,
)
from dials_spread.report.simulate_ed.simulation_page import (
    charges_sentence,
    charges_table,
)
from dials_spread.scattering.charges import apply_charges, compare_charges
from dials_spread.spread.sources.explained import explained_spread
from dials_spread.thickness.curves import Shape
from dials_spread.thickness.results import MeasuredAndSimulated


def drawn(plot):
    """The traces of a plot that has a help text, with their keys as attributes."""
    assert plot["help"].strip()
    text = json.dumps(plot, allow_nan=False)
    return json.loads(text, object_hook=lambda d: SimpleNamespace(**d))


@pytest.fixture(scope="module")
def rock_salt():
    symmetry = crystal.symmetry((5.64,) * 3 + (90,) * 3, space_group_symbol="F m -3 m")
    structure = xray.structure(crystal_symmetry=symmetry)
    for element, x in (("Na", 0.0), ("Cl", 0.5)):
        structure.add_scatterer(xray.scatterer(element, site=(x,) * 3, u=0.015))
    return compare_charges(apply_charges(structure, {"Na": 1, "Cl": -1}), 0.7)


def test_charges_plot_and_table_show_the_same(rock_salt):
    figure = drawn(charges_plot(rock_salt))
    shown = figure.data[-1]
    assert len(shown.x) == len(rock_salt.z)
    largest = int(np.argmax(np.abs(shown.y)))
    row = charges_table(rock_salt).rows[0]
    assert row[0] == shown.text[largest] == "1 1 1"
    assert float(row[-1].replace("−", "-")) == pytest.approx(shown.y[largest], rel=0.01)
    assert "Cl1-, Na1+" in charges_sentence(rock_salt)
    assert "1 of 26" in charges_sentence(rock_salt)


def explained(n_crystals):
    rng = np.random.default_rng(0)
    unique = np.repeat(np.arange(80), 8)
    simulated = 1 + 0.3 * rng.random(len(unique))
    intensity = simulated * (1 + 0.05 * rng.standard_normal(len(unique)))
    variance = np.full(len(unique), 1e-4)
    numbers = rng.integers(n_crystals, size=len(unique))
    return explained_spread(unique, numbers, intensity, variance, simulated, rng)


def test_intervals_are_drawn_where_there_are_any():
    many, one = explained(8), explained(1)
    bars = drawn(explained_plot(many)).data[0]
    assert bars.y[0] > bars.y[1] > 0 and min(bars.error_y.array) > 0
    assert not hasattr(drawn(explained_plot(one)).data[0], "error_y")
    share = round(100 * many.share)
    told = explained_sentence(many.as_dict())
    low, high = (round(100 * end) for end in many.share_interval)
    assert f"explains {share} % (95 %: {low} to {high} %) of the variance" in told
    assert "one crystal" in explained_sentence(one.as_dict())
    section = simulation_section(many)
    assert section.notes == [explained_sentence(many.as_dict())]


def test_nothing_to_say_is_said():
    rng = np.random.default_rng(0)
    alone = np.arange(20)
    none = explained_spread(
        alone, 0 * alone, alone + 1.0, alone + 1.0, alone + 1.0, rng
    )
    section = simulation_section(none)
    assert section.plots == {} and "twice" in section.notes[0]


def test_curves_dots_and_bars_are_those_of_the_crystals():
    fit = SimpleNamespace(
        thicknesses=np.array([20.0, 200.0, 900.0]),
        curve=np.array([0.2, 0.1, 0.3]),
        shape=Shape(210.0, within=0.3),
        su=12.0,
        r1=0.09,
        held_out=0.11,
    )
    crystals = [
        SimpleNamespace(number=3, fit=fit, shape=fit.shape, r1=0.09, r1_kinematic=0.2),
        SimpleNamespace(number=4, fit=None, shape=fit.shape, r1=0.1, r1_kinematic=0.3),
    ]
    figure = drawn(thickness_plot(crystals))
    assert [trace.name for trace in figure.data][0] == "crystal 3"
    assert list(figure.data[0].y) == [0.2, 0.1, 0.3]
    assert figure.data[1].x[0] == 210 and figure.data[1].error_x.array[0] == 12
    bars = drawn(crystals_plot(crystals)).data
    assert list(bars[0].y) == [0.2, 0.3] and list(bars[1].y) == [0.09, 0.1]
    assert bars[2].y[0] == 0.11 and bars[2].y[1] is None


def test_perfect_agreement_lies_on_the_diagonal():
    n = 50
    F2 = np.random.default_rng(0).exponential(size=n) + 0.1
    comparison = MeasuredAndSimulated(
        np.zeros(n, int), np.arange(n), np.ones((n, 3), int), np.ones(n),
        F2, 0.1 * F2, F2, 2 * F2,
    )  # fmt: skip
    assert comparison.pooled(F2) == pytest.approx(0, abs=1e-12)
    assert comparison.merged(comparison.kinematic) == pytest.approx(0, abs=1e-12)
    kinematic, dynamical, _ = drawn(agreement_plot(comparison)).data
    np.testing.assert_allclose(dynamical.x, dynamical.y, rtol=1e-5)
    np.testing.assert_allclose(
        np.array(kinematic.x), np.sqrt(2) * np.array(kinematic.y), rtol=1e-5
    )
