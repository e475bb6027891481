"""
How much of the spread is explained by intensities that stand in the tables themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dials.array_family import flex

from dials_spread.incidence import pack
from dials_spread.observations import Observations
from dials_spread.observations.canonical_order import crystal_rank
from dials_spread.spread.sources.explained import ExplainedSpread, explained_spread
from dials_spread.stages import stage


class Simulated(NamedTuple):
    """
    Simulated intensities of n observations.

    Attributes:
        intensity: Shape (n,), nan where there is none.
        lorentz: Shape (n,), the Lorentz factor that the observed intensities lack.
    """

    intensity: np.ndarray
    lorentz: np.ndarray


def simulated_columns(
    observations: Observations, tables: Sequence[flex.reflection_table]
) -> Simulated | None:
    """
    Take simulated intensities from tables.

    Args:
        observations: n of them, made of these tables.
        tables: One a crystal, as dials.simulate_ed writes them from measured files.

    Returns:
        None where a table has no `intensity.dynamical.value`.
    """
    if not all("intensity.dynamical.value" in t for t in tables if len(t)):
        return None
    simulated = _of_rows(observations, tables, "intensity.dynamical.value")
    variance = _of_rows(observations, tables, "intensity.dynamical.variance")
    lorentz = _of_rows(observations, tables, "simulation.lorentz")
    return Simulated(np.where(variance < 0, np.nan, simulated), lorentz)


@stage("Simulated spread")
def explain_observations(
    observations: Observations,
    simulated: Simulated | None,
    scales: np.ndarray,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> ExplainedSpread | None:
    """
    Compare the spread of observations before and after their simulation.

    Args:
        observations: n of them.
        simulated: Of these; None for no comparison.
        scales: Shape (crystals,), what the intensities of each are divided by.
        rng: For the bootstrap over crystals and the control.
        nproc: Threads; all cores by default.

    Returns:
        A Lorentz factor that the intensities lack (`simulation.lorentz`) is applied, and
        what virtual frames list more than once is used once.
    """
    if simulated is None:
        return None
    factor = simulated.lorentz / scales[observations.crystal]
    once = _once(observations)
    return explained_spread(
        observations.unique[once],
        crystal_rank(observations)[observations.crystal[once]],
        (observations.intensity * factor)[once],
        (observations.variance * factor**2)[once],
        simulated.intensity[once],
        rng,
        nproc,
    )


def _once(observations: Observations) -> np.ndarray:
    """The first of observations of one crystal that are alike, in their order."""
    crystal = observations.crystal.astype(np.int64)
    index = observations.miller_index.astype(np.int64)
    packed = pack(index, int(np.abs(index).max(initial=1)))
    key = crystal * (int(packed.max(initial=0)) + 1) + packed
    # Most indices are there once on a crystal: only the others are looked at further.
    order = np.argsort(key, kind="stable")
    again = np.append(False, key[order][1:] == key[order][:-1])[: len(order)]
    rows = np.sort(order[again | np.append(again[1:], False)[: len(order)]])
    columns = (observations.variance[rows], observations.intensity[rows], key[rows])
    order = np.lexsort(columns)
    alike = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in columns:
        alike &= column[order][1:] == column[order][:-1]
    left = np.ones(len(key), dtype=bool)
    left[rows[order[np.append(False, alike)[: len(order)]]]] = False
    return np.flatnonzero(left)


def _of_rows(
    observations: Observations, tables: Sequence[flex.reflection_table], name: str
) -> np.ndarray:
    """A column of the tables for each observation; 1 where a table has none."""
    values = np.ones(len(observations))
    for own, table in zip(observations.by_crystal(len(tables)), tables):
        if name in table and len(own):
            values[own] = table[name].as_numpy_array()[observations.row[own]]
    return values
