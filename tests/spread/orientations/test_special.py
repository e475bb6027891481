"""Zone axes against cctbx and by hand; association against planted and absent ones."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
from scipy import stats

from cctbx import uctbx

from dials_spread.observations import build_observations
from dials_spread.orientation import reciprocal_basis
from dials_spread.spread.orientations.association import (
    associate,
    crystal_permutations,
    exchanged_images,
)
from dials_spread.spread.orientations.special import (
    analyse_orientations,
    relative_sizes,
)
from dials_spread.spread.orientations.zone_axes import (
    axis_angles,
    direct_basis,
    nearest_zones,
    zone_axes,
)
from dials_spread.spread.size.residuals import build_residuals

TRICLINIC = uctbx.unit_cell((7.0, 9.0, 12.0, 81.0, 97.0, 104.0))


def test_zone_axes_are_all_directions_once():
    axes = zone_axes(2)
    assert axes[:3].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    every = {
        (u, v, w)
        for u in range(-2, 3)
        for v in range(-2, 3)
        for w in range(-2, 3)
        if np.gcd.reduce([u, v, w]) == 1
    }
    both = {tuple(a) for a in axes} | {tuple(-a) for a in axes}
    assert both == every
    assert len(axes) == len(every) / 2


def test_axes_of_the_cell_are_those_of_cctbx():
    basis = direct_basis(reciprocal_basis(TRICLINIC))
    metric = np.array(TRICLINIC.metrical_matrix())
    np.testing.assert_allclose(
        (basis.T @ basis)[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]], metric
    )
    # a is at 90° to b* and c*; a* to b and c; and a to a* as the cell has it.
    directions = basis / np.linalg.norm(basis, axis=0)
    angles = axis_angles(directions.T, reciprocal_basis(TRICLINIC))
    np.testing.assert_allclose(angles["a"], [0, 76, 83], atol=1e-9)
    np.testing.assert_allclose(angles["b"], [76, 0, 81], atol=1e-9)
    np.testing.assert_allclose(angles["b*"][[0, 2]], 90)
    np.testing.assert_allclose(angles["c*"][[0, 1]], 90)
    cosine = TRICLINIC.volume() / np.prod(TRICLINIC.parameters()[:3])
    cosine /= np.sin(np.radians(TRICLINIC.parameters()[3]))
    assert angles["a*"][0] == pytest.approx(np.degrees(np.arccos(cosine)))


def test_the_nearest_zone_is_that_of_brute_force():
    rng = np.random.default_rng(1)
    beam = rng.normal(size=(60, 3))
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)
    basis = reciprocal_basis(TRICLINIC)
    uvw, angle = nearest_zones(beam, basis, 4)
    for b, found, at in zip(beam, uvw, angle):
        best = 90.0
        for axis in zone_axes(4):
            line = np.array(TRICLINIC.orthogonalize([float(i) for i in axis]))
            cosine = abs(line @ b) / np.linalg.norm(line)
            best = min(best, np.degrees(np.arccos(min(cosine, 1.0))))
        assert at == pytest.approx(best, abs=1e-6)
        line = np.array(TRICLINIC.orthogonalize([float(i) for i in found]))
        assert abs(line @ b) / np.linalg.norm(line) == pytest.approx(
            np.cos(np.radians(best))
        )
    # Looking from the other side is the same.
    again = nearest_zones(-beam, basis, 4)
    np.testing.assert_array_equal(uvw, again[0])
    np.testing.assert_allclose(angle, again[1])


def test_a_zone_axis_lies_in_the_planes_of_its_zone():
    """[1 1 0] of a cubic crystal is 35.264° from [1 1 1] and 45° from a."""
    cubic = reciprocal_basis(uctbx.unit_cell((5, 5, 5, 90, 90, 90)))
    beam = np.array([[1.0, 1.0, 0.0]]) / np.sqrt(2)
    uvw, angle = nearest_zones(beam, cubic)
    assert (uvw.tolist(), angle[0]) == ([[1, 1, 0]], pytest.approx(0, abs=1e-5))
    tilted = np.array([[1.0, 1.0, 1.0]]) / np.sqrt(3)
    assert axis_angles(tilted, cubic)["a*"][0] == pytest.approx(54.7356, abs=1e-4)


def test_crystals_exchange_their_orientations():
    crystal = np.array([0, 0, 1, 1, 1, 1, 2])
    same = exchanged_images(crystal, np.array([0, 1, 2]))
    np.testing.assert_array_equal(same, np.arange(7))
    turned = exchanged_images(crystal, np.array([1, 0, 2]))
    np.testing.assert_array_equal(turned, [3, 5, 0, 0, 1, 1, 6])
    rng = np.random.default_rng(0)
    few = crystal_permutations(4, rng)
    assert len({tuple(p) for p in few}) == len(few) == factorial(4) - 1
    many = crystal_permutations(12, rng)
    assert many.shape == (999, 12)
    assert (np.sort(many, axis=1) == np.arange(12)).all()


def scans(rng, n_crystals, n_images):
    """Angles that change slowly along scans, and crystals of different spread."""
    crystal = np.repeat(np.arange(n_crystals), n_images)
    start = rng.uniform(0, 90, n_crystals)[crystal]
    step = rng.choice([-1.0, 1.0], n_crystals)[crystal]
    place = np.tile(np.arange(n_images), n_crystals)
    angle = np.abs((start + step * place) % 180 - 90)
    level = np.exp(rng.normal(0, 0.3, n_crystals))[crystal]
    # Residuals wander along the scan, so that images are not independent.
    drift = rng.normal(0, 0.05, (n_crystals, n_images)).cumsum(axis=1).ravel()
    return crystal, angle, level * np.exp(drift)


def test_a_planted_association_is_found_and_p_is_honest():
    p_none, p_planted = [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        crystal, angle, residual = scans(rng, 8, 30)
        weight = rng.integers(5, 40, len(crystal))
        found = associate({"c": angle}, residual, weight, crystal, rng, 99)[0]
        p_none.append(found.p_value)
        near = residual * np.exp(1.5 * np.exp(-((angle / 15) ** 2)))
        planted = associate({"c": angle}, near, weight, crystal, rng, 99)[0]
        p_planted.append(planted.p_value)
        assert planted.n_crystals == 8
    assert stats.kstest(p_none, "uniform").pvalue > 0.01
    # Eight crystals, each with its own level: often, not always.
    assert np.mean(np.array(p_planted) < 0.05) > 3 * np.mean(np.array(p_none) < 0.05)
    assert np.mean(np.array(p_planted) < 0.05) > 0.4


def test_reflections_with_larger_residuals_everywhere_make_no_difference(read_measured):
    """Which reflections an image holds depends on its orientation."""
    experiments, tables = read_measured("abiraterone/integrated")
    residuals = build_residuals(build_observations([*experiments], tables))
    rng = np.random.default_rng(3)
    size = rng.exponential(size=len(residuals))
    n = np.diff(residuals.start)
    relative = relative_sizes(residuals, size)
    of = np.arange(len(n)).repeat(n)
    np.testing.assert_allclose(np.bincount(of, relative) / n, 1.0)
    noisy = relative_sizes(residuals, size * rng.exponential(size=len(n))[of])
    np.testing.assert_allclose(noisy, relative)
    np.testing.assert_array_equal(relative_sizes(residuals, 0 * size), 1.0)


def test_few_crystals_have_no_p_value(read_measured):
    experiments, tables = read_measured("l_cysteine/scaled_20_25")
    o = build_observations([*experiments], tables)
    found = analyse_orientations(
        o, build_residuals(o), 0.0, np.random.default_rng(0), n_extremes=5
    )
    assert found.reason.startswith("There are 2 crystals")
    assert all(np.isnan(a.p_value) for a in found.associations)
    assert all(np.isfinite(a.correlation) for a in found.associations)
    # a and a* are one direction in an orthorhombic crystal, and count once.
    names = [a.angle for a in found.associations]
    assert names == ["low_index_zone", "zone", "a, a*", "b, b*", "c, c*"]


def test_extremes_are_the_largest(read_measured):
    experiments, tables = read_measured("abiraterone/integrated")
    o = build_observations([*experiments], tables)
    residuals = build_residuals(o)
    found = analyse_orientations(
        o, residuals, 0.5, np.random.default_rng(0), n_extremes=7
    )
    z = [abs(e["z"]) for e in found.extremes]
    assert len(z) == 7 and z == sorted(z, reverse=True)
    first = found.extremes[0]
    near = (o.miller_index == first["miller_index"]).all(axis=1)
    near &= o.crystal == first["crystal"]
    assert np.isclose(o.intensity[near], first["intensity"]).any()
    others = (first["intensity"] - first["mean_of_others"]) / first["z"]
    assert others > first["sigma"]
    image = np.flatnonzero(
        (o.images.crystal == first["crystal"]) & (o.images.first == first["image"])
    )[0]
    np.testing.assert_array_equal(found.zone[image], first["zone"])
    assert np.isfinite(found.image_residual[found.image_n > 0]).all()
