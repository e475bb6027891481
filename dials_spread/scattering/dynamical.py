"""Dynamical intensities of the reflections of virtual experiments."""

from __future__ import annotations

import logging

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model.experiment_list import Experiment, ExperimentList

from dials_spread.scattering.beams import BeamSelection, rotation_step
from dials_spread.scattering.mosaic import mosaic_scans
from dials_spread.scattering.potential import CrystalPotential, crystal_potential
from dials_spread.scattering.rocking import rocking_integrals
from dials_spread.scattering.scans import MARGIN, RotationScan
from dials_spread.scattering.thickness_model import ThicknessModel

__all__ = [
    "ThicknessModel",
    "add_dynamical_intensities",
    "crystal_intensities",
    "image_excitation_errors",
    "potential_for",
    "rotation_scan_of",
]

# Beams beyond the data that matter to them (docs/studies/simulation_convergence.rst).
DEFAULT_G_FACTOR = 1.2

logger = logging.getLogger("dials.spread.dynamical")


def add_dynamical_intensities(
    structure: xray.structure,
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    mean_thicknesses: np.ndarray,
    thickness: ThicknessModel,
    selection: BeamSelection,
) -> np.ndarray:
    """
    Simulate multiple scattering in every crystal.

    Adds `intensity.dynamical.value`, the |F|² [Å²] that would give the integrated
    intensity kinematically, and `truth.thickness`, the mean path through the crystal at
    the centroid [Å].

    Args:
        structure: The crystal structure.
        experiments: One for each crystal, scan-static, of one wavelength.
        reflections: Predicted reflections.
        mean_thicknesses: Of each crystal [Å], of shape (number of experiments,).
        thickness: How thickness varies within a crystal and along the scan.
        selection: Beams, window and method.

    Returns:
        `intensity.dynamical.value`, of shape (n,).
    """
    d_min = min(reflections["d"])
    potential = potential_for(
        structure, experiments[0].beam.get_wavelength(), d_min, selection
    )
    F_squared = np.full(len(reflections), np.nan)
    path = np.empty(len(reflections))
    hkl = reflections["miller_index"].as_vec3_double().as_numpy_array().astype(int)
    phi = reflections["xyzcal.mm"].parts()[2].as_numpy_array()
    crystals = reflections["id"].as_numpy_array()
    for index, experiment in enumerate(experiments):
        own = crystals == index
        mean = float(mean_thicknesses[index])
        F_squared[own] = crystal_intensities(
            potential,
            rotation_scan_of(experiment),
            hkl[own],
            phi[own],
            thickness.distribution(mean)[None],
            selection,
            thickness.slab,
            nproc=None,
        )[:, 0]
        path[own] = mean / np.cos(phi[own]) if thickness.slab else mean
        logger.info("Crystal %d: %.0f Å thick.", index + 1, mean)
    reflections["intensity.dynamical.value"] = flex.double(F_squared)
    reflections["truth.thickness"] = flex.double(path)
    return F_squared


def potential_for(
    structure: xray.structure,
    wavelength: float,
    d_min: float,
    selection: BeamSelection = BeamSelection(),  # noqa: B008, it is immutable
) -> CrystalPotential:
    """
    Compute once, for all crystals of a compound, what `crystal_intensities` needs.

    Args:
        structure: The crystal structure.
        wavelength: [Å].
        d_min: Resolution limit of the reflections [Å].
        selection: Its g_max is used.
    """
    g_max = selection.g_max or DEFAULT_G_FACTOR / d_min
    return crystal_potential(structure, wavelength, d_min, g_max)


def crystal_intensities(
    potential: CrystalPotential,
    scan: RotationScan,
    hkl: np.ndarray,
    phi: np.ndarray,
    thicknesses: np.ndarray,
    selection: BeamSelection = BeamSelection(),  # noqa: B008, it is immutable
    slab: bool = False,
    slab_angle: float = 0.0,
    nproc: int | None = 1,
) -> np.ndarray:
    """
    Dynamical intensities of one crystal, for one thickness of it or many in one run.

    Everything passed in and out is arrays and numbers, so that a crystal can be a task
    of another process. The result depends on neither nproc nor the other thicknesses,
    but for the angular step, which the greatest of them decides.

    Args:
        potential: From `potential_for`.
        scan: From `rotation_scan_of`.
        hkl: Miller indices, of shape (n, 3).
        phi: Angles at which they pass the Ewald sphere, `xyzcal.mm` [rad], of shape
            (n,).
        thicknesses: [Å], of shape (p,); or of shape (p, q), where each of p crystals
            has equal areas of q thicknesses (`ThicknessModel.distribution`).
        selection: Beams, window, absorption, mosaicity and method.
        slab: The crystal is a plate; thicknesses are those along its normal, and the
            path is longer by 1 / cos(φ - slab_angle).
        slab_angle: Rotation at which the beam is normal to the plate [rad].
        nproc: Threads; all cores where it is None.

    Returns:
        The |F|² [Å²] that would give the integrated intensity kinematically, of shape
        (n, p); NaN where a reflection's rocking curve was never met.

    Raises:
        ValueError: A reflection lies beyond the beams, or a plate is seen edge on.
    """
    layers = np.atleast_2d(np.asarray(thicknesses, dtype=float).T).T
    if not np.all(layers > 0):
        raise ValueError(f"Thicknesses must be positive, not {layers.min()} Å.")
    longest = float(layers.max()) * (_steepest(scan, slab_angle) if slab else 1.0)
    totals = _mosaic_integrals(
        potential, scan, hkl, phi, layers.ravel(), selection, longest,
        slab, slab_angle, nproc,
    )  # fmt: skip
    shape = (2, len(hkl), *layers.shape)
    dynamical, kinematic = totals.reshape(shape).mean(axis=3)
    nothing = np.full(dynamical.shape, np.nan)
    U_squared = np.divide(dynamical, kinematic, out=nothing, where=kinematic > 0)
    return U_squared * potential.F_squared


def _mosaic_integrals(
    potential: CrystalPotential,
    scan: RotationScan,
    hkl: np.ndarray,
    phi: np.ndarray,
    thicknesses: np.ndarray,
    selection: BeamSelection,
    longest: float,
    slab: bool,
    slab_angle: float,
    nproc: int | None,
) -> np.ndarray:
    """
    The integrals of `rocking_integrals`, averaged over the blocks of a crystal.

    Args:
        longest: Path through the crystal [Å], which decides the angular steps.
        slab: As for `rocking_integrals`, like the next two.

    Returns:
        Of shape (2, n, p).
    """
    step = rotation_step(potential.d_min, longest, selection.step_factor)
    mosaicity = np.deg2rad(selection.mosaicity)
    total = np.zeros((2, len(hkl), len(thicknesses)))
    for weight, block in mosaic_scans(scan, mosaicity, potential.d_min / longest):
        total += weight * np.array(
            rocking_integrals(
                potential.table, potential.beams, block, hkl, phi, thicknesses,
                selection, step, slab, slab_angle, nproc,
            )
        )  # fmt: skip
    return total


def rotation_scan_of(experiment: Experiment) -> RotationScan:
    """
    The geometry of a scan-static experiment with one rotation axis.

    Args:
        experiment: With crystal, goniometer and scan.
    """
    goniometer = experiment.goniometer
    setting = np.array(goniometer.get_setting_rotation()).reshape(3, 3)
    fixed = np.array(goniometer.get_fixed_rotation()).reshape(3, 3)
    A = np.array(experiment.crystal.get_A()).reshape(3, 3)
    # r = S R F A h: all is turned by the inverse of S, which leaves every product alone.
    return RotationScan(
        A=fixed @ A,
        s0=setting.T @ np.array(experiment.beam.get_s0()),
        axis=np.array(goniometer.get_rotation_axis_datum()),
        limits=tuple(np.deg2rad(experiment.scan.get_oscillation_range())),
    )


def image_excitation_errors(
    experiments: ExperimentList, reflections: flex.reflection_table
) -> np.ndarray:
    """
    Excitation errors in the middle of the image that the centroid is on.

    Args:
        experiments: One for each crystal.
        reflections: Predicted reflections.

    Returns:
        s [1/Å], of shape (n,).
    """
    result = np.empty(len(reflections))
    hkl = reflections["miller_index"].as_vec3_double().as_numpy_array()
    z = reflections["xyzcal.px"].parts()[2].as_numpy_array()
    crystals = reflections["id"].as_numpy_array()
    for index, experiment in enumerate(experiments):
        own = crystals == index
        scan = rotation_scan_of(experiment)
        to_angle = experiment.scan.get_angle_from_array_index
        middle = [to_angle(float(x), deg=False) for x in np.floor(z[own]) + 0.5]
        k = scan.wave_vectors(np.array(middle))
        g = hkl[own] @ scan.A.T
        K = np.linalg.norm(scan.s0)
        result[own] = (K**2 - np.sum((k + g) ** 2, axis=1)) / (2 * K)
    return result


def _steepest(scan: RotationScan, slab_angle: float) -> float:
    """The longest path through a plate during its scan, over its thickness."""
    tilt = np.max(np.abs(np.array(scan.limits) - slab_angle)) + MARGIN
    if tilt > np.deg2rad(85):
        raise ValueError(
            f"A plate cannot be turned by {np.rad2deg(tilt):.0f}° from the beam."
        )
    return float(1.0 / np.cos(tilt))
