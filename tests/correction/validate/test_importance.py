"""What a model rests on: SHAP values against scikit-learn's predictions, permutation
against a target that is made of one feature."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from dials_spread.correction.features.published import PUBLISHED
from dials_spread.correction.features.registry import MODEL_1, names
from dials_spread.correction.model.estimator import CorrectionRegressor
from dials_spread.correction.validate.importance import (
    check_shap,
    feature_groups,
    feature_importance,
    shap_values,
)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 5)).astype(np.float32)
    y = X[:, 0] + 2 * X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=3000)
    X[rng.random(X.shape) < 0.02] = np.nan
    model = CorrectionRegressor(
        n_pairs=1, loss="squared_error", max_iter=30, random_state=0
    )
    return model.fit(X, y), X[:300]


def test_shap_values_add_up_to_the_prediction(fitted):
    pytest.importorskip("shap", reason="the optional package shap is not installed")
    model, X = fitted
    values, start = shap_values(model, X)
    told = np.mean([member.predict(X) for member in model.members_], axis=0)
    np.testing.assert_allclose(values.sum(axis=1) + start, told, atol=1e-9)
    share = np.abs(values).mean(axis=0)
    assert share[:3].min() > 10 * share[3:].max()


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)  # what import then finds
    with pytest.raises(ValueError, match="^shap=True needs .* conda-forge shap$"):
        check_shap()


def spoiled(data):
    """Deviations that are made of the feature excited and of nothing else."""
    rng = np.random.default_rng(1)
    table = rng.normal(size=data.table.shape)
    x = table[:, data.columns.index("excited")]
    E = np.maximum(data.target[data.unique] + 0.3 * (x > 0), 0.01)
    return replace(data, table=table, E_i=E)


def test_the_feature_that_matters_comes_first(two_compounds):
    found = feature_importance(spoiled(two_compounds), np.random.default_rng(2))
    single = [one for one in found if not one.group]
    assert single[0].feature == "excited" and single[0].r1_rise > 0.02
    assert max(abs(one.r1_rise) for one in single[1:]) < 0.2 * single[0].r1_rise
    group = {one.feature: one.r1_rise for one in found if one.group}
    assert group["all couplings"] == pytest.approx(single[0].r1_rise, rel=0.2)
    assert abs(group["all of the crystal"]) < 0.2 * single[0].r1_rise
    assert {one.feature for one in single} == set(names(MODEL_1))


def test_shap_names_it_too(two_compounds):
    pytest.importorskip("shap", reason="the optional package shap is not installed")
    rng = np.random.default_rng(2)
    found = feature_importance(spoiled(two_compounds), rng, with_shap=True)
    single = [one for one in found if not one.group]
    assert max(single, key=lambda one: one.shap).feature == "excited"


def test_every_feature_is_of_something():
    columns = names(MODEL_1)
    groups = feature_groups(columns)
    of = [
        groups[f"all of the {what}"] for what in ("observation", "crystal", "compound")
    ]
    assert sorted(sum(of, [])) == list(range(len(columns)))
    assert {"coupling_3", "excited_to_h"} <= {
        columns[k] for k in groups["all couplings"]
    }
    published = feature_groups(names(PUBLISHED))
    assert sorted(sum(published.values(), [])) == list(range(len(PUBLISHED)))
