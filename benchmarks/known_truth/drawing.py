"""
One data set of a column, with what is true of it.

Functions:
    draw: crystals from the pool, with factors and noise of their own
    scaled_by_dials: the same after dials.scale
    left_by_scaling: the relative error in that
"""

from __future__ import annotations

import copy
import os
import subprocess
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList, ExperimentListFactory

from dials_spread.simulation.intensities import compose_expected, measure
from known_truth.columns import Column
from known_truth.planted import Drawn
from known_truth.pools import Pool
from known_truth.shares import (
    common_parts,
    far_variance,
    noise_free_shares,
    one_over,
)

BACKGROUND = 100.0
"""Counts of background under a spot, about: one a pixel."""


@dataclass
class Truth:
    """
    What is true of a data set.

    Attributes:
        orientation: Share of the orientation in what is not counting noise; 0 without
            multiple scattering.
        shares: Of image, crystal, orientation, thickness and rest in what is not counting noise;
            nan where it is not known.
        half_way: Correlation angle [°]; nan without.
        s: Relative error not covered by σ; nan where it is not one number.
        random: Standard deviation of random errors of each observation.
        same_orientations: Pairs of observations of two crystals within 0.5°.
        drawn: What was planted.
    """

    orientation: float
    shares: dict[str, float]
    half_way: float
    s: float
    random: float
    same_orientations: int
    drawn: Drawn


@dataclass
class DataSet:
    """
    Input of dials.compare_images.

    Attributes:
        experiments, tables: One a crystal.
        truth: What is true of them.
        plain: Experiments and tables before a change that must change no result.
    """

    experiments: ExperimentList
    tables: list[flex.reflection_table]
    truth: Truth
    plain: tuple | None = field(default=None)


def draw(name: str, column: Column, pool: Pool, seed: int) -> DataSet:
    """
    Draw a data set.

    Args:
        name: Of the column; columns are drawn independently.
        column: The case.
        pool: Its crystals.
        seed: Of the draw. Columns that change nothing share their draws.
    """
    key = "unchanged" if column.unchanged else name
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    chosen = np.sort(rng.choice(len(pool.tables), column.crystals, replace=False))
    drawn = _drawn(pool)
    experiments, tables = ExperimentList(), []
    for number, index in enumerate(chosen):
        experiment = pool.experiments[int(index)]
        table = copy.deepcopy(pool.tables[int(index)])
        _measure_again(column, pool, drawn, experiment, table, number, rng)
        experiments.append(experiment)
        tables.append(table)
    truth = _truth(column, pool, experiments, tables, drawn)
    plain = None
    if column.unchanged:
        plain = experiments, [copy.deepcopy(t) for t in tables]
    if column.change is not None:
        experiments, tables = column.change(experiments, tables, rng)
    for number, (experiment, table) in enumerate(zip(experiments, tables)):
        _number(table, experiment, number)
    if column.scaled:
        experiments, tables = scaled_by_dials(experiments, tables)
        truth.s = left_by_scaling(tables) if np.isfinite(truth.s) else truth.s
    return DataSet(experiments, tables, truth, plain)


def _drawn(pool: Pool) -> Drawn:
    number = max(flex.max(t["unique"]) for t in pool.tables if len(t)) + 1
    intensity = np.mean(
        np.concatenate([t["intensity.kinematic.value"] for t in pool.tables])
    )
    return Drawn(int(number), float(intensity), pool.choice.d_min)


def _measure_again(column, pool, drawn, experiment, table, number, rng) -> None:
    """Replace the intensities of a table by new ones of the same crystal."""
    wave = "dynamical" if column.dynamical else "kinematic"
    intensity = table[f"intensity.{wave}.value"].as_numpy_array()
    if column.factor is not None:
        intensity = intensity * column.factor(table, drawn, number, rng)
    counts = column.noise.counts_per_intensity(
        pool.mean_intensity, pool.choice.wavelength, pool.choice.d_min
    )
    compose_expected(table, intensity, rng, column.noise, counts)
    measure(experiment, table, rng, column.noise)
    if not column.dynamical:
        for name in ("intensity.dynamical.value", "truth.thickness"):
            if name in table:
                del table[name]
    _number(table, experiment, number)


def _number(table, experiment, number: int) -> None:
    """Give a table its place in the list."""
    for name in ("id", "imageset_id"):
        table[name] = flex.int(len(table), number)
    identifiers = table.experiment_identifiers()
    for key in list(identifiers.keys()):
        del identifiers[key]
    identifiers[number] = experiment.identifier


def _truth(column, pool, experiments, tables, drawn) -> Truth:
    """What was put in, and what the pool says of multiple scattering."""
    noise = column.noise
    random = noise.extra_error if column.known_s else np.nan
    parts = {
        "image": noise.image_spread**2,
        # A single factor for each crystal is taken off unscaled data.
        "crystal": 0.0,
        "orientation": 0.0,
        "thickness": 0.0,
        "rest": random**2,
    }
    half_way, near = np.nan, 0
    s = np.sqrt(parts["image"] + parts["rest"])
    if column.dynamical:
        whole, sums = pool.truth()
        weights = _weights(sums, column)
        shares = noise_free_shares(sums, weights)
        image = max(common_parts(whole, weights)[0], 0.0)
        half_way, s = shares.half_way, np.nan
        parts["image"] = image + parts["image"] * shares.square
        parts["orientation"] = shares.plateau - shares.zero - image
        parts["thickness"] = shares.zero
        parts["rest"] = random**2 * shares.square
        near = int(shares.pairs["all"][:3].sum())
        near = round(near * (column.crystals / len(pool.tables)) ** 2)
    total = sum(parts.values())
    known = total > 0 and np.isfinite(total)
    found = {k: v / total if known else np.nan for k, v in parts.items()}
    if column.dynamical:
        # The factor of a crystal that is thicker than others depends on how its strong
        # and weak reflections count.
        found["crystal"] = np.nan
    return Truth(
        orientation=parts["orientation"] / total if known else 0.0,
        shares=found,
        half_way=half_way,
        s=float(s) if column.known_s and len(tables) > 1 else np.nan,
        random=random,
        same_orientations=near,
        drawn=drawn,
    )


def _weights(sums, column) -> np.ndarray:
    """As whole_variance weights reflections, with the noise that a column asks for."""
    # Counts of a reflection of mean intensity are mean_counts; the background adds to
    # their variance. Crystals and equivalents together decide whether a mean is known.
    average = sums.mean[sums.mean > 0].mean()
    counts = np.maximum(column.noise.mean_counts * sums.mean / average, 1e-9)
    noise = (counts + BACKGROUND) / counts**2
    variance = far_variance(sums) + column.noise.extra_error**2 * sums.square + noise
    used = (noise < 1) & (variance > 0)
    return one_over(variance, used, sums.count[0].sum(axis=1))


def left_by_scaling(tables: list[flex.reflection_table]) -> float:
    """
    Give the relative error that dials.scale has left, from what was put in.

    Its factors take off a part of those of images, and have errors themselves. What it set
    aside does not count.

    Args:
        tables: Scaled, of crystals without multiple scattering.

    Returns:
        Root mean square of the relative deviations within reflections.
    """
    names = ("truth.scale", "truth.image_factor", "truth.relative_error")
    factor, unique = [], []
    for table in tables:
        table = table.select(~table.get_flags(table.flags.bad_for_scaling, all=False))
        put_in = np.prod([table[n].as_numpy_array() for n in names], axis=0)
        factor.append(put_in / table["inverse_scale_factor"].as_numpy_array())
        unique.append(table["unique"].as_numpy_array())
    factor, unique = np.concatenate(factor), np.concatenate(unique)
    n = np.bincount(unique)
    means = np.bincount(unique, factor) / np.maximum(n, 1)
    square = np.bincount(unique, (factor / means[unique] - 1) ** 2)
    return float(np.sqrt(square.sum() / np.maximum(n - 1, 0)[n > 0].sum()))


def scaled_by_dials(experiments, tables):
    """
    Scale with dials.scale.

    Args:
        experiments, tables: One a crystal.

    Returns:
        The same after scaling; crystals that it leaves out are gone.
    """
    whole = flex.reflection_table.concat([copy.deepcopy(t) for t in tables])
    with tempfile.TemporaryDirectory() as folder:
        experiments.as_file(str(Path(folder, "in.expt")))
        whole.as_file(str(Path(folder, "in.refl")))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            ["dials.scale", "in.expt", "in.refl", "nproc=1", "output.html=None"],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
        )
        scaled = ExperimentListFactory.from_json_file(
            str(Path(folder, "scaled.expt")), check_format=False
        )
        table = flex.reflection_table.from_file(str(Path(folder, "scaled.refl")))
    return scaled, [table.select(table["id"] == i) for i in range(len(scaled))]
