"""
Virtual experiments with noise, from a compound that was simulated once.

Of every stratum of thickness some experiments are made, each of some of the crystals, with
the noise and the faults of their grade (see faults).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.general_model.compounds import COLUMN, N_STRATA
from dials_spread.general_model.faults import (
    GRADES,
    PLAIN,
    ROUGH,
    Faults,
    draw_faults,
    draw_noise,
    draw_rough_faults,
    misset_experiment,
    saturated,
    wandering_scale,
)
from dials_spread.simulation.intensities import add_centroids, compose_expected, measure
from dials_spread.simulation.noise import NoiseModel

FEWEST_OF_A_CRYSTAL = 20
"""A crystal of which less is left is not used."""


@dataclass(frozen=True)
class Plan:
    """
    How one virtual experiment is made.

    Attributes:
        stratum: Of its thickness.
        noise: Counting and scales.
        faults: Everything else.
        about: Of the compound, from `simulate_compound`.
    """

    stratum: int
    noise: NoiseModel
    faults: Faults
    about: Mapping

    def as_dict(self) -> dict:
        """Give all but the compound, flat."""
        return {"stratum": self.stratum, **vars(self.faults), **vars(self.noise)}


def virtual_experiments(
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    about: Mapping,
    rng: np.random.Generator,
    copies: int = 1,
    grade: str = GRADES[0],
) -> Iterator[tuple[ExperimentList, list[flex.reflection_table], dict]]:
    """
    Make experiments of a compound at every stratum of thickness.

    Args:
        experiments, reflections, about: From `simulate_compound`.
        rng: Source of all random numbers.
        copies: Experiments of each stratum.
        grade: One of GRADES.

    Yields:
        Experiments, one table a crystal as `dials.integrate` would write it, and a
        dictionary with the stratum and the noise. Of a rough experiment nothing may be
        left.
    """
    crystals = reflections["id"].as_numpy_array()
    for stratum in np.repeat(np.arange(N_STRATA), copies):
        plan = _draw_plan(rng, int(stratum), grade, about)
        own = ExperimentList()
        tables: list[flex.reflection_table] = []
        for crystal in map(int, _some_crystals(rng, len(experiments))):
            table = reflections.select(flex.bool(crystals == crystal))
            table = _recorded(rng, table, plan.faults)
            if len(table) < FEWEST_OF_A_CRYSTAL:
                continue
            table = _measure(experiments[crystal], table, plan, rng)
            _name(table, len(tables), experiments[crystal].identifier)
            own.append(misset_experiment(rng, experiments[crystal], plan.faults))
            tables.append(table)
        if tables:
            yield own, tables, plan.as_dict()


def _draw_plan(
    rng: np.random.Generator, stratum: int, grade: str, about: Mapping
) -> Plan:
    if grade == "plain":
        return Plan(stratum, draw_noise(rng, PLAIN), draw_faults(rng), about)
    noise = draw_noise(rng, ROUGH)
    return Plan(stratum, noise, draw_rough_faults(rng, about["d_min"]), about)


def _some_crystals(rng: np.random.Generator, n: int) -> np.ndarray:
    """All crystals half of the time, else some of them."""
    if n == 1 or rng.random() < 0.5:
        return np.arange(n)
    return np.sort(rng.choice(n, int(rng.integers(1, n + 1)), replace=False))


def _measure(
    experiment, table: flex.reflection_table, plan: Plan, rng: np.random.Generator
) -> flex.reflection_table:
    """Add what integration would have found to the table of one crystal."""
    noise, faults, about = plan.noise, plan.faults, plan.about
    intensities = _of_uneven_crystal(rng, table, plan)
    angle = np.degrees(table["xyzcal.mm"].parts()[2].as_numpy_array())
    b = faults.spread_of_b * rng.standard_normal()
    fall_off = np.exp(-0.5 * b / table["d"].as_numpy_array() ** 2)
    counts = noise.counts_per_intensity(
        about["mean_intensity"], about["wavelength"], about["d_min"]
    )
    factor = fall_off * wandering_scale(rng, angle, faults.wander)
    off = rng.random(len(angle)) < faults.outliers
    factor[off] *= np.exp(faults.outlier_spread * rng.standard_normal(off.sum()))
    told = saturated(np.maximum(intensities, 0), faults.saturation)
    compose_expected(table, told * factor, rng, noise, counts)
    measure(experiment, table, rng, noise)
    _misjudge_background(table, rng, noise, faults)
    add_centroids(experiment, table, rng)
    for k in range(N_STRATA):
        del table[COLUMN.format(k)]
    return table


def _recorded(
    rng: np.random.Generator, table: flex.reflection_table, faults: Faults
) -> flex.reflection_table:
    """Give what a part of the scan and a coarser resolution limit leave."""
    if faults.shortest_scan < 1:
        angle = table["xyzcal.mm"].parts()[2].as_numpy_array()
        low, high = angle.min(), angle.max()
        width = (high - low) * rng.uniform(faults.shortest_scan, 1)
        start = rng.uniform(low, high - width)
        kept = (angle >= start) & (angle <= start + width)
        table = table.select(flex.bool(kept))
    if faults.coarser:
        table = table.select(table["d"] >= faults.coarser)
    return table


def _of_uneven_crystal(
    rng: np.random.Generator, table: flex.reflection_table, plan: Plan
) -> np.ndarray:
    """Give intensities of a crystal, a part of which may be of another thickness."""
    strata = [table[COLUMN.format(k)].as_numpy_array() for k in range(N_STRATA)]
    if not plan.faults.uneven:
        return strata[plan.stratum]
    other = int(rng.choice([k for k in range(N_STRATA) if k != plan.stratum]))
    part = plan.faults.uneven * rng.random()
    # Intensities of a stratum are on the scale of |F|², so that parts are of volume.
    return (1 - part) * strata[plan.stratum] + part * strata[other]


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


def _name(table: flex.reflection_table, place: int, identifier: str) -> None:
    for number in list(table.experiment_identifiers().keys()):
        del table.experiment_identifiers()[number]
    table["id"] = flex.int(len(table), place)
    table.experiment_identifiers()[place] = identifier
