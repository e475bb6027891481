from __future__ import annotations

import numpy as np
import pytest

from dials_spread.observations import build_observations
from dials_spread.prepare.geometry import add_geometry
from dials_spread.prepare.prepared import prepare
from dials_spread.prepare.weights import (
    METHODS,
    coupling_weights,
    estimate_amplitudes,
    residual_weights,
)
from dials_spread.rfactor.r1 import r_factors
from dials_spread.scattering.dynamical import ThicknessModel
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.structures import random_structure
from dials_spread.structures.structure_files import read_structure


def r1(prepared, E, F):
    zero = np.zeros(len(F))
    return r_factors(E**2 * prepared.N, zero, F, zero.astype(int), 1).r1[0]


def test_weights_by_hand():
    np.testing.assert_allclose(
        coupling_weights(np.array([0.0, 0.35])), [44.444, 4], rtol=1e-4
    )
    assert coupling_weights(0.1, factor=1.5) == pytest.approx(1 / 0.09)
    found = residual_weights(np.array([0.01, 0.5, np.nan]))
    np.testing.assert_allclose(found, [400, 4, 1])


def test_without_noise_or_multiple_scattering_all_methods_agree(small, small_F):
    sigma = np.full(len(small), 1e-3 * np.mean(small_F**2))
    exact = small.with_intensity(small_F[small.unique] ** 2, sigma)
    prepared = prepare(exact)
    for method in METHODS:
        assert r1(prepared, estimate_amplitudes(prepared, method), small_F) < 1e-3


def test_an_unknown_method_is_refused(small):
    with pytest.raises(ValueError, match="method=mode is none of mean, median"):
        estimate_amplitudes(prepare(small), "mode")


@pytest.mark.parametrize(
    "name, structure",
    [
        ("quartz/scaled", "quartz"),
        ("abiraterone/integrated", "abiraterone"),
        ("glycine/integrated", "glycine"),
    ],
)
def test_coupling_brings_measured_sets_nearer_to_kinematic(
    read_measured, name, structure
):
    experiments, tables = read_measured(name)
    observations = build_observations(experiments, tables)
    measured = add_geometry(observations, experiments, tables)
    measured = measured.select(measured.within(0.7))
    F = np.abs(structure_factors(read_structure(structure), measured.unique_index))
    prepared = prepare(measured)
    plain = r1(prepared, estimate_amplitudes(prepared, "mean"), F)
    assert r1(prepared, estimate_amplitudes(prepared), F) < 0.995 * plain
    rng = np.random.default_rng(6)
    beam = rng.normal(size=measured.beam.shape)
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)
    blind = prepare(measured.with_beam(beam))
    assert r1(prepared, estimate_amplitudes(prepared), F) < r1(
        blind, estimate_amplitudes(blind), F
    )


def test_coupling_helps_where_scattering_is_multiple():
    structure = random_structure(
        np.random.default_rng(11), (6, 7, 8, 90, 90, 90), "P 21 21 21"
    )
    experiments, reflections = simulate_experiments(
        structure,
        np.random.default_rng(12),
        n_crystals=3,
        d_min=0.9,
        scan_width=50.0,
        wave="dynamical",
        thickness=ThicknessModel(median=700.0, within=0.5),
    )
    tables = [reflections.select(reflections["id"] == i) for i in range(3)]
    observations = build_observations(experiments, tables)
    prepared = prepare(add_geometry(observations, experiments, tables))
    F = np.abs(structure_factors(structure, observations.unique_index))
    plain = r1(prepared, estimate_amplitudes(prepared, "mean"), F)
    assert plain > 0.08
    assert r1(prepared, estimate_amplitudes(prepared), F) < 0.93 * plain
