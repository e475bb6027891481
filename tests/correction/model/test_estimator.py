"""The estimator keeps scikit-learn's contract, and its own: nothing where unsure."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from dials_spread.correction.model.estimator import CorrectionRegressor
from dials_spread.correction.model.shrinkage import (
    complementary_halves,
    fit_shrinkage,
    predict_ensemble,
    shrunk_mean,
)

QUICK = {"n_pairs": 1, "max_iter": 15, "random_state": 0, "n_jobs": 1}


def unfit_for_halves(estimator) -> dict[str, str]:
    """Rows without weight still take part in drawing halves of all rows."""
    names = (
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    )
    return dict.fromkeys(names, "which halves rows fall into depends on their number")


# Before scikit-learn 1.6 the estimator's tags say it.
EXPECTED = (
    {"expected_failed_checks": unfit_for_halves}
    if "expected_failed_checks" in inspect.signature(parametrize_with_checks).parameters
    else {}
)


@pytest.mark.slow
@parametrize_with_checks([CorrectionRegressor(**QUICK)], **EXPECTED)
def test_contract(estimator, check):
    check(estimator)


def grouped(n=4000, n_groups=40, seed=0, signal=1.0):
    """A target with a part that is due to features, and one that is the group's own."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, n_groups, n)
    X = rng.normal(size=(n, 5))
    X[:, 4] = group  # a feature that identifies the group
    own = rng.normal(size=n_groups)[group]
    y = signal * np.sin(2 * X[:, 0]) + own + 0.1 * rng.normal(size=n)
    return X, y, group


def test_what_cannot_be_predicted_is_not_corrected():
    X, y, group = grouped(signal=0.0)
    model = CorrectionRegressor(n_pairs=2, max_iter=30, random_state=1)
    blind = clone(model).fit(X, y)
    honest = clone(model).fit(X, y, groups=group)
    # Row by row the identifier gives the group's value away; by group it is worthless.
    assert blind.strength_ > 0.9 and np.corrcoef(blind.predict(X), y)[0, 1] > 0.8
    unseen, _, _ = grouped(seed=9)
    unseen[:, 4] += 40
    assert np.abs(honest.predict(unseen)).mean() < 0.2 * np.abs(y).mean()
    assert honest.strength_ < 0.3 and honest.n_groups_ == 40


def test_what_can_be_predicted_is():
    X, y, group = grouped(signal=2.0)
    X = X[:, :4]
    model = CorrectionRegressor(n_pairs=2, max_iter=60, random_state=1, shrink=True)
    model.fit(X, y, groups=group)
    assert model.strength_ > 0.8
    new, target, _ = grouped(seed=5, signal=2.0)
    known = 2 * np.sin(2 * new[:, 0])
    assert np.corrcoef(model.predict(new[:, :4]), known)[0, 1] > 0.97


def test_members_differ_where_little_was_measured():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(4000, 2))
    y = np.sin(3 * X[:, 0]) + 0.05 * rng.normal(size=4000)
    model = CorrectionRegressor(n_pairs=2, max_iter=40, random_state=1).fit(X, y)
    new = np.column_stack([np.linspace(-3, 3, 301), np.zeros(301)])
    _, spread = model.predict(new, return_std=True)
    middle = np.abs(new[:, 0]) < 1
    assert np.median(spread[np.abs(new[:, 0]) > 2]) > 2 * np.median(spread[middle])


def test_shrinkage_never_makes_unseen_data_worse():
    rng = np.random.default_rng(2)
    for noise in (0.1, 1.0, 10.0):
        truth = rng.normal(size=3000)
        spread = noise * rng.uniform(0.2, 2.0, 3000)
        mean = truth + spread * rng.normal(size=3000)
        strength, width = fit_shrinkage(mean, spread, truth)
        after = shrunk_mean(mean, spread, strength, width, None)
        least = min(np.mean(truth**2), np.mean((truth - mean) ** 2))
        assert np.mean((truth - after) ** 2) <= least
        # The best that can be: the variance of the truth against that of the error.
        ideal = mean / (1 + spread**2)
        assert np.mean((truth - after) ** 2) < 1.05 * np.mean((truth - ideal) ** 2)


def test_a_wrong_sign_gets_no_strength():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=500)
    assert fit_shrinkage(-truth, np.ones(500), truth)[0] == 0
    assert fit_shrinkage(-truth, np.zeros(500), truth)[0] == 0


def test_predictions_are_bounded():
    X, y, _ = grouped()
    model = CorrectionRegressor(bound=0.4, **QUICK).fit(X, 10 * y)
    predicted = model.predict(X)
    assert np.abs(predicted).max() == pytest.approx(0.4)


def test_halves_are_complementary():
    halves = complementary_halves(11, 4, np.random.RandomState(0))
    assert halves.shape == (8, 11)
    assert (halves.sum(axis=0) == 4).all()
    np.testing.assert_array_equal(halves[::2], ~halves[1::2])
    assert set(halves.sum(axis=1)) == {5, 6}


def test_rows_of_a_group_are_never_divided(monkeypatch):
    X, y, group = grouped(400, 8)
    seen = []
    fit = HistGradientBoostingRegressor.fit

    def watched(self, X, *rest):
        seen.append({*X[:, 4].astype(int)})
        return fit(self, X, *rest)

    monkeypatch.setattr(HistGradientBoostingRegressor, "fit", watched)
    CorrectionRegressor(**QUICK).fit(X, y, groups=group)
    assert len(seen) == 2 and not seen[0] & seen[1] and len(seen[0] | seen[1]) == 8


def test_equal_weights_are_none_and_bad_groups_are_told():
    X, y, group = grouped(300)
    model = CorrectionRegressor(**QUICK)
    plain = clone(model).fit(X, y).predict(X)
    weighted = clone(model).fit(X, y, sample_weight=np.full(300, 2.0)).predict(X)
    np.testing.assert_array_equal(plain, weighted)
    with pytest.raises(ValueError, match="at least 2 groups"):
        model.fit(X, y, groups=np.zeros(300))
    with pytest.raises(ValueError, match="for 300 rows"):
        model.fit(X, y, groups=group[:7])


def test_forests_and_settings_predict_the_same():
    X, y, group = grouped()
    model = CorrectionRegressor(bound=1.0, **QUICK).fit(X, y, groups=group)
    forests = model.forests(["a", "b", "c", "d", "e"])
    found, spread = predict_ensemble(forests, model.settings(), X)
    expected, expected_spread = model.predict(X, return_std=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(spread, expected_spread)
    # What scikit-learn itself says of the members.
    members = np.mean([m.predict(X) for m in model.members_], axis=0)
    np.testing.assert_allclose(
        np.clip(
            members * model.strength_ / (1 + (spread / model.width_) ** 2), -1.0, 1.0
        ),
        found,
        rtol=1e-12,
        atol=1e-14,
    )
    with pytest.raises(ValueError, match="strength=2"):
        predict_ensemble(forests, {"strength": 2.0}, X)


FIT = """
import sys
if "cctbx" in sys.argv:
    import dials.array_family.flex
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
rng = np.random.default_rng(0)
X = rng.normal(size=(3000, 8))
y = X[:, 0] * X[:, 1] + rng.normal(size=3000)
model = HistGradientBoostingRegressor(loss="absolute_error", max_iter=10)
print(repr(float(model.fit(X, y).predict(X).sum())))
"""


@pytest.mark.slow
def test_training_is_right_beside_the_stand_ins_for_openmp():
    """cctbx may replace OpenMP's functions; numba's parallel loops break by that."""
    run = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FIT, how],
            capture_output=True,
            text=True,
            # Two threads that wait for one another, asleep: other tests run beside it.
            env={**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
        )
        for how in ("cctbx", "alone")
    ]
    with_cctbx, alone = (float(r.stdout.split()[-1]) for r in run)
    assert with_cctbx == pytest.approx(alone, rel=1e-9)
