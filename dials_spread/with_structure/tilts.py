"""
Small errors of orientation along a rotation, from intensities.

What is excited at the same time as a reflection depends on the orientation to a few hundredths
of a degree, and spots tell it to a tenth or so. Of the three angles by which an orientation can
be off, one turns about the rotation axis, which only shifts the moment of each crossing, and
one about the beam, which changes no excitation error. The third tilts the beam towards the
rotation axis: it is fitted, as it changes along the rotation, to single observations, with
|F| of the structure (as thicknesses are, see crystal_shapes). Refinements against dynamical
intensities fit orientations of each frame likewise (Palatinus, Petricek & Correa (2015), Acta
Cryst. A71, 235).

It is used where observations that took no part in it are predicted better.

Classes:
    Tilts: of all crystals

Functions:
    fit_tilts: from a problem
    apply_tilts: orientations with them
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dials_spread import stages
from dials_spread.rfactor import amplitudes
from dials_spread.stages import stage
from dials_spread.with_structure.cross_validation import FOLDS, z_over_reflections
from dials_spread.with_structure.local_simulation import tilted
from dials_spread.with_structure.problem import StructureProblem

GRID = np.radians(np.linspace(-0.3, 0.3, 5))
"""Tilts that are simulated [rad]; between them residuals are interpolated."""

BEAMS = 16
"""That take part, at most: in half the time tilts correlate by .97 with those of 32 beams, and
predict held-out observations, and intensities of a published refinement, as well."""

NODE, REACH = np.radians(5.0), np.radians(3.0)
"""Tilts are given every so often along the rotation, from observations at a Gaussian
distance of REACH [rad]."""

USUAL = np.radians(0.1)
"""Standard deviation of tilts, before observations are looked at [rad]."""

SHARED = 0.5
"""Observations count by so much: their errors are not independent."""

SIGNIFICANT = 2.0
"""Standard deviations by which observations must be predicted better."""


@dataclass(frozen=True)
class Tilts:
    """
    Of all crystals.

    Attributes:
        tilt: Shape (n,), at each crossing of the table [rad].
        part: Shape (n,), number of the part of the observations that each belongs to.
        apart: Shape (n,), the tilt at each from all other parts: it had no say in it [rad].
        z: By how many standard deviations held-out observations are predicted better.
        used: Whether that is enough.
    """

    tilt: np.ndarray
    part: np.ndarray
    apart: np.ndarray
    z: float
    used: bool

    @property
    def rms(self) -> float:
        """Root mean square over crossings [degrees]; 0 where they are not used."""
        return float(np.degrees(np.sqrt(np.mean(self.tilt**2)))) if self.used else 0.0

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        rms = self.rms if self.used else None
        return {"rms_degrees": rms, "z": self.z, "used": self.used}


@stage("Tilts")
def fit_tilts(
    problem: StructureProblem, rng: np.random.Generator
) -> tuple[StructureProblem, Tilts]:
    """
    Find tilts, and tilt the crystals where that predicts observations better.

    Args:
        problem: Structure and data, with thicknesses.
        rng: Deals observations into parts.
    """
    table = problem.table
    off = _residuals(problem)
    known = np.isfinite(off).all(axis=0)
    fold, unique = rng.integers(0, FOLDS, len(table)), np.array(table.unique)
    apart = np.zeros(len(table))
    for part in range(FOLDS):
        own = fold == part
        apart[own] = _along(problem, off, known & ~own)[own]
    gain = off[len(GRID) // 2] - _interpolated(off, apart)
    z = z_over_reflections(gain[known], unique[known])
    used = z > SIGNIFICANT
    upright = np.zeros(len(table))
    tilt = _along(problem, off, known) if used else upright
    found = Tilts(tilt, fold, apart if used else upright, z, used)
    return (apply_tilts(problem, tilt) if used else problem), found


def apply_tilts(problem: StructureProblem, tilt: np.ndarray) -> StructureProblem:
    """
    Tilt crystals by what is known at the crossings that were measured.

    Args:
        problem: With the orientations of the data.
        tilt: Shape (n,), at each crossing of the table [rad].
    """
    table, crystals = problem.table, []
    for c, crystal in enumerate(problem.crystals):
        every = np.zeros(len(crystal))
        own = table.crystal == c
        every[table.crossing[own]] = tilt[own]
        crystals.append(tilted(crystal, every))
    return replace(problem, crystals=crystals)


def _residuals(problem: StructureProblem) -> np.ndarray:
    """Normalised residuals of amplitudes at each tilt of the grid; nan where unknown."""
    table, found = problem.table, []
    settings = replace(problem.settings, n_beams=BEAMS)
    every, expected = np.ones(len(table), bool), problem.prior.expected[table.unique]
    for tilt in stages.counted(GRID, len(GRID)):
        own = [tilted(one, np.full(len(one), tilt)) for one in problem.crystals]
        there = replace(problem, crystals=own, settings=settings)
        I, _ = there.simulated(problem.potential.calculated, gradient=False)
        f_o = amplitudes(table.intensity * problem.scales(I, every))
        found.append(np.abs(f_o - np.sqrt(np.maximum(I, 0))) / expected)
    return np.array(found)


def _along(problem: StructureProblem, off: np.ndarray, use: np.ndarray) -> np.ndarray:
    """Give the tilt at every crossing, from some of them."""
    table, found = problem.table, np.zeros(len(problem.table))
    for c, crystal in enumerate(problem.crystals):
        own = np.flatnonzero(table.crystal == c)
        phi, rows = crystal.phi[table.crossing[own]], own[use[own]]
        if not len(rows):
            continue
        at = crystal.phi[table.crossing[rows]]
        width = np.sqrt(2) * np.mean(off[len(GRID) // 2, rows])
        nodes = np.arange(phi.min(), phi.max() + NODE, NODE)
        near = np.exp(-0.5 * ((at - nodes[:, None]) / REACH) ** 2)
        # Laplace's distribution: residuals have heavy tails.
        cost = SHARED * np.sqrt(2) / max(width, 1e-9) * near @ off[:, rows].T
        cost += GRID**2 / (2 * USUAL**2)
        found[own] = np.interp(phi, nodes, _lowest(cost))
    return found


def _lowest(cost: np.ndarray) -> np.ndarray:
    """Give the tilt of least cost, shape (nodes, tilts), by a parabola through three."""
    j = np.clip(np.argmin(cost, axis=1), 1, len(GRID) - 2)
    low, mid, high = (cost[np.arange(len(j)), j + k] for k in (-1, 0, 1))
    bent = low - 2 * mid + high
    step = np.where(bent > 0, (low - high) / (2 * np.where(bent > 0, bent, 1)), 0.0)
    return GRID[j] + np.clip(step, -1, 1) * (GRID[1] - GRID[0])


def _interpolated(off: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Residuals at the tilt of each observation, shape (n,)."""
    place = np.clip((tilt - GRID[0]) / (GRID[1] - GRID[0]), 0, len(GRID) - 1)
    low = np.minimum(place.astype(int), len(GRID) - 2)
    part, every = place - low, np.arange(off.shape[1])
    return (1 - part) * off[low, every] + part * off[low + 1, every]
