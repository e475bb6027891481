"""Tails that dials.scale cut are used again, wild observations are not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dials_spread.observations.error_model import CountingErrors
from dials_spread.spread.size.rejected import without_outliers


class Table:
    """Flags of a table."""

    flags = SimpleNamespace(outlier_in_scaling=1)

    def __init__(self, rejected):
        self.rejected = rejected

    def get_flags(self, _):
        return SimpleNamespace(as_numpy_array=lambda: self.rejected)


def observed(small, unique, intensity, choice):
    """Bare columns in the place of simulated ones."""
    n, first = len(unique), np.unique(unique)
    return replace(
        small,
        crystal=np.zeros(n, dtype=int),
        row=np.arange(n),
        miller_index=small.unique_index[unique],
        unique=unique,
        intensity=intensity,
        variance=np.full(n, 100.0),
        entry_image=np.zeros(n, dtype=int),
        entry=np.arange(n),
        unique_index=small.unique_index[first],
        d_spacing=small.d_spacing[first],
        choice=choice,
        geometry=None,
    )


@pytest.mark.parametrize("scaled", [True, False])
def test_tails_are_used_and_wild_observations_are_not(small, scaled):
    """5 % of relative error; two standard deviations are cut, and ten are wild."""
    rng = np.random.default_rng(0)
    n, size = 4000, 200
    unique = np.arange(n) % size
    intensity = rng.uniform(100, 1000, size)[unique] * (1 + 0.05 * rng.normal(size=n))
    wild = np.arange(10)
    intensity[wild] *= 3
    mean = np.bincount(unique, intensity) / np.bincount(unique)
    rejected = np.abs(intensity / mean[unique] - 1) > 0.1
    assert rejected[wild].all() and 100 < rejected.sum() < 500
    observations = observed(small, unique, intensity, "scale" if scaled else "sum")
    counting = CountingErrors(np.ones(n), np.ones(1), np.zeros(1), {})
    left, counted, used = without_outliers(observations, counting, [Table(rejected)])
    if not scaled:
        assert left is observations and used == 0
        return
    assert len(left) == n - 10 and used == rejected.sum() - 10
    assert len(counted.variance) == n - 10
    assert left.dropped["outlier in scaling"] == 10
    assert not np.isin(left.row, wild).any()
