"""
A structure laid on the data, with the thickness of each crystal: what all steps share.

Classes:
    StructureInput: data, first estimate and structure
    StructureProblem: measured and simulated intensities

Functions:
    scales_along: of amplitudes, along a rotation
    set_up: from data, first estimate and structure
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from cctbx import xray
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.correction.apply.estimates import CorrectedAmplitudes
from dials_spread.correction.apply.subject import Subject
from dials_spread.reindexing import Reindexing
from dials_spread.rfactor import amplitudes, r_factor
from dials_spread.rfactor.r1 import best_scales
from dials_spread.stages import stage
from dials_spread.statistics.groups import group_means
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure.believed_amplitudes import (
    BelievedAmplitudes,
    believed_amplitudes,
)
from dials_spread.with_structure.crossing_table import CrossingTable, crossing_table
from dials_spread.with_structure.crystal_shapes import CrystalShape, fit_shapes
from dials_spread.with_structure.data_potential import DataPotential, data_potential
from dials_spread.with_structure.inversion import (
    FirstEstimate,
    LinearisedObservations,
)
from dials_spread.with_structure.local_simulation import (
    LocalCrystal,
    LocalSettings,
    local_crystal,
    simulate,
)

BLOCK = 60
"""Observations to a scale: with amplitudes 15 % off it is good to 2 %."""


@dataclass(frozen=True)
class StructureInput:
    """
    What a second correction starts from.

    Attributes:
        subject: The data.
        first: Amplitudes without a structure, with their errors.
        structure: The structure.
        choice: From the indices of the data to those of the structure.
        experiments, tables: That the data were read from.
        settings: Of the simulation.
        seed: Of what is held out, and of the fit of thicknesses.
        nproc: Threads; all cores by default.
        shapes: Of the crystals, where they are known.
        solved: Whether the structure was solved from these data.
    """

    subject: Subject
    first: CorrectedAmplitudes
    structure: xray.structure
    choice: Reindexing
    experiments: Sequence[Experiment]
    tables: Sequence[flex.reflection_table]
    settings: LocalSettings = LocalSettings()  # noqa: RUF009, it is immutable
    seed: int = 0
    nproc: int | None = None
    shapes: Sequence[Shape] | None = None
    solved: bool = False


@dataclass(frozen=True)
class StructureProblem:
    """
    What all steps share.

    Attributes:
        crystals: Their crossings.
        shapes: How thick they are.
        table: What was measured.
        potential: Of the structure.
        prior: The first estimate.
        settings: Of the simulation.
        nproc: Threads; all cores by default.
        centrosymmetric: Whether the structure is its own mirror image.
        centric: Shape (u,), bool, whether symmetry leaves a phase two values.
    """

    crystals: Sequence[LocalCrystal]
    shapes: Sequence[Shape]
    table: CrossingTable
    potential: DataPotential
    prior: FirstEstimate
    settings: LocalSettings
    nproc: int | None
    centrosymmetric: bool
    centric: np.ndarray

    def believed(self, F: np.ndarray, sigma: np.ndarray) -> BelievedAmplitudes:
        """
        Combine amplitudes with those of the structure.

        Args:
            F, sigma: Shape (u,), amplitudes and their standard deviations [Å].
        """
        calculated, expected = self.potential.calculated, self.prior.expected
        return believed_amplitudes(F, sigma, calculated, expected, self.centric)

    @stage("Simulation")
    def simulated(
        self, F: np.ndarray, rows: np.ndarray | None = None, gradient: bool = True
    ) -> tuple[np.ndarray, scipy.sparse.csr_matrix | None]:
        """
        Simulate crossings with some amplitudes.

        Args:
            F: Shape (u,) [Å].
            rows: Shape (n,), bool, those wanted; intensities of the others are nan.
            gradient: Also give derivatives.
        """
        potential = self.potential.with_amplitudes(F)
        found, parts = np.full(len(self.table), np.nan), []
        for c, (crystal, shape) in enumerate(zip(self.crystals, self.shapes)):
            own = np.flatnonzero(
                (self.table.crystal == c) & (True if rows is None else rows)
            )
            found[own], J = simulate(
                crystal, potential, shape, self.table.crossing[own], self.settings,
                gradient, self.nproc,
            )  # fmt: skip
            parts.append(J)
        return found, scipy.sparse.vstack(parts).tocsr() if gradient else None

    @stage("Simulation")
    def linearised(
        self, F: np.ndarray, use: np.ndarray
    ) -> tuple[LinearisedObservations, np.ndarray]:
        """
        Simulate with some amplitudes, and bring what was measured onto it.

        Args:
            F: Shape (u,) [Å].
            use: Shape (n,), which observations have a say in scales.

        Returns:
            Observations, and the scale of each, shape (n,).
        """
        I, J = self.simulated(F)
        assert J is not None  # a gradient was asked for
        scale, table = self.scales(I, use), self.table
        observed = (table.intensity * scale, table.sigma * scale)
        return LinearisedObservations(*observed, I, J, table.unique, F), scale

    def scales(self, I: np.ndarray, use: np.ndarray) -> np.ndarray:
        """
        Give what brings measured intensities to calculated ones, along each rotation.

        Scaling without a structure takes multiple scattering for a scale: in simulated
        crystals scales of amplitudes were wrong by up to 10 %, slowly along the rotation.
        """
        f_o, f_c = amplitudes(self.table.intensity), np.sqrt(np.maximum(I, 0))
        known, found = np.isfinite(I) & use, np.ones(len(I))
        for c, crystal in enumerate(self.crystals):
            own = np.flatnonzero(self.table.crystal == c)
            phi = crystal.phi[self.table.crossing[own]]
            used = known[own]
            rows = own[used]
            found[own] = scales_along(phi[used], f_o[rows], f_c[rows], phi)
        return found**2

    def r1(self, I: np.ndarray, scale: np.ndarray, rows: np.ndarray) -> float:
        """Give Σ|√y - √I| / Σ√y of some observations, on given scales."""
        rows = rows & np.isfinite(I)
        f_c = np.sqrt(np.maximum(I[rows], 0))
        f_o = amplitudes(self.table.intensity[rows] * scale[rows])
        return float(np.abs(f_o - f_c).sum() / f_o.sum()) if f_o.sum() > 0 else np.nan


def scales_along(
    phi: np.ndarray, f_o: np.ndarray, f_c: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """
    Give scales of amplitudes along a rotation, from blocks of observations.

    Args:
        phi: Shape (n,), rotation of observations [rad].
        f_o, f_c: Shape (n,), their measured and calculated amplitudes.
        wanted: Shape (m,), rotations for which a scale is wanted [rad].

    Returns:
        Shape (m,): linear between the middles of blocks of BLOCK observations; 1 where
        there are none.
    """
    n_blocks = max(1, len(phi) // BLOCK)
    rank = np.argsort(np.argsort(phi, kind="stable"), kind="stable")
    block = rank * n_blocks // max(len(phi), 1)
    k = best_scales(f_o, f_c, block, n_blocks)
    middle = group_means(phi, block, n_blocks)
    known = np.isfinite(k) & (k > 0)
    if not known.any():
        return np.ones(len(wanted))
    return np.interp(wanted, middle[known], k[known])


def set_up(
    given: StructureInput,
) -> tuple[StructureProblem, list[CrystalShape], float]:
    """
    Lay the structure on the data and fit thicknesses.

    Args:
        given: Data, first estimate and structure.

    Returns:
        What steps share, the shapes, and the factor from amplitudes of the data to F [Å].

    Raises:
        ValueError: A crystal is a still, or no crystal has enough observations for a
            thickness.
    """
    prepared, first = given.subject.prepared, given.first
    measured = prepared.measured
    d_min = float(1 / np.sqrt(measured.d_star_sq.max()))
    crystals = [
        local_crystal(c, e, t, d_min)
        for c, (e, t) in enumerate(zip(given.experiments, given.tables))
    ]
    potential = data_potential(given.structure, measured, given.choice)
    to_F = r_factor(first.F, potential.calculated)[1]
    counted = given.subject.counted.sigma
    table = crossing_table(prepared.scaled, counted, crystals, to_F**2)
    prior = FirstEstimate(
        F=to_F * first.F,
        sigma=to_F * np.asarray(first.sigma_F),
        expected=to_F * np.sqrt(prepared.N),
    )
    if given.shapes is None:
        rng = np.random.default_rng(given.seed)
        told = fit_shapes(crystals, table, potential, given.settings, rng, given.nproc)
    else:
        told = [CrystalShape(s, np.nan, 0, np.nan, np.nan) for s in given.shapes]
    problem = StructureProblem(
        crystals, [t.shape for t in told], table, potential, prior, given.settings,
        given.nproc, given.structure.space_group().is_centric(), measured.centric,
    )  # fmt: skip
    return problem, told, to_F
