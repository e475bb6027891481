"""
Where the beam ran in the crystal when a reflection was excited, how fast the reflection
crossed the Ewald sphere, and the Lorentz factor that follows from it.

A table says at which moment of the scan a reflection was recorded. Virtual frames, which
PETS2 and Jana make of many narrow ones, say it only to the width of the frame, up to
some degrees; what else was excited depends on tenths. The moment is therefore refined:
the crystal is turned about the axis until the reflection is on the Ewald sphere. For
the centroids that DIALS predicts the turn is zero.

All vectors v of the laboratory are taken to ``(Aᵀ v)``, which gives their product with
any reciprocal vector A h as a product with the index; no orientation is ever needed.

The Lorentz factor is applied once and only once. A reflection whose excitation error
changes slowly with the rotation stays excited for longer. Tables of DIALS carry the
factor that takes this out as `lp`, and Observations apply it. Converted tables of
virtual frames lack it, or carry ones: there intensities and σ are multiplied by the
rate |(axis × r) · k̂|, to which `lp` is proportional. Frames of precession have another
one (see measurement).

Functions:
    add_geometry: columns of observations, with the Lorentz factor applied
    observation_geometry: the columns alone
    lorentz_missing: by provenance, or as the user says
    factor_from_zeta: the Lorentz factor of rows that are no observation
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations import Geometry, Observations
from dials_spread.observations.intensities import centroid_array_index, lacks_lp
from dials_spread.orientation import (
    at_points,
    on_indices,
    reciprocal_basis,
    rotated,
    scan_points,
)
from dials_spread.prepare.measurement import Measurement, precession_rate
from dials_spread.stages import stage
from dials_spread.versions import is_still

LARGEST_TURN = np.deg2rad(2.5)
"""A refined moment lies no further from the recorded one [rad]."""

ROUNDS = 3
"""Newton steps to the Ewald sphere; the third changes nothing visible."""

SMALLEST_TURN = 1e-5
"""A turn that changes nothing [rad]: centroids that DIALS predicted need no other."""

SAME_WAVELENGTH = 0.01
"""Wavelengths of crystals may differ by this part of their mean."""

LORENTZ = ("auto", "applied", "missing")

SLOWEST = 1e-3
"""Least rate that counts, over the median: slower ones would make a measurement exact."""


@stage("Geometry")
def add_geometry(
    observations: Observations,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    lorentz: str = "auto",
    measurement: Measurement | None = None,
) -> Observations:
    """
    Add columns of how each observation was excited, and the Lorentz factor if missing.

    Args:
        observations: Made of these experiments and tables, of electrons.
        experiments: One a crystal.
        tables: The reflections of each, in the same order.
        lorentz: Whether the factor is in the intensities: "auto", "applied" or
            "missing".
        measurement: How these were measured; a rotation by default.

    Returns:
        The observations, in their order.

    Raises:
        ValueError: The Lorentz factor is missing and cannot be computed, since a
            crystal did not rotate; or crystals were measured with different
            wavelengths.
    """
    geometry = observation_geometry(observations, experiments, tables)
    found = observations.with_geometry(geometry)
    if not lorentz_missing(tables, lorentz):
        return found
    precession = measurement is not None and measurement.kind == "precession"
    rate = geometry.rate
    if measurement is not None and precession:
        rate = _precession_rate(found, geometry, measurement)
    return replace(
        found.multiplied(lorentz_factor(rate)),
        lorentz_applied_here=True,
        of_precession=precession,
    )


def _precession_rate(
    observations: Observations, geometry: Geometry, measurement: Measurement
) -> np.ndarray:
    """Give the rate of precession_rate for each observation, shape (n,)."""
    angle = np.empty(len(observations))
    rows = observations.by_crystal(len(measurement.angles))
    for own, angles in zip(rows, measurement.angles):
        one = np.ndim(angles) == 0
        angle[own] = angles if one else np.asarray(angles)[observations.row[own]]
    d_star = np.sqrt(observations.d_star_sq)[observations.unique]
    return precession_rate(d_star, geometry.excitation, angle, geometry.wavelength)


def lorentz_factor(rate: np.ndarray) -> np.ndarray:
    """
    Give what intensities are multiplied by, which is proportional to `lp`.

    Args:
        rate: Shape (n,) [Å⁻¹/rad], of the geometry.

    Returns:
        The rate; where it all but vanishes, a thousandth of its median.

    Raises:
        ValueError: It is not known, on stills.
    """
    if not np.all(np.isfinite(rate)):
        raise ValueError(
            f"{int(np.isnan(rate).sum())} of {len(rate)} "
            "observations are on stills, for which no Lorentz factor can be computed"
        )
    return np.maximum(rate, SLOWEST * np.median(rate))


def observation_geometry(
    observations: Observations,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    one_wavelength: bool = True,
) -> Geometry:
    """
    Give the geometry of every observation.

    Args:
        observations: Made of these experiments and tables.
        experiments: One a crystal.
        tables: The reflections of each, in the same order.
        one_wavelength: Whether crystals must have been measured with one wavelength.

    Returns:
        Geometry of shape (n,).

    Raises:
        ValueError: They must, and were measured with different ones.
    """
    n = len(observations)
    beam, rate, angle = np.zeros((n, 3)), np.zeros(n), np.zeros(n)
    excitation = np.zeros(n)
    inverse = np.linalg.inv(reciprocal_basis(observations.unit_cell))
    rows = observations.by_crystal(len(experiments))
    for own, experiment, table in zip(rows, experiments, tables):
        if not len(own):
            continue
        z = centroid_array_index(experiment, table)[observations.row[own]]
        hkl = observations.miller_index[own].astype(float)
        direction, rate[own], angle[own], excitation[own] = _one_crystal(
            experiment, z, hkl
        )
        direction = direction @ inverse
        beam[own] = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    wavelength = _mean_wavelength(experiments, one_wavelength)
    return Geometry(beam, rate, angle, excitation, wavelength)


def _mean_wavelength(experiments: Sequence[Experiment], only_one: bool) -> float:
    wavelengths = np.array([e.beam.get_wavelength() for e in experiments])
    mean = wavelengths.mean()
    if only_one and np.abs(wavelengths - mean).max() > SAME_WAVELENGTH * mean:
        raise ValueError(
            f"Wavelengths from {wavelengths.min():.5f} to {wavelengths.max():.5f} Å: "
            "multiple scattering depends on the voltage. Correct them apart"
        )
    return float(mean)


def _one_crystal(
    experiment: Experiment, z: np.ndarray, hkl: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """
    Give beam (in indices, shape (n, 3)), rate, angle [°] and excitation error.
    """
    s0 = np.array(experiment.beam.get_s0())
    s0 = np.broadcast_to(s0, (len(z), 3))
    if is_still(experiment):
        beam = on_indices(experiment, z, s0)
        none = np.full(len(z), np.nan)
        return beam, none, np.zeros(len(z)), _excitation(experiment, hkl, beam, s0)
    if experiment.beam.num_scan_points > 0:
        points = scan_points(experiment, z, experiment.beam.num_scan_points)
        s0 = at_points(experiment.beam.get_s0_at_scan_point, points)
    axis = np.array(experiment.goniometer.get_rotation_axis())
    beam, rate = _beam_and_rate(experiment, z, hkl, s0, axis)
    recorded = excitation = _excitation(experiment, hkl, beam, s0)
    turn = np.zeros(len(z))
    for _ in range(ROUNDS):
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = turn + np.nan_to_num(excitation / rate)
        wanted = np.clip(wanted, -LARGEST_TURN, LARGEST_TURN)
        if np.abs(wanted - turn).max() < SMALLEST_TURN:
            break
        turn = wanted
        turned = rotated(s0, axis, -turn)
        beam, rate = _beam_and_rate(experiment, z, hkl, turned, axis)
        excitation = _excitation(experiment, hkl, beam, s0)
    start, width = experiment.scan.get_oscillation()
    angle = start + width * (z - experiment.scan.get_array_range()[0])
    return beam, np.abs(rate), angle + np.degrees(turn), recorded


def _beam_and_rate(
    experiment: Experiment, z: np.ndarray, hkl: np.ndarray, s0: np.ndarray, axis
) -> tuple[np.ndarray, np.ndarray]:
    """Give the beam in indices, shape (n, 3), and r · (k̂ × axis) = -ds/dφ."""
    across = on_indices(experiment, z, np.cross(s0, axis))
    rate = np.sum(hkl * across, axis=1) / np.linalg.norm(s0, axis=1)
    return on_indices(experiment, z, s0), rate


def _excitation(
    experiment: Experiment, hkl: np.ndarray, beam: np.ndarray, s0: np.ndarray
) -> np.ndarray:
    """Give s = (K² - |K + g|²) / 2K [Å⁻¹] from the beam in indices."""
    basis = reciprocal_basis(experiment.crystal.get_unit_cell())
    squared = np.sum((hkl @ basis.T) ** 2, axis=1)
    return -(np.sum(hkl * beam, axis=1) + squared / 2) / np.linalg.norm(s0, axis=1)


def lorentz_missing(
    tables: Sequence[flex.reflection_table], lorentz: str = "auto"
) -> bool:
    """
    Say whether intensities still need the Lorentz factor.

    Args:
        tables: The input tables; empty ones have no say.
        lorentz: "applied" and "missing" are taken at their word; "auto" goes by the
            column `lp`: missing where a table has none or it is 1 throughout.

    Returns:
        True where the factor is to be applied.

    Raises:
        ValueError: An unknown choice, or tables of both kinds.
    """
    if lorentz not in LORENTZ:
        raise ValueError(f"lorentz={lorentz} is none of {', '.join(LORENTZ)}")
    if lorentz != "auto":
        return lorentz == "missing"
    missing = [lacks_lp(table) for table in tables if len(table)]
    if any(missing) and not all(missing):
        raise ValueError(
            f"{sum(missing)} of {len(missing)} reflection tables lack the Lorentz "
            "factor (column lp). Correct them apart, or say lorentz=applied or missing"
        )
    return any(missing)


def factor_from_zeta(
    zeta: np.ndarray, d_star: np.ndarray, median_rate: float
) -> np.ndarray:
    """
    Give the Lorentz factor of rows that are no observation, over its median.

    Args:
        zeta: Shape (n,), column `zeta` of a table.
        d_star: Shape (n,), 1/d [Å⁻¹].
        median_rate: Of the observations [Å⁻¹/rad].

    Returns:
        Shape (n,); 1 where it is not known. The rate is |zeta|/d up to the cosine of the
        Bragg angle, which is 1 for electrons (Kabsch (2010), Acta Cryst. D66, 133).
    """
    factor = np.maximum(np.abs(zeta) * d_star / median_rate, 1e-3)
    known = np.isfinite(zeta) & (zeta != 0) & (d_star > 0)
    return np.where(known, factor, 1.0)
