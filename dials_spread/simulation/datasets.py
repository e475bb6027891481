"""
Integrated 3D electron-diffraction data sets with a known truth.

Every source of spread between equivalent observations can be set on its own, and each is
kept in a column, so that an analysis can be compared with what was put in. The columns
of truth, beyond those of an integrated table, are

- `intensity.kinematic.value`: |F|² [Å²], without scale or noise;
- `intensity.dynamical.value`: the same with multiple scattering, and `truth.thickness`,
  the path through the crystal [Å], where wave is dynamical;
- `truth.excitation_error`: in the middle of the image of the centroid [1/Å];
- `truth.scale`: counts for |F|² / lp = 1 Å² in this crystal, without other factors;
- `truth.image_factor`: the beam fluctuation of the image that the centroid is on;
- `truth.relative_error`: the extra factor of this observation alone;
- `truth.expected`: the product of all these and 1/lp, the full intensity [counts];
- `truth.counting_noise`: `intensity.prf.value` less `truth.expected` [counts].
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.simulation.dynamical import (
    ThicknessModel,
    add_dynamical_intensities,
    image_excitation_errors,
)
from dials_spread.simulation.geometry import (
    DEFAULT_WAVELENGTH,
    rotation_experiments,
)
from dials_spread.simulation.noise import (
    NoiseModel,
    count,
    log_normal_factors,
    relative_errors,
)
from dials_spread.simulation.prediction import predict
from dials_spread.simulation.rocking import BeamSelection
from dials_spread.simulation.structure_factors import structure_factors

logger = logging.getLogger("dials.spread.datasets")

# Standard deviation of measured spot positions [pixels, pixels, images].
CENTROID_ERROR = (0.2, 0.2, 0.1)

_FLAGS = (
    flex.reflection_table.flags.predicted
    | flex.reflection_table.flags.observed
    | flex.reflection_table.flags.indexed
    | flex.reflection_table.flags.used_in_refinement
    | flex.reflection_table.flags.integrated_sum
    | flex.reflection_table.flags.integrated_prf
)


def simulate_experiments(
    structure: xray.structure,
    rng: np.random.Generator,
    *,
    n_crystals: int = 12,
    d_min: float = 0.9,
    scan_width: float | Sequence[float] = 40.0,
    image_width: float | Sequence[float] = 1.0,
    wavelength: float = DEFAULT_WAVELENGTH,
    mosaicity: float = 0.05,
    tilt_spread: float | None = None,
    noise: NoiseModel = NoiseModel(),  # noqa: B008, it is immutable
    wave: str = "kinematic",
    thickness: ThicknessModel = ThicknessModel(),  # noqa: B008
    selection: BeamSelection = BeamSelection(),  # noqa: B008
) -> tuple[ExperimentList, flex.reflection_table]:
    """
    Simulate the integrated data of several crystals of one structure.

    Args:
        structure: The crystal structure, its cell and space group.
        rng: Source of all random numbers; one seed gives one data set, bit for bit.
        n_crystals: Number of crystals, each with an orientation and a scan.
        d_min: Resolution limit [Å].
        scan_width: Angle covered [degrees], one value or one for each crystal.
        image_width: Rotation during an image [degrees], likewise.
        wavelength: [Å].
        mosaicity: Standard deviation of the rocking curve [degrees].
        tilt_spread: Tilt of c* from the beam at mid-scan, for plates [degrees].
        noise: Counts, background, scales and errors.
        wave: "kinematic", or "dynamical" for multiple scattering.
        thickness, selection: Crystals and beams, where wave is dynamical.

    Returns:
        Experiments, and an integrated table with the columns of truth listed above.

    Raises ValueError where an argument is out of range, or nothing is recorded.
    """
    _check_wave(wave)
    experiments = rotation_experiments(
        rng,
        structure.crystal_symmetry(),
        n_crystals,
        wavelength=wavelength,
        d_min=d_min,
        scan_width=scan_width,
        image_width=image_width,
        mosaicity=mosaicity,
        tilt_spread=tilt_spread,
    )
    reflections = predict(experiments, d_min)
    intensities = add_truth(structure, experiments, reflections)
    # Drawn in any case, so that both waves come with the same noise.
    thicknesses = thickness.draw(rng, n_crystals)
    if wave == "dynamical":
        intensities = add_dynamical_intensities(
            structure, experiments, reflections, thicknesses, thickness, selection
        )
    add_intensities(rng, experiments, reflections, intensities, noise)
    return experiments, reflections


def add_truth(
    structure: xray.structure,
    experiments: ExperimentList,
    reflections: flex.reflection_table,
) -> np.ndarray:
    """
    Add `intensity.kinematic.value` and `truth.excitation_error`.

    Returns:
        The kinematic |F|² [Å²], of shape (n,).
    """
    kinematic = np.abs(structure_factors(structure, miller_indices(reflections))) ** 2
    excitation = image_excitation_errors(experiments, reflections)
    reflections["intensity.kinematic.value"] = flex.double(kinematic)
    reflections["truth.excitation_error"] = flex.double(excitation)
    return kinematic


def miller_indices(reflections: flex.reflection_table) -> np.ndarray:
    """The Miller indices of a table as integers of shape (n, 3)."""
    return reflections["miller_index"].as_vec3_double().as_numpy_array().astype(int)


def add_intensities(
    rng: np.random.Generator,
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    intensities: np.ndarray,
    noise: NoiseModel,
) -> None:
    """
    Add scaled and noisy intensities and centroids to predicted reflections.

    Each crystal has random numbers of its own, so that it does not depend on how many
    others there are.

    Args:
        rng: Source of one seed for each crystal.
        experiments: One for each crystal.
        reflections: Predicted reflections; columns are added.
        intensities: Squared amplitudes without scale, of shape (n,), in any unit.
        noise: Counts, background, scales and errors.
    """
    rngs = [
        np.random.default_rng(s) for s in rng.integers(2**63, size=len(experiments))
    ]
    compose_expected(reflections, intensities, rngs, noise)
    measure(reflections, rngs, noise)
    add_centroids(experiments, reflections, rngs)
    logger.info("%d reflections of %d crystals.", len(reflections), len(experiments))


def compose_expected(
    reflections: flex.reflection_table,
    intensities: np.ndarray,
    rngs: Sequence[np.random.Generator],
    noise: NoiseModel,
) -> None:
    """
    Add the expected counts and the factors that they are made of.

    Args:
        reflections: Predicted reflections; the columns of truth are added.
        intensities: Squared amplitudes without scale, of shape (n,), in any unit.
        rngs: One generator for each crystal.
        noise: Counts, scales and errors.
    """
    if not np.any(intensities > 0):
        raise ValueError("All reflections have zero intensity.")
    crystals = reflections["id"].as_numpy_array()
    images = np.floor(reflections["xyzcal.px"].parts()[2].as_numpy_array()).astype(int)
    lp = reflections["lp"].as_numpy_array()
    scale = np.full(len(lp), noise.mean_counts * lp.mean() / intensities.mean())
    image_factor = np.ones(len(lp))
    relative_error = np.ones(len(lp))
    for crystal, rng in enumerate(rngs):
        rows = np.flatnonzero(crystals == crystal)
        scale[rows] *= log_normal_factors(rng, 1, noise.scale_spread)[0]
        if len(rows):
            first = images[rows].min()
            per_image = log_normal_factors(
                rng, images[rows].max() - first + 1, noise.image_spread
            )
            image_factor[rows] = per_image[images[rows] - first]
        relative_error[rows] = relative_errors(rng, len(rows), noise.extra_error)
    reflections["truth.scale"] = flex.double(scale)
    reflections["truth.image_factor"] = flex.double(image_factor)
    reflections["truth.relative_error"] = flex.double(relative_error)
    reflections["truth.expected"] = flex.double(
        intensities * scale * image_factor * relative_error / lp
    )


def measure(
    reflections: flex.reflection_table,
    rngs: Sequence[np.random.Generator],
    noise: NoiseModel,
) -> None:
    """
    Add integrated intensities, as both methods of dials.integrate would give them.

    As in DIALS the summed intensity is the part that the scan covers, and the
    profile-fitted one the whole. Both come from the same counts.

    Args:
        reflections: Reflections with expected counts and mask sizes.
        rngs: One generator for each crystal.
        noise: Background and whether to draw counts.
    """
    crystals = reflections["id"].as_numpy_array()
    full = reflections["truth.expected"].as_numpy_array()
    partiality = reflections["partiality"].as_numpy_array()
    n_foreground = reflections["num_pixels.foreground"].as_numpy_array()
    n_background = reflections["num_pixels.background_used"].as_numpy_array()
    value = full * partiality
    ratio = n_foreground / n_background
    variance = np.maximum(value + noise.background * n_foreground * (1 + ratio), 1.0)
    background_mean = np.full(len(full), float(noise.background))
    for crystal, rng in enumerate(rngs if noise.counting else ()):
        rows = np.flatnonzero(crystals == crystal)
        counted = count(
            rng, value[rows], noise.background, n_foreground[rows], n_background[rows]
        )
        value[rows], variance[rows], background_mean[rows] = counted
    for name, array in (
        ("intensity.sum.value", value),
        ("intensity.sum.variance", variance),
        ("intensity.prf.value", value / partiality),
        ("intensity.prf.variance", variance / partiality**2),
        ("background.mean", background_mean),
        ("truth.counting_noise", value / partiality - full),
        ("profile.correlation", np.ones(len(full))),
    ):
        reflections[name] = flex.double(array)
    reflections["flags"] = flex.size_t(len(full), int(_FLAGS))


def add_centroids(
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    rngs: Sequence[np.random.Generator],
) -> None:
    """
    Add observed centroids: the calculated ones with a random error.

    Args:
        experiments: One for each crystal; the pixel size and image width are used.
        reflections: Reflections with `xyzcal.px`.
        rngs: One generator for each crystal.
    """
    crystals = reflections["id"].as_numpy_array()
    shift = np.zeros((len(crystals), 3))
    to_mm = np.ones((len(crystals), 3))
    for crystal, (experiment, rng) in enumerate(zip(experiments, rngs)):
        rows = np.flatnonzero(crystals == crystal)
        shift[rows] = np.array(CENTROID_ERROR) * rng.standard_normal((len(rows), 3))
        to_mm[rows] = (
            *experiment.detector[0].get_pixel_size(),
            np.deg2rad(experiment.scan.get_oscillation()[1]),
        )
    variance = np.broadcast_to(np.square(CENTROID_ERROR), shift.shape)
    for unit, factor in (("px", 1.0), ("mm", to_mm)):
        calculated = reflections[f"xyzcal.{unit}"].as_numpy_array()
        prefix = f"xyzobs.{unit}"
        reflections[f"{prefix}.value"] = _vectors(calculated + shift * factor)
        reflections[f"{prefix}.variance"] = _vectors(variance * factor**2)


def _vectors(array: np.ndarray) -> flex.vec3_double:
    return flex.vec3_double(np.ascontiguousarray(array, dtype=float))


def _check_wave(wave: str) -> None:
    if wave not in ("kinematic", "dynamical"):
        raise ValueError(f"The wave is kinematic or dynamical, not {wave}.")
