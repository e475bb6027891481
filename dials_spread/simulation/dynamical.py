"""Dynamical intensities of the reflections of virtual experiments."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model.experiment_list import Experiment, ExperimentList

from dials_spread.simulation.potential import (
    indices_within,
    potential_table,
    relativistic_mass_ratio,
)
from dials_spread.simulation.rocking import (
    BeamSelection,
    RotationScan,
    integrated_intensities,
    rotation_step,
)

# Beams beyond the data that matter to them; see `BeamSelection`.
DEFAULT_G_FACTOR = 1.2

logger = logging.getLogger("dials.spread.dynamical")


@dataclass(frozen=True)
class ThicknessModel:
    """
    How thick the crystals are.

    Attributes:
        median: Median over the crystals [Å].
        spread: Standard deviation of the logarithm from crystal to crystal.
        within: Half range within a crystal, relative to its mean: 0.5 for a wedge from
            half to one and a half of it.
        n_within: Thicknesses that stand for this range.
        slab: The crystals are plates normal to the beam at rotation zero.
    """

    median: float = 400.0
    spread: float = 0.3
    within: float = 0.3
    n_within: int = 5
    slab: bool = False

    def __post_init__(self) -> None:
        if not self.median > 0:
            raise ValueError(f"The thickness must be positive, not {self.median} Å.")
        if not (self.spread >= 0 and 0 <= self.within < 1 and self.n_within >= 1):
            raise ValueError(
                "spread must not be negative, within be from 0 to below 1 and n_within "
                f"positive, not {self.spread}, {self.within} and {self.n_within}."
            )

    def draw(self, rng: np.random.Generator, n_crystals: int) -> np.ndarray:
        """The mean thickness of each crystal [Å], of shape (n_crystals,)."""
        return self.median * np.exp(self.spread * rng.standard_normal(n_crystals))

    def distribution(self, mean: float) -> np.ndarray:
        """
        Thicknesses of equal area within a crystal [Å], midpoints of equal intervals.

        Args:
            mean: The mean thickness of the crystal [Å].
        """
        if not self.within:
            return np.array([mean])
        midpoints = (2 * np.arange(self.n_within) + 1) / self.n_within - 1
        return mean * (1 + self.within * midpoints)


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
    wavelength = experiments[0].beam.get_wavelength()
    # Rounding must not put a reflection at the limit outside its own sphere.
    d_min = min(reflections["d"])
    g_max = max(selection.g_max or DEFAULT_G_FACTOR / d_min, (1 + 1e-9) / d_min)
    table = potential_table(structure, wavelength, g_max)
    candidates = indices_within(structure.unit_cell(), g_max)
    U_squared = np.full(len(reflections), np.nan)
    path = np.empty(len(reflections))
    hkl = reflections["miller_index"].as_vec3_double().as_numpy_array().astype(int)
    phi = reflections["xyzcal.mm"].parts()[2].as_numpy_array()
    crystals = reflections["id"].as_numpy_array()
    for index, experiment in enumerate(experiments):
        own = crystals == index
        mean = float(mean_thicknesses[index])
        layers = thickness.distribution(mean)
        U_squared[own] = integrated_intensities(
            table,
            candidates,
            rotation_scan_of(experiment),
            hkl[own],
            phi[own],
            layers,
            selection,
            rotation_step(d_min, _longest_path(experiment, layers, thickness.slab)),
            thickness.slab,
        )
        path[own] = mean / np.cos(phi[own]) if thickness.slab else mean
        logger.info("Crystal %d: %.0f Å thick.", index + 1, mean)
    to_F = np.pi * structure.unit_cell().volume() / relativistic_mass_ratio(wavelength)
    reflections["intensity.dynamical.value"] = flex.double(U_squared * to_F**2)
    reflections["truth.thickness"] = flex.double(path)
    return U_squared * to_F**2


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


def _longest_path(experiment: Experiment, layers: np.ndarray, slab: bool) -> float:
    """The longest path through a crystal during its scan [Å]."""
    if not slab:
        return float(layers.max())
    steepest = np.max(np.abs(np.deg2rad(experiment.scan.get_oscillation_range())))
    if steepest > np.deg2rad(85):
        raise ValueError(
            f"A plate cannot be turned by {np.rad2deg(steepest):.0f}° from the beam."
        )
    return float(layers.max() / np.cos(steepest))
