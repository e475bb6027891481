from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.correction.model.general import TreeModel
from dials_spread.correction.model.tree_model import (
    AVERAGE_COLUMNS,
    average,
    default_regressor,
    fit_two_models,
    halves,
    target_amplitudes,
)
from dials_spread.rfactor.r1 import r_factors


def compound(seed, n_unique=150, n_each=8, number=0.0):
    """
    Amplitudes with a bias that one feature knows and a scatter that another does.

    The bias is 0.8 x, the noise 0.05 or 0.5, and what is left is 0.2 z of the
    reflection. A last feature holds the number of the compound.
    """
    rng = np.random.default_rng(seed)
    unique = np.repeat(np.arange(n_unique), n_each)
    true = rng.rayleigh(0.7, n_unique) + 0.3
    z = rng.choice([-1.0, 1.0], n_unique)
    x = rng.uniform(0, 1, len(unique))
    noisy = rng.integers(0, 2, len(unique))
    E_i = true[unique] + 0.8 * x + np.where(noisy, 0.5, 0.05) * rng.normal(size=len(x))
    E_i += 0.2 * z[unique]
    E_k = np.bincount(unique, E_i) / n_each
    numbers = np.full((len(unique), 1), number)
    features = FeatureSet(
        observation=np.hstack([x[:, None], noisy[:, None], numbers]).astype(np.float32),
        reflection=np.stack([E_k, z], axis=1).astype(np.float32),
        observation_names=("x", "noisy", "number"),
        reflection_names=("E_k", "z"),
        unique=unique,
        crystal=np.zeros(len(unique), dtype=int),
        E_i=E_i,
        E_k=E_k,
        N=np.exp(rng.normal(size=n_unique)),
    )
    return features, true * np.sqrt(features.N)


def r1(F_found, F):
    zero = np.zeros(len(F))
    return r_factors(F_found**2, zero, F, zero.astype(int), 1).r1[0]


def small_trees(loss, seed):
    return default_regressor(loss, seed, min_samples_leaf=20).set_params(max_iter=40)


@pytest.fixture(scope="module")
def training():
    made = [compound(seed, number=float(seed)) for seed in range(8)]
    return [m[0] for m in made], [m[1] for m in made]


def test_both_models_find_what_was_put_in(training):
    sets, amplitudes = training
    models = fit_two_models(
        sets, amplitudes, np.arange(8), np.random.default_rng(0), small_trees
    )
    features, F = compound(99)
    found = TreeModel(models).correct(features)
    averages = average(features, models.bias, models.scatter)
    root = np.sqrt(features.N)
    plain = r1(features.E_k * root, F)
    first = r1(averages.L_mb * root, F)
    both = r1(found.F, F)
    assert both < 0.75 * first < 0.75 * plain
    np.testing.assert_allclose(found.F, found.E * root)
    # Of a normal deviate the mean of ln |x / σ| is -0.635. Quiet observations are off
    # by the 0.2 of their reflection, which model 1 cannot know.
    noisy = features.observation[:, 1] == 1
    ln_scatter = averages.ln_scatter
    loud = 0.5 * np.log(0.5**2 + 0.2**2) - 0.635
    assert ln_scatter[noisy].mean() == pytest.approx(loud, abs=0.2)
    assert ln_scatter[~noisy].mean() == pytest.approx(np.log(0.2), abs=0.3)


def test_averages_are_as_written_down(training):
    features, _ = training[0][0], training[1][0]

    class Bias:
        def predict(self, rows):
            return 0.8 * rows[:, 0]

    class Scatter:
        def predict(self, rows):
            return np.log(np.where(rows[:, 1] == 1, 0.5, 0.05))

    found = average(features, Bias(), Scatter())
    for u in range(0, 150, 13):
        own = features.unique == u
        x, noisy = features.observation[own, 0], features.observation[own, 1]
        weight = np.where(noisy == 1, 4.0, 400.0)
        expected = np.average(features.E_i[own] - 0.8 * x, weights=weight)
        assert found.L_mb[u] == pytest.approx(expected, rel=1e-5)
        error = found.table[u, AVERAGE_COLUMNS.index("expected_error")]
        assert error == pytest.approx(weight.sum() ** -0.5, rel=1e-5)


class Recorder(LinearRegression):
    """Remembers which compounds it was fitted to."""

    def fit(self, X, y):
        self.seen_ = set(np.unique(X[:, 2]))
        return super().fit(X, y)


class AnyModel(LinearRegression):
    def fit(self, X, y):
        return super().fit(np.nan_to_num(X), y)


def test_model_2_sees_averages_of_compounds_that_model_1_has_not_seen(
    training, monkeypatch
):
    sets, amplitudes = training
    seen = []

    def spying_average(features, bias, scatter):
        seen.append((float(features.observation[0, 2]), bias.seen_, scatter.seen_))
        return average(features, bias, scatter)

    monkeypatch.setattr(
        "dials_spread.correction.model.tree_model.average", spying_average
    )

    def make(loss, seed):
        return Recorder() if loss == "squared_error" else AnyModel()

    # Two data sets of each compound: they must fall on one side.
    labels = np.repeat(np.arange(4), 2)
    models = fit_two_models(sets, amplitudes, labels, np.random.default_rng(1), make)
    assert len(seen) == 8
    for number, by_bias, by_scatter in seen:
        twin = number + 1 if number % 2 == 0 else number - 1
        assert by_bias == by_scatter and len(by_bias) == 4
        assert not by_bias & {number, twin}
    assert models.bias.seen_ == set(range(8))


def test_halves_need_two_compounds():
    rng = np.random.default_rng(0)
    found = halves(["a", "b", "a", "c", "d"], rng)
    assert found[0] == found[2] and 1 <= found[[0, 1, 3, 4]].sum() <= 3
    with pytest.raises(ValueError, match="1 compound cannot be divided"):
        halves(["a", "a"], rng)


def test_targets_follow_the_scale_and_need_an_amplitude(training):
    features, F = training[0][0], training[1][0]
    y = target_amplitudes(features, F)
    np.testing.assert_allclose(target_amplitudes(features, 50 * F), y)
    some = F.copy()
    some[::2] = np.nan
    assert np.isnan(target_amplitudes(features, some)[::2]).all()
    with pytest.raises(ValueError, match="Of 150 amplitudes 0 are known"):
        target_amplitudes(features, np.full(150, np.nan))


def test_the_same_seed_gives_the_same_models(training):
    sets, amplitudes = training
    found = [
        TreeModel(
            fit_two_models(
                sets[:4],
                amplitudes[:4],
                np.arange(4),
                np.random.default_rng(5),
                small_trees,
            )
        )
        .correct(sets[5])
        .E
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*found)
