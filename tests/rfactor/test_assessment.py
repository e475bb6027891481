"""R1 by crystal, image, shell and merged, against loops over a handful of groups."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dials_spread.observations import build_observations
from dials_spread.rfactor import amplitudes, assess, merge, r_factor
from dials_spread.rfactor.assessment import merge_by_crystal


@pytest.fixture(scope="module")
def abiraterone(read_measured):
    """Observations of six experiments with the amplitudes that their file gives."""
    experiments, tables = read_measured("abiraterone/integrated")
    observations = build_observations(experiments, tables)
    kinematic = np.zeros(len(observations))
    for n, table in enumerate(tables):
        own = observations.crystal == n
        values = table["jana.intensity_kin"].as_numpy_array()
        kinematic[own] = values[observations.row[own]]
    total = np.bincount(observations.unique, kinematic)
    f_calc = np.sqrt(total / np.bincount(observations.unique))
    f_calc[::50] = np.nan
    return observations, f_calc


def test_groups_are_those_of_loops(abiraterone):
    observations, f_calc = abiraterone
    found = assess(observations, f_calc)
    I, unique = observations.intensity, observations.unique
    for crystal in range(6):
        own = observations.crystal == crystal
        numbers = np.unique(unique[own])
        mean = np.array([I[own & (unique == u)].mean() for u in numbers])
        r1, k, n = r_factor(amplitudes(mean), f_calc[numbers])
        assert found.crystal.r1[crystal] == pytest.approx(r1, rel=1e-12)
        assert found.crystal.scale[crystal] == pytest.approx(k, rel=1e-12)
        assert found.crystal.n[crystal] == n
    for image in (0, 100, len(observations.images) - 1):
        own = observations.entry[observations.entry_image == image]
        r1, _, n = r_factor(amplitudes(I[own]), f_calc[unique[own]])
        assert found.image.r1[image] == pytest.approx(r1, rel=1e-12)
        assert found.image.n[image] == n
    merged = merge(I, observations.variance, unique, len(f_calc))
    r1, _, n = r_factor(amplitudes(merged.intensity), f_calc)
    assert found.merged.r1[0] == pytest.approx(r1) and found.merged.n[0] == n
    assert found.shell.n.sum() == n and len(found.shells) == 10
    # Each shell has its own scale, so that together they are no worse than all at once.
    total = [f_calc[found.shells.shell == s] for s in range(10)]
    weight = np.array([np.nansum(f) for f in total])
    assert np.sum(found.shell.r1 * weight) <= r1 * weight.sum()


def test_other_intensities_and_scales(abiraterone):
    observations, f_calc = abiraterone
    plain = assess(observations, f_calc)
    scaled = assess(
        observations, f_calc, 5 * observations.intensity, 25 * observations.variance
    )
    assert scaled.merged.r1[0] == pytest.approx(plain.merged.r1[0])
    assert scaled.merged.r1_strong[0] == pytest.approx(plain.merged.r1_strong[0])
    assert scaled.cc == pytest.approx(plain.cc)
    assert scaled.r_meas == pytest.approx(plain.r_meas)
    truth = np.nan_to_num(f_calc)[observations.unique] ** 2
    variance = observations.variance * plain.merged.scale[0] ** 4
    perfect = assess(observations, f_calc, truth, variance)
    assert perfect.merged.r1[0] == pytest.approx(0, abs=1e-12)
    assert perfect.r_meas == pytest.approx(0, abs=1e-12)
    assert perfect.cc == pytest.approx(1)
    assert perfect.likelihood.per_reflection > plain.likelihood.per_reflection


def test_merging_by_crystal(abiraterone):
    observations, _ = abiraterone
    merged, crystal, unique = merge_by_crystal(
        observations, observations.intensity, observations.variance
    )
    pairs = {*zip(observations.crystal.tolist(), observations.unique.tolist())}
    assert {*zip(crystal.tolist(), unique.tolist())} == pairs
    assert merged.n.sum() == len(observations)


def test_what_goes_into_json(abiraterone):
    observations, f_calc = abiraterone
    told = assess(observations, np.full_like(f_calc, np.nan)).as_dict()
    assert told["merged"]["r1"] is None and told["merged"]["n"] == 0
    told = json.loads(
        json.dumps(assess(observations, f_calc).as_dict(), allow_nan=False)
    )
    assert set(told) == {"merged", "crystal", "shell"}
    assert 0.2 < told["merged"]["r1"] < 0.5 and len(told["crystal"]["r1"]) == 6
