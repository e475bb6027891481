"""
One measured crystal before its thickness is known.

Functions:
    prepare: what passes the Ewald sphere, and which observations recorded it
    simulate: its intensities against thickness, of one hand or the other
    comparable: observations that can be compared with them
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations import Choices, Observations
from dials_spread.prepare.geometry import lorentz_factor
from dials_spread.reindexing import Reindexing
from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.potential import CrystalPotential
from dials_spread.scattering.scans import RotationScan
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.thickness.crossings import EwaldCrossings, find_crossings
from dials_spread.thickness.curves import ThicknessCurves, thickness_curves
from dials_spread.thickness.search import ThicknessSearch
from dials_spread.thickness.settings import laid_on, whole_indices

# Nearer to the rotation axis a rocking curve is longer than the scan. Rate times d is |zeta|,
# which tables need not tell.
MIN_RATE = Choices.min_zeta


@dataclass(frozen=True)
class Task:
    """
    What all crystals share.

    Attributes:
        structure: The structure.
        potentials: Its potential by wavelength [Å].
        observations, measured: Of all crystals, in the same order.
        choice: From the indices of the data to those of the structure.
        d_min: Resolution limit [Å].
        search: How thicknesses are looked for.
        selection: Beams that take part.
        nproc: Threads; all cores where it is None.
    """

    structure: xray.structure
    potentials: Mapping[float, CrystalPotential]
    observations: Observations
    measured: Observations
    choice: Reindexing
    d_min: float
    search: ThicknessSearch
    selection: BeamSelection
    nproc: int | None


@dataclass(frozen=True)
class PreparedCrystal:
    """
    One crystal before it is simulated.

    Attributes:
        number: Of the experiment.
        scan: In the indices of the structure.
        crossings: Likewise.
        potential: At its wavelength.
        kinematic: Shape (p,), |F|² [Å²].
        lorentz: Shape (rows,), the factor that the intensities lack.
    """

    number: int
    scan: RotationScan
    crossings: EwaldCrossings
    potential: CrystalPotential
    kinematic: np.ndarray
    lorentz: np.ndarray


def prepare(
    task: Task,
    number: int,
    experiment: Experiment,
    table: flex.reflection_table,
    scan: RotationScan,
) -> PreparedCrystal:
    """
    Find what passed the Ewald sphere, in the indices of the structure.

    Args:
        task: What all crystals share.
        number: Of the experiment.
        experiment, table: The crystal and its rows.
        scan: From `measured_scan`.
    """
    crossings = find_crossings(experiment, table, scan, task.d_min)
    hkl, exists = whole_indices(crossings.miller_index, task.choice)
    crossings = replace(crossings, miller_index=hkl).select(exists)
    F = structure_factors(task.structure, crossings.miller_index)
    return PreparedCrystal(
        number=number,
        scan=laid_on(scan, task.choice),
        crossings=crossings,
        potential=task.potentials[experiment.beam.get_wavelength()],
        kinematic=np.abs(F) ** 2,
        lorentz=_missing_lorentz(task, number, len(table)),
    )


def simulate(
    task: Task, prepared: PreparedCrystal, grid: np.ndarray, inverted: bool = False
) -> ThicknessCurves:
    """
    Simulate a crystal for all thicknesses of a grid.

    Args:
        task: What all crystals share.
        prepared: The crystal.
        grid: [Å], increasing.
        inverted: Take the structure's mirror image.
    """
    potential = prepared.potential
    if inverted:
        potential = replace(potential, table=np.conj(potential.table))
    return thickness_curves(
        potential, prepared.scan, prepared.crossings, grid, task.selection, task.nproc
    )


def comparable(
    task: Task, prepared: PreparedCrystal, curves: ThicknessCurves
) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the observations of a crystal that can be compared with its simulation.

    They are simulated, not next to the rotation axis, and listed once: virtual frames
    list one measurement several times.

    Returns:
        Numbers of the observations, and the crossing of each, both of shape (n,).
    """
    measured, observations = task.measured, task.observations
    own = np.flatnonzero(measured.crystal == prepared.number)
    of_own = prepared.crossings.of_row[observations.row[own]]
    d_star = np.sqrt(measured.d_star_sq[measured.unique[own]])
    keep = (of_own >= 0) & (measured.rate[own] >= MIN_RATE * d_star)
    keep[keep] &= curves.met[of_own[keep]]
    own, of_own = own[keep], of_own[keep]
    columns = (of_own, observations.intensity[own], observations.variance[own])
    _, first = np.unique(np.column_stack(columns), axis=0, return_index=True)
    first = np.sort(first)
    return own[first], of_own[first]


def _missing_lorentz(task: Task, number: int, n_rows: int) -> np.ndarray:
    """What was multiplied into each row's intensity; 1 for rows that do not count."""
    factor = np.ones(n_rows)
    if task.measured.lorentz_applied_here:
        own = task.measured.crystal == number
        factor[task.observations.row[own]] = lorentz_factor(task.measured.rate)[own]
    return factor
