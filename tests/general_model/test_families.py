"""Families for trials: thin, precessed, kinematic and X-ray-like."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, xray
from cctbx.array_family import flex
from cctbx.eltbx import xray_scattering

from dials_spread.general_model.compounds import (
    COLUMN,
    N_STRATA,
    TILTS,
    draw_conditions,
    precessed,
    simulate_compound,
    x_ray_structure_factors,
)
from dials_spread.general_model.families import FAMILIES, TRIAL_FAMILIES, family_of
from dials_spread.general_model.train import arguments
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.scans import RotationScan

SMALL = (200.0, 260.0)


def squares(reflections, name: str) -> np.ndarray:
    return reflections[name].as_numpy_array()


def r1_by_stratum(reflections) -> list[float]:
    F = np.sqrt(squares(reflections, "intensity.kinematic.value"))
    strata = [squares(reflections, COLUMN.format(k)) for k in range(N_STRATA)]
    return [r_factor(np.sqrt(np.maximum(I, 0)), F)[0] for I in strata]


def test_what_the_shipped_families_draw_has_not_changed():
    rng = np.random.default_rng(0)
    drawn = draw_conditions(rng, 300.0)
    assert drawn.d_min == 0.9781888943194305
    assert drawn.centres == (140.70943201416094, 284.43609347274645, 692.8633755655663)
    assert drawn.scan_widths[-1] == 68.8430515057449
    assert (drawn.semi_angle, drawn.more_b) == (0.0, 0.0)
    # Nor what is drawn after that: orientations of crystals.
    assert int(rng.integers(2**63)) == 4994098277886737559


def test_families_for_trials_draw_within_their_limits():
    rng = np.random.default_rng(1)
    for name in TRIAL_FAMILIES:
        family = FAMILIES[name]
        assert family_of(family.first + 7) is family
        drawn = [draw_conditions(rng, 250.0, family) for _ in range(200)]
        centres = np.array([d.centres for d in drawn])
        low, high = family.thicknesses
        assert low <= centres.min() < 1.1 * low and 0.9 * high < centres.max() <= high
        for attribute in ("semi_angle", "more_b"):
            values = [getattr(d, attribute) for d in drawn]
            low, high = getattr(family, attribute)
            assert low <= min(values) <= max(values) <= high
            assert np.ptp(values) >= 0.9 * (high - low)


def test_trial_families_are_options_of_the_training():
    chosen = arguments(["folder", "--thin", "3", "--xray", "2"])
    assert (chosen.thin, chosen.xray, chosen.kinematic, chosen.precessed) == (
        3,
        2,
        0,
        0,
    )


def test_a_kinematic_compound_has_no_multiple_scattering():
    _, reflections, about = simulate_compound(FAMILIES["kinematic"].first + 1, SMALL)
    kinematic = squares(reflections, "intensity.kinematic.value")
    for stratum in range(N_STRATA):
        assert np.array_equal(squares(reflections, COLUMN.format(stratum)), kinematic)
    assert SMALL[0] * 0.99 < about["volume"] < SMALL[1] * 1.01


def test_x_ray_factors_of_one_atom_are_those_of_the_tables():
    structure = xray.structure(
        crystal_symmetry=crystal.symmetry((7.0, 8.0, 9.0, 80, 95, 100), "P 1"),
        scatterers=flex.xray_scatterer(
            [xray.scatterer("C1", site=(0.1, 0.2, 0.3), u=0.03, scattering_type="C")]
        ),
    )
    hkl = np.array([[1, 0, 0], [0, 2, 1], [-3, 1, 2], [1, 0, 0]])
    F = x_ray_structure_factors(structure, hkl)
    cell = structure.unit_cell()
    s2 = np.array([cell.d_star_sq(tuple(map(int, h))) for h in hkl]) / 4
    f0 = xray_scattering.it1992("C").fetch()
    expected = [f0.at_stol_sq(float(x)) * np.exp(-8 * np.pi**2 * 0.03 * x) for x in s2]
    assert np.abs(F) == pytest.approx(expected, rel=1e-5)
    phase = np.exp(2j * np.pi * hkl @ np.array([0.1, 0.2, 0.3]))
    assert F == pytest.approx(np.array(expected) * phase, rel=1e-5)


def test_x_ray_like_crystals_agree_and_fall_off_with_b():
    seed = FAMILIES["xray"].first + 3
    _, reflections, about = simulate_compound(seed, SMALL)
    assert 1.0 <= about["more_b"] <= 4.0 and len(about["scan_widths"]) >= 6
    hkl = [tuple(h) for h in reflections["miller_index"]]
    F_squared = squares(reflections, "intensity.kinematic.value")
    assert np.array_equal(F_squared, squares(reflections, COLUMN.format(1)))
    told: dict[tuple, float] = {}
    for h, value in zip(hkl, F_squared):
        assert told.setdefault(h, value) == pytest.approx(value, rel=1e-9)
    # Noise is planned by the mean over all reflections, of which these are a part.
    assert 0.5 < F_squared.mean() / about["mean_intensity"] < 2.0


def test_a_precessing_beam_is_a_cone_seen_from_the_side():
    scan = RotationScan(
        A=np.eye(3) / 10, s0=np.array([0.0, 0.0, -40.0]), axis=np.array([1.0, 0.0, 0.0]),
        limits=(0.0, 1.0),
    )  # fmt: skip
    assert precessed(scan, 0.0) == [scan]
    turned = precessed(scan, 0.8)
    assert len(turned) == TILTS
    s0 = np.array([one.s0 for one in turned]) / 40.0
    assert np.linalg.norm(s0, axis=1) == pytest.approx(np.ones(TILTS))
    tilt = np.degrees(np.arcsin(s0[:, 0]))  # towards the axis
    assert tilt.mean() == pytest.approx(0.0, abs=1e-9)
    assert np.abs(s0[:, 1]).max() < 1e-12
    # A point on a circle of radius r is off by r/√2 in one direction, root mean square.
    assert np.sqrt(np.mean(tilt**2)) == pytest.approx(0.8 / np.sqrt(2), rel=1e-6)


@pytest.mark.slow
def test_thin_and_precessed_crystals_are_nearer_to_kinematic(monkeypatch):
    thin = simulate_compound(FAMILIES["thin"].first + 2, SMALL)[1]
    r1 = r1_by_stratum(thin)
    assert r1[0] < r1[1] < r1[2] < 0.15
    seed = FAMILIES["precessed"].first + 1
    precessing = r1_by_stratum(simulate_compound(seed, SMALL)[1])
    name = "dials_spread.general_model.compounds.precessed"
    monkeypatch.setattr(name, lambda scan, semi_angle: [scan])
    at_rest = r1_by_stratum(simulate_compound(seed, SMALL)[1])
    assert np.all(np.array(precessing) < np.array(at_rest))
