"""From squared amplitudes to what integration would have written."""

from __future__ import annotations

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import Experiment

from dials_spread.simulation.noise import (
    NoiseModel,
    count,
    log_normal_factors,
    recorded_fraction,
    relative_errors,
)

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


def compose_expected(
    table: flex.reflection_table,
    intensities: np.ndarray,
    rng: np.random.Generator,
    noise: NoiseModel,
    counts: float,
) -> None:
    """
    Add the expected counts of a crystal and the factors that they are made of.

    Args:
        table: Predicted reflections of one crystal; the columns of truth are added.
        intensities: Squared amplitudes without scale [Å²], of shape (n,).
        rng: Source of all random numbers.
        noise: Scales and errors.
        counts: Of |F|² / lp = 1 Å² on a crystal of scale one.
    """
    n = len(table)
    images = np.floor(table["xyzcal.px"].parts()[2].as_numpy_array()).astype(int)
    scale = counts * log_normal_factors(rng, 1, noise.scale_spread)[0]
    per_image = log_normal_factors(rng, np.ptp(images) + 1, noise.image_spread)
    image_factor = per_image[images - images.min()]
    relative_error = relative_errors(rng, n, noise.extra_error)
    table["truth.scale"] = flex.double(n, float(scale))
    table["truth.image_factor"] = flex.double(image_factor)
    table["truth.relative_error"] = flex.double(relative_error)
    lp = table["lp"].as_numpy_array()
    table["truth.expected"] = flex.double(
        intensities * scale * image_factor * relative_error / lp
    )


def measure(
    experiment: Experiment,
    table: flex.reflection_table,
    rng: np.random.Generator,
    noise: NoiseModel,
) -> None:
    """
    Add integrated intensities, as both methods of dials.integrate would give them.

    As in DIALS the summed intensity is the part that the scan covers, and the
    profile-fitted one the whole. Both come from the same counts. What the detector
    loses to its dead time is `truth.recorded`, the fraction that it counts.

    Args:
        experiment: Of the crystal.
        table: Its reflections with expected counts and mask sizes.
        rng: Source of all random numbers.
        noise: Background, dead time and whether to draw counts.
    """
    full = table["truth.expected"].as_numpy_array()
    partiality = table["partiality"].as_numpy_array()
    n_foreground = table["num_pixels.foreground"].as_numpy_array()
    n_background = table["num_pixels.background_used"].as_numpy_array()
    recorded = recorded_fraction(
        full, spot_durations(experiment, table), noise.dead_time
    )
    value = full * recorded * partiality
    if noise.counting:
        counted = count(rng, value, noise.background, n_foreground, n_background)
        value, variance, background_mean = counted
    else:
        ratio = n_foreground / n_background
        variance = value + noise.background * n_foreground * (1 + ratio)
        variance = np.maximum(variance, 1.0)
        background_mean = np.full(len(full), float(noise.background))
    for name, array in (
        ("intensity.sum.value", value),
        ("intensity.sum.variance", variance),
        ("intensity.prf.value", value / partiality),
        ("intensity.prf.variance", variance / partiality**2),
        ("background.mean", background_mean),
        ("truth.recorded", recorded),
        ("truth.counting_noise", value / partiality - full * recorded),
        ("profile.correlation", np.ones(len(full))),
    ):
        table[name] = flex.double(array)
    table["flags"] = flex.size_t(len(full), int(_FLAGS))


def spot_durations(experiment: Experiment, table: flex.reflection_table) -> np.ndarray:
    """
    How long the spots last: the standard deviation of their rocking curves in time.

    Args:
        experiment: With a profile model, an image width and an exposure.
        table: With `zeta`, the angular width over that of a spot at the equator.

    Returns:
        Durations [s], of shape (n,).
    """
    zeta = np.abs(table["zeta"].as_numpy_array())
    speed = (
        experiment.scan.get_oscillation()[1] / experiment.scan.get_exposure_times()[0]
    )
    return experiment.profile.sigma_m(deg=True) / (zeta * abs(speed))


def add_centroids(
    experiment: Experiment, table: flex.reflection_table, rng: np.random.Generator
) -> None:
    """
    Add observed centroids: the calculated ones with a random error.

    Args:
        experiment: The pixel size and image width are used.
        table: Reflections with `xyzcal.px`.
        rng: Source of all random numbers.
    """
    shift = np.array(CENTROID_ERROR) * rng.standard_normal((len(table), 3))
    to_mm = np.array(
        [
            *experiment.detector[0].get_pixel_size(),
            np.deg2rad(experiment.scan.get_oscillation()[1]),
        ]
    )
    variance = np.broadcast_to(np.square(CENTROID_ERROR), shift.shape)
    for unit, factor in (("px", 1.0), ("mm", to_mm)):
        calculated = table[f"xyzcal.{unit}"].as_numpy_array()
        prefix = f"xyzobs.{unit}"
        table[f"{prefix}.value"] = _vectors(calculated + shift * factor)
        table[f"{prefix}.variance"] = _vectors(variance * factor**2)


def _vectors(array: np.ndarray) -> flex.vec3_double:
    return flex.vec3_double(np.ascontiguousarray(array, dtype=float))
