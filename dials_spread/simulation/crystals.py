"""
One crystal of a simulated data set, from a seed to an integrated table.

A crystal depends on what all share and on its own seed, so that crystals are
independent tasks: the same numbers come out in whatever order and wherever they run, and
however many others there are. Geometry, thickness and noise have streams of random
numbers of their own: a control without multiple scattering, or with other noise, is one
of the same crystals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model.experiment_list import Experiment, ExperimentList

from dials_spread.scattering.dynamical import (
    ThicknessModel,
    crystal_intensities,
    image_excitation_errors,
    potential_for,
    rotation_scan_of,
)
from dials_spread.scattering.potential import CrystalPotential
from dials_spread.scattering.rocking import BeamSelection
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.geometry import (
    DEFAULT_WAVELENGTH,
    N_PIXELS,
    Laboratory,
    crystal_model,
    random_identifier,
    random_orientation,
    rotation_experiment,
    rotation_scan,
)
from dials_spread.simulation.intensities import add_centroids, compose_expected, measure
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.prediction import predict_crystal

WAVES = ("dynamical", "kinematic")


@dataclass(frozen=True)
class Setup:
    """
    What of an experiment a user chooses, for all crystals.

    Attributes:
        d_min: Resolution limit [Å].
        wavelength: [Å].
        mosaicity: Standard deviation of the rocking curve [degrees].
        tilt_spread: Tilt of c* from the beam at mid-scan, for plates [degrees]; all
            orientations without it.
        exposure: Of an image [s].
        n_pixels: Pixels along each edge of the detector.
        wave: "dynamical", or "kinematic" for no multiple scattering.
        thickness, selection: Crystals and beams, where wave is dynamical.
        noise: Counts, background, scales and errors.
    """

    d_min: float = 0.9
    wavelength: float = DEFAULT_WAVELENGTH
    mosaicity: float = 0.05
    tilt_spread: float | None = None
    exposure: float = 1.0
    n_pixels: int = N_PIXELS
    wave: str = "kinematic"
    thickness: ThicknessModel = ThicknessModel()
    selection: BeamSelection = BeamSelection()
    noise: NoiseModel = NoiseModel()

    def __post_init__(self) -> None:
        if self.wave not in WAVES:
            raise ValueError(f"The wave is kinematic or dynamical, not {self.wave}.")
        wrong = [
            f"{name}={getattr(self, name):g}"
            for name in ("d_min", "wavelength", "mosaicity", "exposure")
            if not 0 < getattr(self, name) < np.inf
        ]
        if wrong:
            raise ValueError("Must be positive: " + ", ".join(wrong) + ".")


@dataclass(frozen=True)
class Sample:
    """
    What all crystals of a compound share.

    Attributes:
        structure: The crystal structure.
        setup: The experiment.
        mean_intensity: Mean |F|² of all reflections to d_min [Å²].
        potential: For multiple scattering, else None.
    """

    structure: xray.structure
    setup: Setup
    mean_intensity: float
    potential: CrystalPotential | None


@dataclass(frozen=True)
class CrystalTask:
    """
    What is a crystal's own.

    Attributes:
        index: Its number in the list.
        seed: Of all its random numbers.
        scan_width: Angle covered [degrees].
        image_width: Rotation during an image [degrees].
    """

    index: int
    seed: int
    scan_width: float
    image_width: float

    def generators(self) -> list[np.random.Generator]:
        """Streams of random numbers for geometry, thickness and noise."""
        children = np.random.SeedSequence(self.seed).spawn(3)
        return [np.random.default_rng(child) for child in children]


def prepare_sample(structure: xray.structure, setup: Setup) -> Sample:
    """
    Compute once what every crystal needs.

    Args:
        structure: The crystal structure.
        setup: The experiment.

    Raises:
        ValueError: No reflection has an intensity, or one is beyond the form factors.
    """
    dynamical = setup.wave == "dynamical"
    mean_intensity = mean_squared_amplitude(structure, setup.d_min)
    potential = None
    if dynamical:
        potential = potential_for(
            structure, setup.wavelength, setup.d_min, setup.selection
        )
    return Sample(structure, setup, mean_intensity, potential)


def mean_squared_amplitude(structure: xray.structure, d_min: float) -> float:
    """
    Mean |F|² of all reflections that are not absent [Å²].

    Args:
        structure: The crystal structure.
        d_min: Resolution limit [Å].
    """
    unique = structure.crystal_symmetry().build_miller_set(True, d_min)
    if not unique.size():
        raise ValueError(f"No reflection to {d_min:g} Å has an intensity.")
    hkl = unique.indices().as_vec3_double().as_numpy_array().astype(int)
    weights = unique.multiplicities().data().as_numpy_array()
    F_squared = np.abs(structure_factors(structure, hkl)) ** 2
    mean = float(np.average(F_squared, weights=weights))
    if not mean > 0:
        raise ValueError(f"All reflections to {d_min:g} Å have zero intensity.")
    return mean


def crystal_experiment(
    sample: Sample, task: CrystalTask, laboratory: Laboratory | None = None
) -> Experiment:
    """
    The experiment of a crystal.

    Args:
        sample: What all crystals share.
        task: What is its own.
        laboratory: Models that it shall share with other experiments.
    """
    setup = sample.setup
    rng = task.generators()[0]
    symmetry = sample.structure.crystal_symmetry()
    return rotation_experiment(
        laboratory
        or Laboratory.with_electrons(setup.wavelength, setup.d_min, setup.n_pixels),
        crystal_model(symmetry, random_orientation(rng, symmetry, setup.tilt_spread)),
        rotation_scan(task.scan_width, task.image_width, exposure=setup.exposure),
        setup.mosaicity,
        task.index,
        random_identifier(rng),
    )


def simulate_crystal(
    sample: Sample, task: CrystalTask, threads: int | None = 1
) -> flex.reflection_table:
    """
    Simulate one crystal.

    Args:
        sample: What all crystals share.
        task: What is its own.
        threads: Of the dynamical calculation; all cores where it is None. The result
            does not depend on them.

    Returns:
        An integrated table with the columns of truth; empty where nothing is recorded.
    """
    setup = sample.setup
    experiment = crystal_experiment(sample, task)
    _, thickness_rng, noise_rng = task.generators()
    table = predict_crystal(experiment, 0, setup.d_min)
    if not len(table):
        return table
    intensities = _add_kinematic(sample.structure, experiment, table)
    if sample.potential is not None:
        mean = float(setup.thickness.draw(thickness_rng, 1)[0])
        intensities = _add_dynamical(
            sample.potential, setup, experiment, table, mean, threads
        )
        # Wide rocking curves with their centre far beyond the end of the scan.
        met = np.isfinite(intensities)
        table, intensities = table.select(flex.bool(met)), intensities[met]
        if not len(table):
            return table
    compose_expected(
        table,
        intensities,
        noise_rng,
        setup.noise,
        setup.noise.counts_per_intensity(
            sample.mean_intensity, setup.wavelength, setup.d_min
        ),
    )
    # Before the counts: how many random numbers these take depends on the intensities.
    add_centroids(experiment, table, noise_rng)
    measure(experiment, table, noise_rng, setup.noise)
    for column in ("id", "imageset_id"):
        table[column] = flex.int(len(table), task.index)
    return table


def miller_indices(reflections: flex.reflection_table) -> np.ndarray:
    """The Miller indices of a table as integers of shape (n, 3)."""
    return reflections["miller_index"].as_vec3_double().as_numpy_array().astype(int)


def _add_kinematic(
    structure: xray.structure, experiment: Experiment, table: flex.reflection_table
) -> np.ndarray:
    kinematic = np.abs(structure_factors(structure, miller_indices(table))) ** 2
    table["intensity.kinematic.value"] = flex.double(kinematic)
    table["truth.excitation_error"] = flex.double(
        image_excitation_errors(ExperimentList([experiment]), table)
    )
    return kinematic


def _add_dynamical(
    potential: CrystalPotential,
    setup: Setup,
    experiment: Experiment,
    table: flex.reflection_table,
    mean: float,
    threads: int | None,
) -> np.ndarray:
    """Add `intensity.dynamical.value` [Å²] and `truth.thickness` [Å]."""
    phi = table["xyzcal.mm"].parts()[2].as_numpy_array()
    F_squared = crystal_intensities(
        potential,
        rotation_scan_of(experiment),
        miller_indices(table),
        phi,
        setup.thickness.distribution(mean)[None],
        setup.selection,
        setup.thickness.slab,
        nproc=threads,
    )[:, 0]
    path = mean / np.cos(phi) if setup.thickness.slab else np.full(len(phi), mean)
    table["intensity.dynamical.value"] = flex.double(F_squared)
    table["truth.thickness"] = flex.double(path)
    return F_squared
