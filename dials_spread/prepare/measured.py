"""
What was measured of one compound, as arrays, with the Lorentz factor applied once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cctbx import sgtbx, uctbx
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations import Observations
from dials_spread.orientation import reciprocal_basis
from dials_spread.prepare.geometry import Geometry, observation_geometry
from dials_spread.prepare.lorentz import lorentz_missing

_OF_OBSERVATIONS = (
    "intensity",
    "sigma",
    "miller_index",
    "crystal",
    "beam",
    "rate",
    "angle",
)
_OF_REFLECTIONS = ("unique_index", "d_star_sq", "epsilon", "centric")


@dataclass(frozen=True)
class Measured:
    """
    The observations of one compound, all that features are made of.

    Attributes:
        intensity: Shape (n,), the Lorentz factor applied, each crystal on its scale.
        sigma: Shape (n,), positive.
        miller_index: Shape (n, 3).
        unique: Shape (n,), number of the unique reflection.
        crystal: Shape (n,), number of the crystal.
        beam: Shape (n, 3), unit vectors along the beam in the crystal frame.
        rate: Shape (n,) [Å⁻¹/rad], of the excitation error with the rotation.
        angle: Shape (n,) [°], of the rotation.
        unique_index: Shape (u, 3).
        d_star_sq: Shape (u,) [Å⁻²].
        epsilon: Shape (u,), factor of the mean intensity from symmetry.
        centric: Shape (u,), bool.
        n_crystals: Number of crystals, those without observations included.
        unit_cell: The reference cell.
        space_group: Of the crystals.
        friedel: Whether Friedel mates count as one unique reflection.
        wavelength: [Å].
        lorentz_applied_here: Whether the rate was multiplied in here.
    """

    intensity: np.ndarray
    sigma: np.ndarray
    miller_index: np.ndarray
    unique: np.ndarray
    crystal: np.ndarray
    beam: np.ndarray
    rate: np.ndarray
    angle: np.ndarray
    unique_index: np.ndarray
    d_star_sq: np.ndarray
    epsilon: np.ndarray
    centric: np.ndarray
    n_crystals: int
    unit_cell: uctbx.unit_cell
    space_group: sgtbx.space_group
    friedel: bool
    wavelength: float
    lorentz_applied_here: bool

    def __len__(self) -> int:
        return len(self.intensity)

    @property
    def n_unique(self) -> int:
        """Number of unique reflections."""
        return len(self.unique_index)

    def select(self, kept: np.ndarray) -> Measured:
        """
        Give some of the observations, and the unique reflections that they are of.

        Args:
            kept: Shape (n,), bool, or numbers of observations in any order.
        """
        reflections, unique = np.unique(self.unique[kept], return_inverse=True)
        chosen = {name: getattr(self, name)[kept] for name in _OF_OBSERVATIONS}
        chosen |= {name: getattr(self, name)[reflections] for name in _OF_REFLECTIONS}
        chosen["unique"] = np.ravel(unique).astype(np.int32)
        return replace(self, **chosen)

    def within(self, d_min: float) -> np.ndarray:
        """Say which observations are of reflections with d ≥ d_min [Å], shape (n,)."""
        return (self.d_star_sq <= (1 + 1e-9) / d_min**2)[self.unique]

    def with_beam(self, beam: np.ndarray) -> Measured:
        """Give the same with other beam directions, for a control."""
        return replace(self, beam=beam)


def measure(
    observations: Observations,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    lorentz: str = "auto",
) -> Measured:
    """
    Collect what features are made of.

    Args:
        observations: Made of these experiments and tables, of electrons.
        experiments: One a crystal.
        tables: The reflections of each, in the same order.
        lorentz: "auto", "applied" or "missing".

    Returns:
        The observations, in their order.

    Raises:
        ValueError: The Lorentz factor is missing and cannot be computed, since a
            crystal did not rotate.
    """
    geometry = observation_geometry(observations, experiments, tables)
    missing = lorentz_missing(tables, lorentz)
    factor = _lorentz_factor(geometry) if missing else np.ones(len(observations))
    indices = [tuple(int(x) for x in hkl) for hkl in observations.unique_index]
    group = observations.space_group
    return Measured(
        intensity=observations.intensity * factor,
        sigma=observations.sigma * factor,
        miller_index=observations.miller_index,
        unique=observations.unique,
        crystal=observations.crystal,
        beam=geometry.beam,
        rate=geometry.rate,
        angle=geometry.angle,
        unique_index=observations.unique_index,
        d_star_sq=_d_star_sq(observations.unit_cell, observations.unique_index),
        epsilon=np.array([group.epsilon(hkl) for hkl in indices], dtype=float),
        centric=np.array([group.is_centric(hkl) for hkl in indices], dtype=bool),
        n_crystals=len(experiments),
        unit_cell=observations.unit_cell,
        space_group=group,
        friedel=observations.friedel,
        wavelength=geometry.wavelength,
        lorentz_applied_here=missing,
    )


def _d_star_sq(unit_cell: uctbx.unit_cell, hkl: np.ndarray) -> np.ndarray:
    return np.sum((hkl @ reciprocal_basis(unit_cell).T) ** 2, axis=1)


def _lorentz_factor(geometry: Geometry) -> np.ndarray:
    """
    Give the rate; where it all but vanishes the factor would make a measurement exact.
    """
    if not np.all(np.isfinite(geometry.rate)):
        raise ValueError(
            f"{int(np.isnan(geometry.rate).sum())} of {len(geometry.rate)} "
            "observations are on stills, for which no Lorentz factor can be computed"
        )
    return np.maximum(geometry.rate, 1e-3 * np.median(geometry.rate))
