from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cctbx import sgtbx

from dials_spread.correction.features.all_features import (
    NEIGHBOUR_COLUMNS as NEIGHBOURS,
)
from dials_spread.correction.features.all_features import (
    OBSERVATION_COLUMNS,
    REFLECTION_COLUMNS,
    features_of,
    make_features,
)
from dials_spread.correction.features.crystals import COMPOUND_COLUMNS, CRYSTAL_COLUMNS
from dials_spread.correction.features.registry import (
    COMPOUND,
    CRYSTAL,
    MODEL_1,
    OBSERVATION,
    REFLECTION,
    REFLECTION_ALL,
    names,
)
from dials_spread.observations import build_observations
from dials_spread.prepare.coupling import COLUMNS as COUPLING
from dials_spread.prepare.geometry import add_geometry
from dials_spread.prepare.prepared import prepare


@pytest.fixture(scope="module")
def features(small):
    return make_features(small)


def column(features, name, table="reflection"):
    matrix = getattr(features, table)
    return matrix[:, getattr(features, f"{table}_names").index(name)]


def test_every_column_is_documented_with_unit_and_reason():
    for registry, columns in (
        (OBSERVATION, OBSERVATION_COLUMNS),
        (CRYSTAL, CRYSTAL_COLUMNS),
        (COMPOUND, COMPOUND_COLUMNS),
        (REFLECTION, REFLECTION_COLUMNS),
    ):
        assert names(registry) == columns
    assert set(COUPLING) < set(OBSERVATION_COLUMNS)
    assert set(NEIGHBOURS) < set(REFLECTION_COLUMNS)
    for table in (MODEL_1, REFLECTION_ALL):
        assert len(set(names(table))) == len(table)
        for feature in table:
            assert all(feature.as_dict().values()), feature.name


def test_tables_are_complete(small, features):
    assert features.observation.shape == (len(small), len(MODEL_1))
    assert features.reflection.shape == (small.n_unique, len(REFLECTION_ALL))
    assert features.observation_names == names(MODEL_1)
    assert features.reflection_names == names(REFLECTION_ALL)
    assert not np.isinf(features.observation).any()
    assert not np.isinf(features.reflection).any()
    # Unknown are only: what others say of an observation that has none, and so on.
    may_lack = {"spread", "double_index", "half_index"}
    for name in features.reflection_names:
        known = np.isfinite(column(features, name))
        assert known.all() or name in may_lack, name
    lone = np.bincount(small.unique)[small.unique] == 1
    others = column(features, "mean_of_others", "observation")
    np.testing.assert_array_equal(np.isnan(others), lone)


def test_some_columns_are_what_they_say(small, features):
    prepared = prepare(small)
    for u in range(0, small.n_unique, 41):
        own = small.unique == u
        a, o10 = prepared.E_i[own], prepared.coupling[own, 1]
        for name, expected in (
            ("mean", a.mean()),
            ("least", a.min()),
            ("median", np.median(a)),
            ("mean_o10", np.average(a, weights=(0.15 + o10) ** -2)),
            ("coupling_10_least", o10.min()),
            ("ln_n", np.log(len(a))),
            ("E_k", np.sqrt(max(prepared.intensity[own].mean(), 0) / prepared.N[u])),
        ):
            assert column(features, name)[u] == pytest.approx(expected, rel=1e-5)
    crystal = small.crystal == 1
    E = prepared.E_k[small.unique]
    residual = np.abs(prepared.E_i - E)[crystal].sum() / E[crystal].sum()
    found = column(features, "crystal_residual", "observation")[crystal]
    np.testing.assert_allclose(found, residual, rtol=1e-5)


def test_nothing_names_the_reflection_or_the_compound(features):
    for table in ("observation", "reflection"):
        known = set(getattr(features, f"{table}_names"))
        assert not known & {"h", "k", "l", "d", "d_star", "d_star_sq", "volume"}
    # What depends on resolution is the same in a whole shell.
    shell = column(features, "shell")
    assert len(np.unique(shell)) <= 10
    for epsilon in (1, 2):
        own = column(features, "epsilon") == epsilon
        pairs = np.stack([shell[own], column(features, "U_rms")[own]])
        assert len(np.unique(pairs, axis=1).T) == len(np.unique(shell[own]))
    assert column(features, "ln_volume")[0] % 0.5 == 0


def assert_same(a, b, order=None):
    order = slice(None) if order is None else order
    for table in ("observation", "reflection"):
        found, expected = getattr(b, table), getattr(a, table)
        expected = expected[order] if table == "observation" else expected
        scale = np.nanstd(expected, axis=0) + np.abs(np.nanmean(expected, axis=0))
        np.testing.assert_allclose(found / scale, expected / scale, atol=2e-4)


def test_the_order_of_rows_does_not_matter(small, features):
    order = np.random.default_rng(3).permutation(len(small))
    assert_same(features, make_features(small.select(order)), order)


def test_the_scale_of_intensities_does_not_matter(small, features):
    other = small.multiplied(1e3)
    assert_same(features, make_features(other))


def test_turning_the_laboratory_changes_nothing(simulated, features):
    experiments, tables = simulated
    turned = deepcopy(experiments)
    R = Rotation.from_rotvec(1.1 * np.array([0.6, 0.0, 0.8])).as_matrix()
    for experiment in turned:
        # Beams and goniometers may be shared: each gets its own, turned once.
        beam, goniometer = deepcopy(experiment.beam), deepcopy(experiment.goniometer)
        beam.set_s0(tuple(R @ beam.get_s0()))
        setting = np.array(goniometer.get_setting_rotation()).reshape(3, 3)
        goniometer.set_setting_rotation(tuple((R @ setting).ravel()))
        experiment.beam, experiment.goniometer = beam, goniometer
    old = np.array(experiments[0].goniometer.get_rotation_axis())
    new = np.array(turned[0].goniometer.get_rotation_axis())
    np.testing.assert_allclose(new, R @ old, atol=1e-12)
    observations = build_observations(turned, tables)
    assert_same(features, make_features(add_geometry(observations, turned, tables)))


@pytest.mark.parametrize("symbol", ["-x,-y,z", "x,-y,-z"])
def test_indexing_with_another_operator_of_the_group_changes_nothing(
    simulated, features, symbol
):
    experiments, tables = simulated
    operator = sgtbx.change_of_basis_op(symbol)
    other, changed = deepcopy(experiments), deepcopy(tables)
    # Two crystals of three: each may have been indexed in its own way.
    for experiment, table in list(zip(other, changed))[:2]:
        experiment.crystal = experiment.crystal.change_basis(operator)
        table["miller_index"] = operator.apply(table["miller_index"])
    observations = build_observations(other, changed)
    measured = add_geometry(observations, other, changed)
    assert not np.array_equal(
        measured.miller_index, build_observations(experiments, tables).miller_index
    )
    assert_same(features, make_features(measured))


def test_beams_at_random_change_couplings_and_nothing_else(small, features):
    rng = np.random.default_rng(4)
    beam = rng.normal(size=small.beam.shape)
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)
    other = features_of(prepare(small.with_beam(beam)))
    for name in names(OBSERVATION):
        same = np.array_equal(
            column(features, name, "observation"),
            column(other, name, "observation"),
            equal_nan=True,
        )
        assert same == (name not in COUPLING)


def test_a_cut_of_resolution_keeps_what_it_should(small):
    kept = small.within(1.3)
    cut = small.select(kept)
    assert 0 < kept.sum() < len(small) and len(cut) == kept.sum()
    assert 1 / np.sqrt(cut.d_star_sq.max()) >= 1.3 - 1e-6
    np.testing.assert_array_equal(
        cut.unique_index[cut.unique], small.unique_index[small.unique][kept]
    )
    assert make_features(cut).reflection.shape[0] == cut.n_unique


@pytest.mark.parametrize("n", [1, 3, 12])
def test_a_handful_of_observations_breaks_nothing(small, n):
    features = make_features(small.select(np.arange(n)))
    assert features.observation.shape == (n, len(MODEL_1))
    assert not np.isinf(features.observation).any()
    assert not np.isinf(features.reflection).any()


def test_stills_and_crystals_without_observations_are_described(small):
    nothing = np.full(len(small), np.nan)
    still = replace(small.geometry, rate=nothing, angle=np.zeros(len(small)))
    more = replace(small.with_geometry(still), dataset=np.zeros(5, dtype=int))
    features = make_features(more)
    assert np.isnan(column(features, "rate", "observation")).all()
    assert np.isfinite(column(features, "coupling_10", "observation")).all()
    assert np.isfinite(column(features, "crystal_residual_mean")).all()
