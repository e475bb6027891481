"""
What is put into the data of a column, beyond the noise of a measurement.

Factors of observations before they are counted: a function of a table, of what was drawn
for all crystals (Drawn) and of random numbers gives a factor for each observation. Changes
of what was measured: a function of experiments, tables and random numbers gives others.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from cctbx import sgtbx
from dials.array_family import flex
from dxtbx.model.experiment_list import Experiment, ExperimentList

PART = {"outliers": 0.005, "noisy": 0.05, "spoiled": 0.02}
"""Of observations, reflections and images."""

NOISY = 0.6
"""Relative error of noisy reflections, and of spots on spoiled images."""


@dataclass
class Drawn:
    """
    What all crystals of a data set have in common.

    Attributes:
        n_unique: Number of unique reflections.
        intensity: Mean kinematic |F|² of all reflections [Å²].
        d_min: Resolution [Å].
        noisy: Numbers of noisy reflections, once chosen.
        spoiled: Crystal and image of what was spoiled.
        outliers: Number of outliers.
    """

    n_unique: int
    intensity: float
    d_min: float
    noisy: set[int] = field(default_factory=set)
    spoiled: set[tuple[int, int]] = field(default_factory=set)
    outliers: int = 0


def _error(rng: np.random.Generator, spread: np.ndarray) -> np.ndarray:
    """Factors of mean one that are never negative, log-normal."""
    sigma = np.sqrt(np.log1p(spread**2))
    return np.exp(sigma * rng.standard_normal(len(spread)) - 0.5 * sigma**2)


def error_by_resolution(table, drawn: Drawn, crystal: int, rng) -> np.ndarray:
    """A relative error that grows from 3 % at low to 30 % at the highest resolution."""
    part = (drawn.d_min / table["d"].as_numpy_array()) ** 2
    return _error(rng, 0.03 + 0.27 * part)


def error_by_intensity(table, drawn: Drawn, crystal: int, rng) -> np.ndarray:
    """A relative error of 3 % of weak reflections, and up to 30 % of strong ones."""
    part = table["intensity.kinematic.value"].as_numpy_array() / drawn.intensity
    return _error(rng, 0.03 + 0.27 * part / (1 + part))


def outliers(table, drawn: Drawn, crystal: int, rng) -> np.ndarray:
    """A few observations six times as strong, or a sixth."""
    wild = rng.random(len(table)) < PART["outliers"]
    drawn.outliers += int(wild.sum())
    return np.where(wild, 6.0 ** rng.choice([-1, 1], len(table)), 1.0)


def noisy_reflections(table, drawn: Drawn, crystal: int, rng) -> np.ndarray:
    """A twentieth of the unique reflections with a large error of each observation."""
    if not drawn.noisy:
        n = max(round(PART["noisy"] * drawn.n_unique), 1)
        drawn.noisy = set(rng.choice(drawn.n_unique, n, replace=False).tolist())
    noisy = np.isin(table["unique"].as_numpy_array(), sorted(drawn.noisy))
    return _error(rng, np.where(noisy, NOISY, 0.0))


def spoiled_images(table, drawn: Drawn, crystal: int, rng) -> np.ndarray:
    """A few images on which each spot has a large error."""
    frame = np.floor(table["xyzcal.px"].parts()[2].as_numpy_array()).astype(int)
    frames = np.unique(frame)
    bad = frames[rng.random(len(frames)) < PART["spoiled"]]
    drawn.spoiled |= {(crystal, int(f) + 1) for f in bad}
    return _error(rng, np.where(np.isin(frame, bad), NOISY, 0.0))


def short_scans(experiments, tables, rng):
    """The middle tenth of each scan."""
    kept = []
    for experiment, table in zip(experiments, tables):
        z = table["xyzcal.px"].parts()[2]
        first, last = experiment.scan.get_array_range()
        middle, half = 0.5 * (first + last), 0.05 * (last - first)
        kept.append(table.select(flex.abs(z - middle) < half))
    return experiments, kept


def other_units(experiments, tables, rng):
    """All intensities in other units."""
    for table in tables:
        for method in ("prf", "sum"):
            table[f"intensity.{method}.value"] *= 0.00037
            table[f"intensity.{method}.variance"] *= 0.00037**2
    return experiments, tables


def other_order(experiments, tables, rng):
    """Crystals in another order, and rows of each table."""
    order = rng.permutation(len(tables))
    mixed = []
    for i in order:
        rows = rng.permutation(len(tables[i]))
        mixed.append(tables[i].select(flex.size_t(rows.astype(np.uint64))))
    return ExperimentList([experiments[int(i)] for i in order]), mixed


def equivalent_setting(experiments, tables, rng):
    """Every second crystal indexed in another of its equivalent ways."""
    group = experiments[0].crystal.get_space_group().build_derived_point_group()
    rotations = [op for op in group.all_ops() if op.r().determinant() > 0]
    rotations = [op for op in rotations if not op.is_unit_mx()]
    if not rotations:
        return experiments, tables
    return _reindexed(experiments, tables, rotations[0].as_xyz())


def axes_exchanged(experiments, tables, rng):
    """Every second crystal with a and b exchanged, which its cell nearly allows."""
    return _reindexed(experiments, tables, "y,x,-z")


def _reindexed(experiments, tables, operator: str):
    """Reindex every second crystal, as dials.reindex does, and keep its group's name."""
    change = sgtbx.change_of_basis_op(operator)
    changed, indexed = ExperimentList(), []
    for number, (experiment, table) in enumerate(zip(experiments, tables)):
        if number % 2:
            experiment, table = copy.copy(experiment), copy.deepcopy(table)
            group = experiment.crystal.get_space_group()
            experiment.crystal = experiment.crystal.change_basis(change)
            # As whoever indexes the other way names it: without a shift of the origin.
            experiment.crystal.set_space_group(group)
            table["miller_index"] = change.apply(table["miller_index"])
        changed.append(experiment)
        indexed.append(table)
    return changed, indexed


def virtual_frames(experiments, tables, rng):
    """Overlapping frames: neighbours list a crossing again, from the same counts."""
    doubled = []
    for experiment, table in zip(experiments, tables):
        again = copy.deepcopy(table)
        _, last = experiment.scan.get_array_range()
        width = experiment.scan.get_oscillation(deg=False)[1]
        for name, step in (("xyzcal.px", 1.0), ("xyzcal.mm", width)):
            x, y, z = again[name].parts()
            again[name] = flex.vec3_double(x, y, z + step)
        inside = again["xyzcal.px"].parts()[2] < last
        table.extend(again.select(inside))
        doubled.append(table)
    return experiments, doubled


def stills(experiments, tables, rng):
    """Every fifth frame of a scan as a still of its own."""
    single, found = ExperimentList(), []
    for experiment, table in zip(experiments, tables):
        frame = flex.floor(table["xyzcal.px"].parts()[2]).iround()
        first, last = experiment.scan.get_array_range()
        for number in range(first, last, 5):
            own = table.select(frame == number)
            if len(own) < 5:
                continue
            single.append(_still(experiment, number + 0.5))
            found.append(own)
    for number, own in enumerate(found):
        own["id"] = flex.int(len(own), number)
        for column in ("xyzcal.px", "xyzcal.mm", "xyzobs.px.value", "xyzobs.mm.value"):
            x, y, z = own[column].parts()
            own[column] = flex.vec3_double(x, y, z * 0)
    return single, found


def _still(experiment: Experiment, z: float) -> Experiment:
    """One orientation of a scan, without scan and goniometer."""
    axis = experiment.goniometer.get_rotation_axis()
    angle = experiment.scan.get_angle_from_array_index(z, deg=False)
    crystal = copy.deepcopy(experiment.crystal)
    crystal.rotate_around_origin(axis, angle, deg=False)
    return Experiment(
        beam=experiment.beam,
        detector=experiment.detector,
        crystal=crystal,
        profile=experiment.profile,
        identifier=f"{experiment.identifier}-{z:g}",
    )
