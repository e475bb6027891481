"""
One measured crystal: its thickness, and what it adds to its table.

Functions:
    fit_crystal: simulate it and find its shape
    describe: every row, and the agreement
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from dials_spread.observations import Observations
from dials_spread.rfactor import amplitudes, r_factor
from dials_spread.thickness.curves import Shape, ThicknessCurves
from dials_spread.thickness.fit import FEWEST, ShapeFit, candidate_shapes, fit_shape
from dials_spread.thickness.preparation import (
    PreparedCrystal,
    Task,
    comparable,
    simulate,
)
from dials_spread.thickness.results import CrystalSimulation, MeasuredAndSimulated
from dials_spread.thickness.search import NEAR_THE_END, fine_grid

logger = logging.getLogger("dials.spread.thickness")

# A path from this part of the greatest simulated thickness is at the end of the range.
NEARLY = 0.96


def fit_crystal(
    task: Task, prepared: PreparedCrystal, rng: np.random.Generator
) -> tuple[ThicknessCurves, ShapeFit | None]:
    """
    Simulate a crystal over as many thicknesses as it takes to find its own.

    Args:
        task: What all crystals share.
        prepared: The crystal.
        rng: For halves and bootstrap samples.

    Returns:
        Its curves, and the fit: None where the thickness was given, or the observations
        are too few.
    """
    for grid in task.search.grids():
        curves = simulate(task, prepared, grid)
        found = _fit(task, prepared, curves, rng)
        if found is None:
            break
        path = found.shape.path(prepared.crossings.phi) * (1 + found.shape.within)
        longest = float(np.nanmax(path))
        if longest < NEAR_THE_END * grid[-1]:
            return curves, found
    if found is not None:
        _warn_at_the_end(prepared, found, longest, grid[-1])
    return curves, found


def _warn_at_the_end(
    prepared: PreparedCrystal, found: ShapeFit, longest: float, end: float
) -> None:
    """Say that a thicker crystal might agree better."""
    if longest > NEARLY * end:
        logger.warning(
            "Crystal %d: the best thickness, %.0f Å, is at the end of the range that was "
            "searched. A thicker one might agree better (measured.range), or none does.",
            prepared.number,
            found.shape.thickness,
        )


def _fit(
    task: Task,
    prepared: PreparedCrystal,
    curves: ThicknessCurves,
    rng: np.random.Generator,
) -> ShapeFit | None:
    own, of_own = comparable(task, prepared, curves)
    if task.search.given is not None or len(own) < FEWEST:
        return None
    return fit_shape(
        curves,
        of_own,
        amplitudes(task.measured.intensity[own]),
        np.sqrt(prepared.kinematic[of_own]),
        task.measured.unique[own],
        candidate_shapes(curves.grid, prepared.scan.limits, task.search.laws),
        rng,
    )


def describe(
    task: Task,
    prepared: PreparedCrystal,
    curves: ThicknessCurves,
    found: ShapeFit | None,
    shape: Shape,
    origin: str,
    hand: bool = False,
) -> tuple[CrystalSimulation, MeasuredAndSimulated]:
    """
    Simulate every row of a crystal with its shape, and compare.

    Args:
        task: What all crystals share.
        prepared: The crystal.
        curves: Its intensities against thickness.
        found: Its fit, if there is one.
        shape: Of the crystal.
        origin: Where the shape is from, in words.
        hand: Compare with the inverted structure, too.

    Returns:
        The crystal, and its observations beside their simulation.
    """
    measured = task.measured
    dynamical = curves.intensities(shape)
    own, of_own = comparable(task, prepared, curves)
    known = np.isfinite(dynamical[of_own])
    own, of_own = own[known], of_own[known]
    f_o = amplitudes(measured.intensity[own])
    r1, scale, _ = r_factor(f_o, np.sqrt(dynamical[of_own]))
    other = float("nan")
    if hand and len(own) and np.iscomplexobj(prepared.potential.table):
        other = r_factor(f_o, _other_hand(task, prepared, shape)[of_own])[0]
    rows = _columns(prepared, shape, dynamical, _variance(curves, found))
    crystal = CrystalSimulation(
        number=prepared.number,
        shape=shape,
        fit=found,
        origin=origin,
        r1=r1,
        r1_kinematic=r_factor(f_o, np.sqrt(prepared.kinematic[of_own]))[0],
        r1_other_hand=other,
        n=len(own),
        lorentz=prepared.lorentz,
        kinematic=rows.kinematic,
        kinematic_variance=rows.kinematic_variance,
        dynamical=rows.dynamical,
        dynamical_variance=rows.dynamical_variance,
        path=rows.path,
    )
    to_simulation = scale**2 if np.isfinite(scale) else 1.0
    calculated = (dynamical[of_own], prepared.kinematic[of_own])
    return crystal, _beside(measured, own, to_simulation, calculated)


def _beside(
    measured: Observations,
    own: np.ndarray,
    to_simulation: float,
    calculated: tuple[np.ndarray, np.ndarray],
) -> MeasuredAndSimulated:
    """Put some observations, brought onto its scale, beside their simulation."""
    dynamical, kinematic = calculated
    return MeasuredAndSimulated(
        crystal=measured.crystal[own],
        unique=measured.unique[own],
        miller_index=measured.miller_index[own],
        d_spacing=1 / np.sqrt(measured.d_star_sq[measured.unique[own]]),
        intensity=measured.intensity[own] * to_simulation,
        sigma=measured.sigma[own] * to_simulation,
        dynamical=dynamical,
        kinematic=kinematic,
    )


def _other_hand(task: Task, prepared: PreparedCrystal, shape: Shape) -> np.ndarray:
    """Amplitudes of the inverted structure, which multiple scattering tells apart."""
    path = shape.path(prepared.crossings.phi)
    low, high = np.nanmin(path), np.nanmax(path)
    grid = fine_grid(low * (1 - shape.within), high * (1 + shape.within))
    return np.sqrt(simulate(task, prepared, grid, True).intensities(shape))


def _variance(curves: ThicknessCurves, found: ShapeFit | None) -> np.ndarray:
    """Variance of the intensities over the shapes of the bootstrap samples."""
    if found is None:
        return np.zeros(len(curves.phi))
    draws = {shape: found.draws.count(shape) for shape in set(found.draws)}
    values = np.array([curves.intensities(shape) for shape in draws])
    weights = np.array([*draws.values()], dtype=float) / len(found.draws)
    mean = weights @ values
    return np.nan_to_num(weights @ (values - mean) ** 2)


class _AddedColumns(NamedTuple):
    """Shape (rows,) each, as in `CrystalSimulation`."""

    kinematic: np.ndarray
    kinematic_variance: np.ndarray
    dynamical: np.ndarray
    dynamical_variance: np.ndarray
    path: np.ndarray


def _columns(
    prepared: PreparedCrystal, shape: Shape, dynamical: np.ndarray, variance: np.ndarray
) -> _AddedColumns:
    """What is added to the table, without any nan."""
    of_row = prepared.crossings.of_row
    known = of_row >= 0
    simulated = known & np.isfinite(np.append(dynamical, np.nan)[of_row])
    path = shape.path(prepared.crossings.phi)

    def column(values: np.ndarray, rows: np.ndarray, otherwise: float) -> np.ndarray:
        result = np.full(len(of_row), otherwise)
        result[rows] = values[of_row[rows]]
        return result

    return _AddedColumns(
        kinematic=column(prepared.kinematic, known, 0.0),
        kinematic_variance=np.where(known, 0.0, -1.0),
        dynamical=column(dynamical, simulated, 0.0),
        dynamical_variance=column(variance, simulated, -1.0),
        path=column(path, simulated, 0.0),
    )
