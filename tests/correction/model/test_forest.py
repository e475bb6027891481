"""Forests predict what scikit-learn predicts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from dials_spread.correction.model.forest import forest_of


def table(n=3000, seed=0, dtype=np.float64):
    """A table with missing and often repeated values, and a target."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6))
    X[:, 3] = np.round(X[:, 3])
    X[:, 4] = 7.0
    X[rng.random(X.shape) < 0.1] = np.nan
    known = np.nan_to_num(X)
    y = known[:, 0] * known[:, 1] + np.isnan(X[:, 2]) + 0.1 * rng.normal(size=n)
    return X.astype(dtype), y


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("leaves", [31, 32, 60])  # up to 32 go by bits, more are walked
def test_predictions_are_those_of_scikit_learn(loss, dtype, leaves):
    X, y = table(dtype=dtype)
    quantile = 0.8 if loss == "quantile" else None
    model = HistGradientBoostingRegressor(
        loss=loss,
        quantile=quantile,
        max_iter=40,
        random_state=1,
        max_leaf_nodes=leaves,
    ).fit(X, y)
    forest = forest_of(model, "abcdef")
    assert forest.n_trees == 40
    assert np.bincount(np.diff(forest.start)).argmax() == 2 * leaves - 1
    unseen, _ = table(5000, seed=1, dtype=dtype)
    unseen[0], unseen[1], unseen[2] = np.nan, -np.inf, np.inf
    expected = model.predict(unseen)
    assert expected.std() > 0.3
    for nproc in (1, 3):
        found = forest.predict(unseen, nproc)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    order = np.random.default_rng(2).permutation(len(unseen))
    np.testing.assert_array_equal(forest.predict(unseen[order]), found[order])


def test_a_split_of_missing_from_present_values_only():
    X = np.array([[1.0], [2.0], [3.0], [np.nan]] * 50)
    y = np.isnan(X[:, 0]).astype(float)
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5).fit(X, y)
    forest = forest_of(model, ["x"])
    assert np.isposinf(forest.threshold).any()
    np.testing.assert_allclose(forest.predict(X), model.predict(X), rtol=1e-12)


def test_no_rows_and_wrong_columns():
    X, y = table(200)
    forest = forest_of(HistGradientBoostingRegressor(max_iter=2).fit(X, y), "abcdef")
    assert forest.predict(X[:0]).shape == (0,)
    with pytest.raises(ValueError, match="6 features"):
        forest.predict(X[:, :5])


def test_models_that_trees_alone_do_not_describe():
    X, y = table(300)
    model = HistGradientBoostingRegressor(loss="poisson", max_iter=2)
    model.fit(X, np.abs(y))
    with pytest.raises(ValueError, match="poisson"):
        forest_of(model, "abcdef")
    X[:, 3] = np.arange(300) % 4
    model = HistGradientBoostingRegressor(categorical_features=[3], max_iter=5)
    model.fit(X, X[:, 3] == 2)
    with pytest.raises(ValueError, match="categorical"):
        forest_of(model, "abcdef")
    with pytest.raises(ValueError, match="2 names for a model of 6"):
        forest_of(model, "ab")
