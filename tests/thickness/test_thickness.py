"""Thicknesses of simulated crystals are found again, by every law that made them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cctbx import sgtbx
from dials.array_family import flex
from dxtbx.model import Crystal
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.observations import build_observations
from dials_spread.prepare.geometry import add_geometry
from dials_spread.rfactor import r_factor
from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.dynamical import (
    ThicknessModel,
    crystal_intensities,
    potential_for,
)
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure
from dials_spread.thickness import ThicknessSearch, simulate_measured
from dials_spread.thickness.crossings import find_crossings, measured_scan
from dials_spread.thickness.curves import Shape, thickness_curves
from dials_spread.thickness.fit import candidate_shapes, weighted_r1
from dials_spread.thickness.search import thickness_grid
from dials_spread.thickness.settings import choose_setting, laid_on, score_settings

D_MIN = 1.1
SELECTION = BeamSelection()
NOISE = NoiseModel(mean_counts=3000.0)
SHORT = ThicknessSearch(most=1000.0, laws=("uniform",), hand=False)


def simulated(thickness, n_crystals=1, space_group="P 21 21 21", seed=1, width=40.0):
    """Structure, experiments and tables of crystals of known thickness."""
    rng = np.random.default_rng(seed)
    cell = (5.9, 7.1, 9.3, 90.0, 90.0, 90.0)
    structure = random_structure(rng, cell, space_group)
    experiments, table = simulate_experiments(
        structure,
        rng,
        n_crystals=n_crystals,
        d_min=D_MIN,
        scan_width=width,
        noise=NOISE,
        wave="dynamical",
        thickness=thickness,
    )
    return structure, experiments, split(table, n_crystals)


def copied(experiments):
    """The first experiment, with models of its own."""
    return ExperimentListFactory.from_dict(experiments.to_dict(), check_format=False)[0]


def split(table, n):
    return [table.select(table["id"] == i) for i in range(n)]


@pytest.fixture(scope="module")
def plain():
    """A crystal that is 400 Å thick from everywhere."""
    return simulated(ThicknessModel(400.0, spread=0.0, within=0.0))


@pytest.fixture(scope="module")
def found(plain):
    structure, experiments, tables = plain
    return simulate_measured(
        structure, experiments, tables, replace(SHORT, hand=True), nproc=2
    )


def test_finds_the_thickness_and_the_intensities(plain, found):
    _, _, (table,) = plain
    (crystal,) = found.crystals
    assert crystal.fit.n_unique > 60 and crystal.n > 250
    assert abs(crystal.shape.thickness - 400) < max(2.5 * crystal.fit.su, 20)
    assert crystal.fit.su < 60
    assert crystal.r1 < 0.5 * crystal.r1_kinematic
    assert crystal.fit.held_out < 0.6 * crystal.fit.held_out_kinematic
    true = table["intensity.dynamical.value"].as_numpy_array()
    simulated = crystal.dynamical_variance >= 0
    assert simulated.mean() > 0.98
    assert (
        r_factor(np.sqrt(true[simulated]), np.sqrt(crystal.dynamical[simulated]))[0]
        < 0.01
    )
    kinematic = table["intensity.kinematic.value"].as_numpy_array()
    np.testing.assert_allclose(crystal.kinematic, kinematic, rtol=1e-9)


def test_the_curve_has_its_minimum_there(found):
    fit = found.crystals[0].fit
    best = fit.thicknesses[np.argmin(fit.curve)]
    assert best == found.crystals[0].shape.thickness
    # A thin crystal scatters kinematically.
    assert fit.curve[0] == pytest.approx(fit.r1_kinematic, abs=0.01)
    assert fit.curve[-1] > 2 * fit.curve.min()


def test_the_other_hand_agrees_worse(found):
    (crystal,) = found.crystals
    assert crystal.r1_other_hand > 1.3 * crystal.r1


def test_the_structure_is_in_the_setting_of_the_data(found):
    # All angles are right, but no two edges are alike: there is one setting only.
    assert [s.choice.symbol for s in found.settings] == ["h,k,l"]


def test_explains_the_spread_of_what_multiple_scattering_alone_made(found):
    explained = found.explained
    assert explained.before > 0.1
    assert explained.share > 0.9
    assert explained.control < 0.1
    assert "one crystal" in explained.note


def test_results_are_numbers_that_json_can_hold(found):
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert document["crystals"][0]["law"] == "uniform"
    assert document["simulated"] <= document["rows"]
    r1 = document["r1"]
    assert r1["dynamical"]["observations"] < r1["kinematic"]["observations"]
    assert r1["dynamical"]["merged"] < r1["kinematic"]["merged"]


def test_rows_that_cannot_be_simulated_are_marked_and_nothing_is_nan(plain):
    structure, experiments, (table,) = plain
    table = table.copy()
    hkl = table["miller_index"]
    hkl[0] = (0, 0, 0)
    table["miller_index"] = hkl
    result = simulate_measured(
        structure,
        experiments,
        [table],
        replace(SHORT, given=300.0, within=0.3),
        d_min=1.5,
        nproc=2,
    )
    (crystal,) = result.crystals
    beyond = table["d"].as_numpy_array() < 1.5
    assert crystal.origin == "given" and crystal.fit is None
    for values, variance in (
        (crystal.kinematic, crystal.kinematic_variance),
        (crystal.dynamical, crystal.dynamical_variance),
    ):
        assert np.isfinite(values).all() and np.isfinite(variance).all()
        assert np.all(variance[beyond] == -1) and np.all(values[beyond] == 0)
        assert variance[0] == -1 and values[0] == 0
    inside = ~beyond & (np.arange(len(beyond)) > 0)
    assert np.all(crystal.kinematic_variance[inside] == 0)
    assert np.mean(crystal.dynamical_variance[inside] == 0) > 0.98


def test_crystals_with_few_observations_get_the_usual_thickness():
    structure, experiments, tables = simulated(
        ThicknessModel(300.0, spread=0.0, within=0.0), n_crystals=2, width=25.0
    )
    tables[1] = tables[1].select(flex.size_t(range(12)))
    result = simulate_measured(structure, experiments, tables, SHORT, nproc=2)
    first, second = result.crystals
    assert second.fit is None and second.origin == "median of the other crystals"
    assert second.shape.thickness == first.shape.thickness
    with pytest.raises(ValueError, match="No crystal has the 30 observations"):
        simulate_measured(structure, experiments[1:], tables[1:], SHORT, nproc=2)


@pytest.fixture(scope="module")
def curves(plain):
    structure, experiments, (table,) = plain
    scan = measured_scan(experiments[0])
    crossings = find_crossings(experiments[0], table, scan)
    potential = potential_for(structure, experiments[0].beam.get_wavelength(), D_MIN)
    grid = thickness_grid(20.0, 900.0)
    return (
        potential,
        scan,
        crossings,
        thickness_curves(potential, scan, crossings, grid, SELECTION, nproc=2),
    )


@pytest.mark.parametrize(
    "shape",
    [
        Shape(333.0),
        Shape(333.0, within=0.6),
        Shape(250.0, slab_angle=np.deg2rad(-30.0)),
    ],
    ids=lambda shape: shape.law,
)
def test_shapes_from_curves_are_those_of_a_simulation_of_their_own(curves, shape):
    potential, scan, crossings, curve = curves
    layers = np.array([[shape.thickness]])
    if shape.within:
        layers = ThicknessModel(within=shape.within, n_within=40).distribution(
            shape.thickness
        )[None]
    direct = crystal_intensities(
        potential,
        scan,
        crossings.miller_index,
        crossings.phi,
        layers,
        SELECTION,
        slab=shape.slab_angle is not None,
        slab_angle=shape.slab_angle or 0.0,
        nproc=2,
    )[:, 0]
    interpolated = curve.intensities(shape)
    known = np.isfinite(direct)
    assert known.mean() > 0.97
    # The path of a plate changes during a crossing, which the curves leave out.
    r1 = r_factor(np.sqrt(direct[known]), np.sqrt(interpolated[known]))[0]
    assert r1 < 0.005


def test_a_plate_is_told_from_other_shapes(curves):
    """Intensities of a plate prefer its law and angle, on reflections held out."""
    _, scan, crossings, curve = curves
    truth = Shape(250.0, slab_angle=np.deg2rad(-37.5))
    shapes = candidate_shapes(curve.grid, scan.limits, ("uniform", "slab"))
    f_o = np.sqrt(curve.intensities(truth))
    known = np.isfinite(f_o)
    one = np.ones((1, np.count_nonzero(known)))
    r1 = [
        weighted_r1(f_o[known], np.sqrt(curve.intensities(s)[known]), one)[0]
        for s in shapes
    ]
    best = shapes[int(np.nanargmin(r1))]
    assert best.law == "slab"
    assert best.thickness == pytest.approx(250, rel=0.05)
    assert np.rad2deg(best.slab_angle) == pytest.approx(-37.5, abs=8)


def test_weighted_r1_is_that_of_repeated_reflections():
    rng = np.random.default_rng(3)
    f_o, f_c = rng.random(40), rng.random(40) + 0.1
    f_o[:3] = 0
    weights = rng.integers(0, 4, size=(5, 40))
    for row, value in zip(weights, weighted_r1(f_o, f_c, weights.astype(float))):
        repeated = r_factor(np.repeat(f_o, row), np.repeat(f_c, row))[0]
        assert value == pytest.approx(repeated, rel=1e-9)


def test_scan_varying_models_are_followed(plain):
    """A crystal that turns during the scan, and the same described scan by scan."""
    _, experiments, _ = plain
    experiment = copied(experiments)
    static = measured_scan(experiment)
    n = experiment.scan.get_num_images() + 1
    A = np.array(experiment.crystal.get_A()).reshape(3, 3)
    axis = np.array(experiment.goniometer.get_rotation_axis_datum())
    drift = np.linspace(0, np.deg2rad(2), n)
    turned = [Rotation.from_rotvec(a * axis).as_matrix() @ A for a in drift]
    experiment.crystal.set_A_at_scan_points([tuple(x.ravel()) for x in turned])
    varying = measured_scan(experiment)
    # Turned about the rotation axis it is where the rotation would have brought it.
    low, high = varying.limits
    for share in (0.0, 0.5, 1.0):
        phi = low + share * (high - low)
        k = varying.wave_vectors(np.array([phi]))[0]
        ahead = static.wave_vectors(np.array([phi + share * np.deg2rad(2)]))[0]
        np.testing.assert_allclose(varying.setting(phi).T @ k, A.T @ ahead, atol=1e-5)
    experiment.beam.set_s0_at_scan_points(
        [tuple(Rotation.from_rotvec(-a * axis).apply(static.s0)) for a in drift]
    )
    both = measured_scan(experiment)
    # The beam turned against the crystal doubles what the crystal does alone.
    ahead = static.wave_vectors(np.array([high + 2 * np.deg2rad(2)]))[0]
    k = both.wave_vectors(np.array([high]))[0]
    np.testing.assert_allclose(both.setting(high).T @ k, A.T @ ahead, atol=1e-5)


def test_another_setting_of_the_structure_gives_the_same_intensities(plain, found):
    structure, experiments, tables = plain
    other = structure.change_basis(sgtbx.change_of_basis_op("c,a,b"))
    again = simulate_measured(
        other, experiments, tables, replace(SHORT, given=400.0), nproc=2
    )
    same = simulate_measured(
        structure, experiments, tables, replace(SHORT, given=400.0), nproc=2
    )
    assert again.settings[again.chosen].choice.symbol != "h,k,l"
    np.testing.assert_allclose(
        again.crystals[0].dynamical, same.crystals[0].dynamical, rtol=1e-3, atol=0.02
    )
    np.testing.assert_allclose(again.crystals[0].kinematic, same.crystals[0].kinematic)


def test_a_wrong_indexing_is_seen_and_mended(caplog):
    """In P 3 (hexagonal lattice) indices can be chosen in four ways."""
    rng = np.random.default_rng(2)
    structure = random_structure(
        rng, (7.5, 7.5, 6.0, 90.0, 90.0, 120.0), "P 3", hydrogen_ratio=0.3
    )
    experiments, table = simulate_experiments(
        structure, rng, n_crystals=2, d_min=1.2, scan_width=30.0, noise=NOISE
    )
    tables = split(table, 2)
    wrong = sgtbx.change_of_basis_op("k,h,-l")
    for experiment, one in zip(experiments, tables):
        one["miller_index"] = wrong.apply(one["miller_index"])
        crystal = Crystal(experiment.crystal).change_basis(wrong)
        experiment.crystal = crystal
    observations = build_observations(experiments, tables)
    measured = add_geometry(observations, experiments, tables)
    settings = score_settings(structure, measured)
    assert len(settings) == 4
    chosen = choose_setting(settings)
    r1 = [s.r1 for s in settings]
    assert r1[chosen] == min(r1) < 0.06
    assert sorted(r1)[1] > 0.2
    assert np.all(settings[chosen].crystal_r1 < 0.06)
    assert choose_setting(settings, "given") == 0
    # Reciprocal vectors stay where they were measured.
    scan = measured_scan(experiments[0])
    hkl = np.array([(1, 2, 3), (-1, 0, 2)])
    choice = settings[chosen].choice
    np.testing.assert_allclose(
        (hkl @ choice.on_indices.T) @ laid_on(scan, choice).A.T, hkl @ scan.A.T
    )


def test_refuses_what_is_no_rotation_of_a_crystal_in_an_electron_beam(plain):
    structure, experiments, tables = plain
    experiment = copied(experiments)
    experiment.beam.set_wavelength(0.7)
    with pytest.raises(ValueError, match="Crystal 0 was measured with X-rays"):
        simulate_measured(structure, [experiment], tables, SHORT)
    experiment.scan = None
    with pytest.raises(ValueError, match="Crystal 0 is a still"):
        simulate_measured(structure, [experiment], tables, SHORT)
    for wrong, message in (
        ({"given": 0.0}, "must be positive"),
        ({"given": 100.0, "within": 1.0}, "within=1.0"),
        ({"laws": ()}, "no thickness law"),
        ({"least": 500.0, "most": 100.0}, "no range"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate_measured(structure, experiments, tables, ThicknessSearch(**wrong))
