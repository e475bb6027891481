"""
Intensities of a crystal against its thickness, and the shapes that it can have.

The rocking integrals of every reflection are simulated once, on a grid of thicknesses.
All else follows from them: a wedge averages over thicknesses, and in a plate each
reflection has the path through it at the moment of its own crossing, which is short
against the rotation. So no shape needs a simulation of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dials_spread.scattering.beams import BeamSelection, rotation_step
from dials_spread.scattering.potential import CrystalPotential
from dials_spread.scattering.rocking import rocking_integrals
from dials_spread.scattering.scans import RotationScan
from dials_spread.thickness.crossings import EwaldCrossings

# A plate tilted further than this from the beam [rad] is no plate to the model.
MOST_TILT = np.deg2rad(75)


@dataclass(frozen=True)
class Shape:
    """
    How thick a crystal is along the beam.

    Attributes:
        thickness: Mean, of a plate along its normal [Å].
        within: Half range within the crystal over the mean, as in a wedge.
        slab_angle: Rotation at which the beam is normal to the plate [rad]; None for a
            crystal that is as thick from everywhere.
    """

    thickness: float
    within: float = 0.0
    slab_angle: float | None = None

    @property
    def law(self) -> str:
        """The name of the law: "uniform", "wedge" or "slab"."""
        if self.slab_angle is not None:
            return "slab"
        return "wedge" if self.within else "uniform"

    def path(self, phi: np.ndarray) -> np.ndarray:
        """
        The mean path through the crystal [Å].

        Args:
            phi: Rotation [rad], of shape (n,).

        Returns:
            Of shape (n,); nan where a plate would be seen almost edge on.
        """
        if self.slab_angle is None:
            return np.full(np.shape(phi), float(self.thickness))
        tilt = np.abs(phi - self.slab_angle)
        seen = tilt <= MOST_TILT
        return np.where(seen, self.thickness / np.cos(np.where(seen, tilt, 0)), np.nan)


@dataclass(frozen=True)
class ThicknessCurves:
    """
    Rocking integrals of one crystal on a grid of thicknesses.

    Attributes:
        grid: Shape (t,) [Å].
        phi: Shape (p,), rotation at the crossing of each reflection [rad].
        dynamical: Shape (p, t), integrals with multiple scattering.
        kinematic: Shape (p, t), of single scattering for |F|² = 1 Å².
    """

    grid: np.ndarray
    phi: np.ndarray
    dynamical: np.ndarray
    kinematic: np.ndarray

    @property
    def met(self) -> np.ndarray:
        """Shape (p,): whether the rocking curve was met during the scan."""
        return np.all(self.kinematic > 0, axis=1)

    def intensities(self, shape: Shape) -> np.ndarray:
        """
        The |F|² [Å²] that would give the integrated intensities kinematically.

        Args:
            shape: Of the crystal.

        Returns:
            Of shape (p,); nan where the curve was not met or the path is off the grid.
        """
        path = shape.path(self.phi)
        if shape.within:
            low, high = path * (1 - shape.within), path * (1 + shape.within)
            dynamical, kinematic = (
                self._integral(x, total, high) - self._integral(x, total, low)
                for x, total in zip((self.dynamical, self.kinematic), self._totals)
            )
        else:
            dynamical = self._at(self.dynamical, path)
            kinematic = self._at(self.kinematic, path)
        nothing = np.full(len(path), np.nan)
        return np.divide(dynamical, kinematic, out=nothing, where=kinematic > 0)

    def _cells(self, path: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Grid interval of each path, the place in it (0 to 1), and where it is off."""
        cell = np.clip(np.searchsorted(self.grid, path) - 1, 0, len(self.grid) - 2)
        place = (path - self.grid[cell]) / (self.grid[cell + 1] - self.grid[cell])
        off = ~((place >= -1e-9) & (place <= 1 + 1e-9))
        return cell, place, off

    def _at(self, values: np.ndarray, path: np.ndarray) -> np.ndarray:
        """Values at one path for each reflection, interpolated."""
        cell, place, off = self._cells(path)
        rows = np.arange(len(path))
        left, right = values[rows, cell], values[rows, cell + 1]
        return np.where(off, np.nan, left + place * (right - left))

    @cached_property
    def _totals(self) -> list[np.ndarray]:
        """Integrals over the thickness from the first of the grid to each."""
        steps, found = np.diff(self.grid), []
        for values in (self.dynamical, self.kinematic):
            areas = 0.5 * (values[:, 1:] + values[:, :-1]) * steps
            found.append(np.pad(np.cumsum(areas, 1), ((0, 0), (1, 0))))
        return found

    def _integral(
        self, values: np.ndarray, total: np.ndarray, path: np.ndarray
    ) -> np.ndarray:
        """Integral over the thickness from the first of the grid to one path each."""
        # Thinner than the grid there is next to no intensity.
        path = np.maximum(path, self.grid[0])
        cell, place, off = self._cells(path)
        rows = np.arange(len(path))
        left, right = values[rows, cell], values[rows, cell + 1]
        step = self.grid[cell + 1] - self.grid[cell]
        part = place * step * (left + 0.5 * place * (right - left))
        return np.where(off, np.nan, total[rows, cell] + part)


def thickness_curves(
    potential: CrystalPotential,
    scan: RotationScan,
    crossings: EwaldCrossings,
    grid: np.ndarray,
    selection: BeamSelection,
    nproc: int | None = None,
) -> ThicknessCurves:
    """
    Simulate one crystal for all thicknesses of a grid.

    Args:
        potential: From `simulation.dynamical.potential_for`.
        scan: From `measured_scan`.
        crossings: From `find_crossings`.
        grid: Thicknesses [Å], increasing.
        selection: Beams that take part.
        nproc: Threads; all cores by default.
    """
    dynamical, kinematic = rocking_integrals(
        potential.table,
        potential.beams,
        scan,
        crossings.miller_index,
        crossings.phi,
        grid,
        selection,
        rotation_step(potential.d_min, float(grid[-1]), selection.step_factor),
        nproc=nproc,
    )
    return ThicknessCurves(
        grid, crossings.phi, dynamical * potential.F_squared, kinematic
    )
