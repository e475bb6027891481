"""
scikit-learn's boosted trees, each fit in one thread.

Importing DIALS can put stand-ins for OpenMP into the process (see threads.py). Where
scikit-learn was imported before, some of its compiled parts ask OpenMP itself how many
threads there are and others ask the stand-ins which thread they are: two threads then
share one thread's sums, and leaves get values of 1e40 without any error. With one thread
all agree, whatever was imported first. Several fits run side by side instead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_users = 0
_limits = None


@contextmanager
def one_openmp_thread() -> Iterator[None]:
    """
    Hold OpenMP to one thread while any of several Python threads needs it.

    The limit is one of the process: the first to come sets it, the last to go lifts it.
    """
    global _users, _limits
    with _lock:
        if _users == 0:
            _limits = threadpool_limits(1, user_api="openmp")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limits.restore_original_limits()


class BoostedTrees(HistGradientBoostingRegressor):
    """A HistGradientBoostingRegressor that fits and predicts in one thread."""

    def fit(self, X, y, sample_weight=None):
        """Fit; arguments and result are those of scikit-learn."""
        with one_openmp_thread():
            return super().fit(X, y, sample_weight)

    def predict(self, X):
        """Predict; arguments and result are those of scikit-learn."""
        with one_openmp_thread():
            return super().predict(X)
