"""Boosted trees are right whatever was imported first."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_info

from dials_spread.correction.model.boosting import BoostedTrees

# sklearn's own threads are made before DIALS brings its stand-ins for OpenMP.
FIT = """
import {first}
import {second}
import numpy as np
from dials_spread.correction.model.boosting import BoostedTrees
X = np.random.default_rng(1).normal(size=(20000, 30))
model = BoostedTrees(max_iter=20, early_stopping=False).fit(X, X[:, 0] ** 2)
print(abs(model.predict(X) - X[:, 0] ** 2).max() < 16)
"""


ORDERS = [
    ("sklearn", "dials.array_family.flex"),
    ("dials.array_family.flex", "sklearn"),
]


@pytest.mark.slow
@pytest.mark.parametrize("first, second", ORDERS)
def test_the_order_of_imports_does_not_matter(first, second):
    code = FIT.format(first=first, second=second)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


def test_predictions_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(500, 4))
    y = X[:, 0] * X[:, 1]
    own = BoostedTrees(max_iter=10, random_state=0).fit(X, y)
    theirs = HistGradientBoostingRegressor(max_iter=10, random_state=0).fit(X, y)
    assert np.array_equal(own.predict(X), theirs.predict(X))


def test_the_limit_is_lifted_after_fits_side_by_side():
    def threads():
        return [
            p["num_threads"] for p in threadpool_info() if p["user_api"] == "openmp"
        ]

    before = threads()
    X = np.random.default_rng(3).normal(size=(2000, 4))
    with ThreadPoolExecutor(4) as pool:
        fits = [pool.submit(BoostedTrees(max_iter=5).fit, X, X[:, 0]) for _ in range(8)]
    models = [fit.result() for fit in fits]
    assert threads() == before
    told = [model.predict(X) for model in models]
    assert all(np.array_equal(told[0], other) for other in told[1:])


@pytest.mark.slow
def test_threads_that_fit_side_by_side_each_keep_to_one_thread():
    code = SIDE_BY_SIDE
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    largest = [float(x) for x in result.stdout.split()]
    # The target is within -1 and 1, and no tree goes beyond what it was fitted to.
    assert len(largest) == 6 and max(largest) < 1.5, result.stderr


SIDE_BY_SIDE = """
import sklearn.ensemble
import dials_spread.command_line.ml_correct
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from dials_spread.correction.model.boosting import BoostedTrees
rng = np.random.default_rng(0)
X = rng.normal(size=(20000, 10))
y = np.sign(X[:, 0] * X[:, 1])
def largest(seed):
    trees = BoostedTrees(max_iter=5, early_stopping=False, random_state=seed)
    return abs(trees.fit(X, y).predict(X)).max()
with ThreadPoolExecutor(2) as pool:
    print(*pool.map(largest, range(6)))
"""
