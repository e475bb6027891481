"""No group is on both sides, and what is only remembered does not survive."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from dials_spread.correction.validate.splits import (
    parse_range,
    predict_unseen,
    split_by,
    split_by_ranges,
)


def test_each_row_is_tested_once_and_no_group_is_divided():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 23, 500)
    folds = split_by("reflection", groups, 5, rng)
    assert len(folds) == 5
    np.testing.assert_array_equal(np.sum([f.test for f in folds], axis=0), 1)
    for fold in folds:
        np.testing.assert_array_equal(fold.train, ~fold.test)
        assert not set(groups[fold.train]) & set(groups[fold.test])
    sizes = [len(set(groups[f.test])) for f in folds]
    assert set(sizes) == {4, 5}


def test_labels_may_be_names_and_the_seed_decides():
    groups = np.array(["quartz", "glycine", "quartz", "urea"])
    first = split_by("compound", groups, 10, np.random.default_rng(1))
    again = split_by("compound", groups, 10, np.random.default_rng(1))
    assert len(first) == 3
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one.test, other.test)
        assert one.test[0] == one.test[2]


def test_one_crystal_cannot_be_split():
    with pytest.raises(ValueError, match="split by crystal needs two crystals .* is 1"):
        split_by("crystal", np.zeros(50), 5, np.random.default_rng(0))


@pytest.mark.parametrize(
    "told, numbers",
    [("0:3", [0, 1, 2]), (":2", [0, 1]), ("3:", [3, 4]), ("4", [4]), (" 1:2 ", [1])],
)
def test_ranges(told, numbers):
    assert parse_range(told, 5).tolist() == numbers


@pytest.mark.parametrize("told", ["", "a", "1:2:3", "-1:2", "3:3", "0:6", "9"])
def test_bad_ranges(told):
    with pytest.raises(ValueError, match="no range|not there"):
        parse_range(told, 5)


def test_given_crystals():
    crystal = np.repeat(np.arange(6), 3)
    fold = split_by_ranges(crystal, 6, "0:3", "4:6")
    assert set(crystal[fold.train]) == {0, 1, 2}
    assert set(crystal[fold.test]) == {4, 5}
    with pytest.raises(ValueError, match="1 in common, such as 2"):
        split_by_ranges(crystal, 6, "0:3", "2:6")


def remembered(n_crystals=10, n_unique=200, seed=0):
    """Crystals of one compound: each reflection has its answer, told by d alone."""
    rng = np.random.default_rng(seed)
    unique = np.tile(np.arange(n_unique), n_crystals)
    crystal = np.repeat(np.arange(n_crystals), n_unique)
    d = np.sort(rng.uniform(0.8, 5.0, n_unique))
    target = rng.normal(size=n_unique)
    return unique, crystal, d[unique][:, None], target[unique]


def test_the_split_by_crystal_flatters_a_model_that_knows_only_resolution():
    unique, crystal, X, y = remembered()

    def fit(train):
        model = HistGradientBoostingRegressor(
            max_iter=25, learning_rate=0.4, min_samples_leaf=5
        )
        model.fit(X[train], y[train])
        return lambda test: model.predict(X[test])

    error = {}
    for what, groups in (("crystal", crystal), ("reflection", unique)):
        folds = split_by(what, groups, 3, np.random.default_rng(1))
        predicted = predict_unseen(fit, folds)
        assert np.isfinite(predicted).all()
        error[what] = np.mean((predicted - y) ** 2) / np.var(y)
    assert error["crystal"] < 0.2
    assert error["reflection"] > 1.0
