"""
scikit-learn's boosted trees, each fit in one thread.

Importing DIALS can put stand-ins for OpenMP into the process (see threads.py). Where
scikit-learn was imported before, some of its compiled parts ask OpenMP itself how many
threads there are and others ask the stand-ins which thread they are: two threads then
share one thread's sums, and leaves get values of 1e40 without any error. With one thread
all agree, whatever was imported first. Several fits run side by side instead.
"""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits


def one_openmp_thread() -> threadpool_limits:
    """
    Hold OpenMP to one thread, as a context.

    OpenMP keeps the limit for the thread that sets it, not for the process: each of
    several Python threads has to set its own.
    """
    return threadpool_limits(1, user_api="openmp")


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
