"""
Virtual experiments with noise, from a compound that was simulated once.

Of every stratum of thickness some experiments are made, each of some of the crystals,
measured with

- 30 to 5,000 electrons for a mean reflection, uniform in the logarithm;
- background from 0.05 to 5 electrons a pixel, likewise;
- an extra error of each observation of 0 to 12 %;
- scales of crystals that differ by 30 %, wander by up to 25 % along the scan, and jump by
  0 to 6 % from image to image;
- a B of each crystal of its own, with a standard deviation of 0.3 Å², for damage;
- up to 3 % of outliers, off by a factor of typically 1.6, as overlaps and edges make them;
- a background that is wrong by a third of its counting noise under a spot, of each crystal
  its own.

The last two in half of the experiments: models should neither rely on clean data nor
expect spoilt ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.ml.training.compounds import COLUMN, N_STRATA
from dials_spread.simulation.intensities import (
    add_centroids,
    compose_expected,
    measure,
)
from dials_spread.simulation.noise import NoiseModel

COUNTS = (30.0, 5000.0)
BACKGROUND = (0.05, 5.0)  # [counts per pixel]
MOST_EXTRA_ERROR = 0.12
MOST_JITTER = 0.06
MOST_WANDER = 0.25
SPREAD_OF_B = 0.3  # [Å²]
MOST_OUTLIERS = 0.03
OUTLIER_SPREAD = 0.5
BACKGROUND_ERROR = 0.3
"""Standard deviation over counting noise of the background under a spot."""

SPOILT = 0.5
"""Part of the experiments that have outliers and wrong backgrounds."""

NODES_EVERY = 10.0  # [°], of the wandering scale


@dataclass(frozen=True)
class Faults:
    """
    What counting statistics and smooth scales do not tell.

    Attributes:
        wander: Standard deviation of the logarithm of the scale along a scan.
        outliers: Part of the observations that are off.
        background_error: Of each crystal, over the background's noise under a spot.
    """

    wander: float
    outliers: float
    background_error: float


def draw_faults(rng: np.random.Generator) -> Faults:
    """Draw what is wrong with an experiment."""
    spoilt = float(rng.random() < SPOILT)
    return Faults(
        wander=float(rng.uniform(0, MOST_WANDER)),
        outliers=spoilt * float(rng.uniform(0, MOST_OUTLIERS)),
        background_error=spoilt * BACKGROUND_ERROR,
    )


def draw_noise(rng: np.random.Generator) -> NoiseModel:
    """Draw how well an experiment is measured."""
    return NoiseModel(
        mean_counts=_log_uniform(rng, COUNTS),
        background=_log_uniform(rng, BACKGROUND),
        scale_spread=0.3,
        image_spread=float(rng.uniform(0, MOST_JITTER)),
        extra_error=float(rng.uniform(0, MOST_EXTRA_ERROR)),
    )


def virtual_experiments(
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    about: Mapping,
    rng: np.random.Generator,
    copies: int = 1,
) -> Iterator[tuple[ExperimentList, list[flex.reflection_table], dict]]:
    """
    Make experiments of a compound at every stratum of thickness.

    Args:
        experiments, reflections, about: From `simulate_compound`.
        rng: Source of all random numbers.
        copies: Experiments of each stratum.

    Yields:
        Experiments, one table a crystal as `dials.integrate` would write it, and a
        dictionary with the stratum and the noise.
    """
    crystals = reflections["id"].as_numpy_array()
    for stratum in np.repeat(np.arange(N_STRATA), copies):
        noise, faults = draw_noise(rng), draw_faults(rng)
        chosen = _some_crystals(rng, len(experiments))
        tables = [
            _measure(
                experiments[int(crystal)],
                reflections.select(flex.bool(crystals == crystal)),
                int(stratum),
                noise,
                faults,
                about,
                rng,
            )
            for crystal in chosen
        ]
        for place, table in enumerate(tables):
            _name(table, place, experiments[int(chosen[place])].identifier)
        own = ExperimentList([experiments[int(c)] for c in chosen])
        yield own, tables, {"stratum": int(stratum), **vars(faults), **vars(noise)}


def _some_crystals(rng: np.random.Generator, n: int) -> np.ndarray:
    """All crystals half of the time, else some of them."""
    if n == 1 or rng.random() < 0.5:
        return np.arange(n)
    return np.sort(rng.choice(n, int(rng.integers(1, n + 1)), replace=False))


def _measure(
    experiment,
    table: flex.reflection_table,
    stratum: int,
    noise: NoiseModel,
    faults: Faults,
    about: Mapping,
    rng: np.random.Generator,
) -> flex.reflection_table:
    """Add what integration would have found to the table of one crystal."""
    intensities = table[COLUMN.format(stratum)].as_numpy_array()
    angle = np.degrees(table["xyzcal.mm"].parts()[2].as_numpy_array())
    b = SPREAD_OF_B * rng.standard_normal()
    fall_off = np.exp(-0.5 * b / table["d"].as_numpy_array() ** 2)
    counts = noise.counts_per_intensity(
        about["mean_intensity"], about["wavelength"], about["d_min"]
    )
    factor = fall_off * wandering_scale(rng, angle, faults.wander)
    off = rng.random(len(angle)) < faults.outliers
    factor[off] *= np.exp(OUTLIER_SPREAD * rng.standard_normal(off.sum()))
    compose_expected(table, np.maximum(intensities, 0) * factor, rng, noise, counts)
    measure(experiment, table, rng, noise)
    _misjudge_background(table, rng, noise, faults)
    add_centroids(experiment, table, rng)
    for k in range(N_STRATA):
        del table[COLUMN.format(k)]
    return table


def _misjudge_background(
    table: flex.reflection_table,
    rng: np.random.Generator,
    noise: NoiseModel,
    faults: Faults,
) -> None:
    """Add to all intensities of a crystal what a wrong background would."""
    under = noise.background * table["num_pixels.foreground"].as_numpy_array()
    added = faults.background_error * rng.standard_normal() * np.sqrt(under)
    partiality = table["partiality"].as_numpy_array()
    table["intensity.sum.value"] += flex.double(added)
    table["intensity.prf.value"] += flex.double(added / partiality)


def wandering_scale(
    rng: np.random.Generator, angle: np.ndarray, size: float
) -> np.ndarray:
    """
    A smooth random scale along a scan.

    Args:
        rng: Source of all random numbers.
        angle: Rotation of each observation [°], of shape (n,).
        size: Standard deviation of its logarithm at a node.

    Returns:
        Factors of shape (n,), linear in the logarithm between nodes.
    """
    nodes = np.arange(angle.min(), angle.max() + 2 * NODES_EVERY, NODES_EVERY)
    return np.exp(np.interp(angle, nodes, size * rng.standard_normal(len(nodes))))


def _name(table: flex.reflection_table, place: int, identifier: str) -> None:
    for number in list(table.experiment_identifiers().keys()):
        del table.experiment_identifiers()[number]
    table["id"] = flex.int(len(table), place)
    table.experiment_identifiers()[place] = identifier


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
