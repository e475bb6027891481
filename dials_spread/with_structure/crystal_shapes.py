"""
How thick each crystal is, from some of its observations.

As thickness.fit, with intensities from local_simulation. Amplitudes are those of the
structure: with amplitudes found from the same observations every crystal would seem thin,
since these agree with them best when nothing is scattered twice.

Functions:
    fit_shapes: of all crystals
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dials_spread import stages
from dials_spread.rfactor import amplitudes
from dials_spread.stages import stage
from dials_spread.thickness.curves import Shape
from dials_spread.thickness.fit import FEWEST, ShapeFit, candidate_shapes, fit_shape
from dials_spread.thickness.search import LAWS, NEAR_THE_END, ThicknessSearch
from dials_spread.with_structure.crossing_table import CrossingTable
from dials_spread.with_structure.data_potential import DataPotential
from dials_spread.with_structure.local_simulation import (
    LocalCrystal,
    LocalSettings,
    simulate_curves,
)

logger = logging.getLogger("dials.spread.crystal_shapes")

MOST = 300
"""Observations of a crystal that its thickness is fitted to."""

FEWER_PLATES = 3
"""One of so many plates is tried: there are many angles, and the fit takes its time."""

STEP = 20.0
"""Of thicknesses [Å]."""

SEARCH = ThicknessSearch()

NEARLY = 0.95
"""A path from this part of the greatest thickness is at the end of the range; thicknesses that
are tried differ by 4 %."""


@dataclass(frozen=True)
class CrystalShape:
    """
    One crystal.

    Attributes:
        shape: How thick it is.
        su: Standard uncertainty of the thickness [Å]; nan where it was not fitted.
        n: Observations that it rests on.
        r1: Of these, at the best shape; nan likewise.
        r1_kinematic: With single scattering.
        at_end: "lower" or "upper" where the thickness is at that end of the range in which it
            was looked for; empty where it is within.
    """

    shape: Shape
    su: float
    n: int
    r1: float
    r1_kinematic: float
    at_end: str = ""

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        angle = self.shape.slab_angle
        return {
            "thickness": self.shape.thickness,
            "thickness_su": self.su,
            "law": self.shape.law,
            "within": self.shape.within,
            "slab_angle": None if angle is None else float(np.degrees(angle)),
            "observations": self.n,
            "r1": self.r1,
            "r1_kinematic": self.r1_kinematic,
            "at_end_of_range": self.at_end or None,
        }


@stage("Thickness")
def fit_shapes(
    crystals: Sequence[LocalCrystal],
    table: CrossingTable,
    potential: DataPotential,
    settings: LocalSettings,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> list[CrystalShape]:
    """
    Fit the thickness of each crystal.

    Args:
        crystals: Their crossings.
        table: What was measured.
        potential: Of the structure.
        settings: Of the simulation.
        rng: Chooses observations, halves and bootstrap samples.
        nproc: Threads; all cores by default.

    Returns:
        One for each crystal. Those with too few observations get the median thickness
        of the others.

    Raises:
        ValueError: No crystal has enough observations.
    """
    found = [
        _fit(c, crystal, table, potential, settings, rng, nproc)
        for c, crystal in enumerate(stages.counted(crystals, len(crystals)))
    ]
    known = [f.shape.thickness for f in found if f is not None]
    if not known:
        raise ValueError(
            f"No crystal has the {FEWEST} observations that fitting a thickness takes, so "
            "that nothing can be said of multiple scattering in it."
        )
    usual = Shape(float(np.median(known)))
    for c, one in enumerate(found):
        if one is None:
            logger.warning(
                "Crystal %d has too few observations to fit a thickness: it gets %.0f Å, "
                "the median of the others.",
                c,
                usual.thickness,
            )
    none = CrystalShape(usual, np.nan, 0, np.nan, np.nan)
    return [none if one is None else one for one in found]


def _fit(
    c: int,
    crystal: LocalCrystal,
    table: CrossingTable,
    potential: DataPotential,
    settings: LocalSettings,
    rng: np.random.Generator,
    nproc: int | None,
) -> CrystalShape | None:
    """Fit one crystal; None where it has too few observations."""
    own = np.flatnonzero(table.crystal == c)
    if len(own) > MOST:
        own = np.sort(rng.choice(own, MOST, replace=False))
    if len(own) < FEWEST:
        return None
    for grid in SEARCH.grids():
        longest = float(grid[-1])
        curves = simulate_curves(
            crystal, potential, table.crossing[own], longest, STEP, settings, nproc
        )
        met = np.flatnonzero(curves.met)
        if len(met) < FEWEST:
            return None
        fit = _best(curves, met, table, own[met], potential, crystal, rng)
        path = fit.shape.path(curves.phi[met]) * (1 + fit.shape.within)
        if float(np.nanmax(path)) < NEAR_THE_END * longest:
            break
    found = CrystalShape(fit.shape, fit.su, fit.n, fit.r1, fit.r1_kinematic)
    return replace(found, at_end=_at_end(fit.shape, float(np.nanmax(path))))


def _at_end(shape: Shape, longest: float) -> str:
    """Name the end of the range of thicknesses at which a shape is."""
    if longest > NEARLY * SEARCH.most:
        return "upper"
    return "lower" if NEARLY * shape.thickness < SEARCH.least else ""


def _best(curves, met, table, own, potential, crystal, rng) -> ShapeFit:
    """Find the shape that agrees best with some observations."""
    hkl = crystal.miller_index[table.crossing[own]]
    U = np.abs(potential.table[tuple((hkl + potential.arrays[2]).T)])
    return fit_shape(
        curves,
        met,
        amplitudes(table.intensity[own]),
        U * np.sqrt(potential.F_squared),
        table.unique[own],
        _shapes(curves.grid, crystal.scan.limits),
        rng,
    )


def _shapes(grid: np.ndarray, limits: tuple[float, float]) -> list[Shape]:
    """Give the shapes that are tried."""
    shapes = candidate_shapes(grid, limits, LAWS)
    return [s for i, s in enumerate(shapes) if s.law != "slab" or i % FEWER_PLATES == 0]
