from __future__ import annotations

import numpy as np
import pytest

from dials_spread.scattering.dynamical import ThicknessModel
from dials_spread.scattering.rocking import BeamSelection
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure

SMALL = (6.1, 7.3, 8.2, 90.0, 90.0, 90.0)


def simulate(space_group, thickness, seed=2, cell=SMALL, **options):
    """Kinematic and dynamical |F|² of two crystals, and the table."""
    structure = random_structure(np.random.default_rng(3), cell, space_group)
    _, reflections = simulate_experiments(
        structure,
        np.random.default_rng(seed),
        n_crystals=2,
        scan_width=20.0,
        d_min=1.0,
        wave="dynamical",
        thickness=ThicknessModel(thickness, spread=0.0, within=0.0),
        **options,
    )
    kinematic = reflections["intensity.kinematic.value"].as_numpy_array()
    dynamical = reflections["intensity.dynamical.value"].as_numpy_array()
    assert len(reflections) > 100
    return kinematic, dynamical, reflections


def r1(observed, calculated):
    """R1 of amplitudes with the scale that minimises its squares."""
    F_o, F_c = np.sqrt(observed), np.sqrt(calculated)
    k = np.sum(F_o * F_c) / np.sum(F_o**2)
    return np.sum(np.abs(k * F_o - F_c)) / np.sum(F_c)


def test_thin_crystals_are_kinematic_and_thick_ones_are_not():
    thin = [r1(*simulate("P 21 21 21", t)[1::-1]) for t in (10.0, 5.0)]
    assert thin[0] < 0.01
    assert thin[1] < 0.6 * thin[0]  # what is left is scattered twice, linear in t
    assert r1(*simulate("P 21 21 21", 500.0)[1::-1]) > 0.05


def test_thin_limit_is_on_the_absolute_scale():
    kinematic, dynamical, _ = simulate("P 21 21 21", 5.0)
    strong = kinematic > np.median(kinematic)
    np.testing.assert_allclose(dynamical[strong], kinematic[strong], rtol=0.03)


def test_truth_columns():
    _, dynamical, reflections = simulate("P 21 21 21", 300.0)
    assert np.all(np.isfinite(dynamical)) and np.all(dynamical >= 0)
    thickness = reflections["truth.thickness"].as_numpy_array()
    assert np.all(thickness == 300.0)
    expected = reflections["truth.expected"].as_numpy_array()
    factors = [
        reflections[f"truth.{name}"].as_numpy_array()
        for name in ("scale", "image_factor", "relative_error")
    ]
    lp = reflections["lp"].as_numpy_array()
    np.testing.assert_allclose(dynamical * np.prod(factors, axis=0) / lp, expected)
    # An image of 1° around the centroid: |s| <= half of it times the rate λ⁻¹ lp.
    s = reflections["truth.excitation_error"].as_numpy_array()
    assert np.all(np.abs(s) < np.deg2rad(0.5) * lp / 0.02508 * 1.01 + 1e-6)


def test_plates_get_thicker_as_they_turn():
    structure = random_structure(np.random.default_rng(3), SMALL)
    _, reflections = simulate_experiments(
        structure,
        np.random.default_rng(2),
        n_crystals=1,
        scan_width=40.0,
        d_min=1.2,
        wave="dynamical",
        thickness=ThicknessModel(200.0, spread=0.0, slab=True),
    )
    phi = reflections["xyzcal.mm"].parts()[2].as_numpy_array()
    thickness = reflections["truth.thickness"].as_numpy_array()
    np.testing.assert_allclose(thickness, 200 / np.cos(phi))


def test_methods_agree_on_a_data_set():
    options = {"cell": (5.1, 6.0, 6.6, 90, 90, 90), "seed": 4}
    first = simulate(
        "P 21 21 21", 200.0, selection=BeamSelection(precision="double"), **options
    )[1]
    second = simulate(
        "P 21 21 21",
        200.0,
        selection=BeamSelection(method="diagonalisation"),
        **options,
    )[1]
    np.testing.assert_allclose(first, second, rtol=1e-7, atol=1e-9)


def test_seed_decides_dynamical_data_too():
    options = {"cell": (5.1, 6.0, 6.6, 90, 90, 90), "seed": 4}
    first = simulate("P 21 21 21", 200.0, **options)[2]
    second = simulate("P 21 21 21", 200.0, **options)[2]
    for name in ("intensity.dynamical.value", "intensity.prf.value"):
        assert list(first[name]) == list(second[name])


def test_unknown_wave():
    structure = random_structure(np.random.default_rng(3), SMALL)
    with pytest.raises(ValueError, match="not tidal"):
        simulate_experiments(structure, np.random.default_rng(1), wave="tidal")


@pytest.mark.parametrize("wrong", [{"median": 0.0}, {"within": 1.0}, {"spread": -1.0}])
def test_bad_thickness(wrong):
    with pytest.raises(ValueError, match="must"):
        ThicknessModel(**wrong)


def test_thicknesses_within_a_crystal():
    model = ThicknessModel(400.0, within=0.5, n_within=4)
    np.testing.assert_allclose(model.distribution(400.0), [250, 350, 450, 550])


def test_thicknesses_between_crystals():
    drawn = ThicknessModel(400.0, spread=0.3).draw(np.random.default_rng(1), 20000)
    assert np.median(drawn) == pytest.approx(400, rel=0.01)
    assert np.log(drawn).std() == pytest.approx(0.3, rel=0.02)


def test_both_waves_come_with_the_same_geometry_and_noise():
    structure = random_structure(np.random.default_rng(3), (5.1, 6.0, 6.6, 90, 90, 90))
    tables = [
        simulate_experiments(
            structure,
            np.random.default_rng(6),
            n_crystals=2,
            scan_width=10.0,
            d_min=1.2,
            noise=NoiseModel(image_spread=0.1, extra_error=0.1),
            wave=wave,
        )[1]
        for wave in ("kinematic", "dynamical")
    ]
    for name in ("xyzobs.px.value", "truth.image_factor", "truth.relative_error"):
        assert list(tables[0][name]) == list(tables[1][name])
