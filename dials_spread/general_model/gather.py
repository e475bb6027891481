"""
Features and kinematic amplitudes of virtual experiments, as files.

The way is the one that measured data take: tables to Observations, with their geometry, to
features; so that a model meets in use what it met in training. One file a compound, of
all its experiments; what is there already is not made again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.correction.features.all_features import FeatureSet, make_features
from dials_spread.general_model.compounds import load_compound
from dials_spread.general_model.faults import GRADES
from dials_spread.general_model.virtual import virtual_experiments
from dials_spread.observations import Observations, build_observations
from dials_spread.prepare.geometry import add_geometry
from dials_spread.prepare.prepared import prepare
from dials_spread.prepare.weights import estimate_amplitudes
from dials_spread.rfactor.r1 import r_factor

logger = logging.getLogger("dials.spread.gather")

FEWEST_UNIQUE = 120
FEWEST_OBSERVATIONS = 300
LEAST_MULTIPLICITY = 2.0
"""What a set must have for the correction to be offered, and so to be trained on."""

FORCED_MULTIPLICITY = 1.5
"""Rough sets may have less, as where a user insists."""

MOST_R1 = 0.6
"""Rough sets with a plain merge worse than this are left out: there is next to no signal."""

COPIES = 1
"""Virtual experiments of each stratum."""


@dataclass(frozen=True)
class VirtualExperiment:
    """
    One virtual experiment, ready for training or for a test.

    Attributes:
        compound: Seed of the compound.
        stratum: Of its thickness, 0 for the thinnest.
        grade: One of GRADES.
        features: Of the experiment.
        F: Shape (u,), kinematic |F| [Å] of each unique reflection.
        simple: Shape (u,), normalised amplitudes by the coupling-weighted mean.
        median: Shape (u,), by the median.
    """

    compound: int
    stratum: int
    grade: str
    features: FeatureSet
    F: np.ndarray
    simple: np.ndarray
    median: np.ndarray

    @property
    def multiplicity(self) -> float:
        """Observations for each unique reflection."""
        return len(self.features.unique) / len(self.F)


def measured_of(
    experiments: ExperimentList, tables: Sequence[flex.reflection_table]
) -> tuple[Observations, Observations]:
    """
    Take tables the way that measured data take.

    Args:
        experiments: One a crystal.
        tables: Of each.
    """
    observations = build_observations(experiments, tables)
    return observations, add_geometry(observations, experiments, tables)


def true_amplitudes(
    observations: Observations, tables: Sequence[flex.reflection_table]
) -> np.ndarray:
    """
    Read the kinematic amplitudes of unique reflections from columns of truth.

    Args:
        observations: Made of these tables.
        tables: With `intensity.kinematic.value` [Å²].

    Returns:
        |F| [Å], of shape (u,): the root mean square over the observations, which differ
        only where Friedel mates do.
    """
    squared = np.zeros(len(observations))
    for crystal, table in enumerate(tables):
        own = observations.crystal == crystal
        column = table["intensity.kinematic.value"].as_numpy_array()
        squared[own] = column[observations.row[own]]
    n = np.bincount(observations.unique, minlength=len(observations.unique_index))
    total = np.bincount(observations.unique, squared, minlength=len(n))
    return np.sqrt(total / np.maximum(n, 1))


def is_offered(observations: Observations, least: float = LEAST_MULTIPLICITY) -> bool:
    """Whether a correction would be offered for such data."""
    n, n_unique = len(observations), len(observations.unique_index)
    enough = n_unique >= FEWEST_UNIQUE and n >= FEWEST_OBSERVATIONS
    return enough and n >= least * n_unique


def gather_compound(
    folder: str, seed: int, threads: int | None = 1
) -> list[VirtualExperiment]:
    """
    Make the training sets of a compound, or read them where they were made.

    Args:
        folder: With the files of `store_compound`.
        seed: Of the compound.
        threads: Not used; a driver that stays in one process passes it.

    Returns:
        One set for each experiment for which a correction would be offered, those of
        each grade behind one another.
    """
    return [s for grade in GRADES for s in _gather_grade(folder, seed, grade)]


def _gather_grade(folder: str, seed: int, grade: str) -> list[VirtualExperiment]:
    path = Path(folder) / f"{grade}_{seed:06d}.npz"
    if path.exists():
        return _read(path, seed, grade)
    about = json.loads((Path(folder) / f"compound_{seed:06d}.json").read_text())
    sets = [] if "failed" in about else list(_make(folder, seed, grade))
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **_arrays(sets))
    partial.replace(path)
    return sets


def gather_counts(folder: str, seed: int, threads: int | None = 1) -> int:
    """Make the training sets of a compound, and say how many there are."""
    return len(gather_compound(folder, seed))


def _make(folder: str, seed: int, grade: str):
    experiments, reflections, about = load_compound(folder, seed)
    # Not the seed of the compound itself, which its structure was drawn with.
    rng = np.random.default_rng([seed, 1 + GRADES.index(grade)])
    virtual = virtual_experiments(experiments, reflections, about, rng, COPIES, grade)
    least = LEAST_MULTIPLICITY if grade == "plain" else FORCED_MULTIPLICITY
    for own, tables, how in virtual:
        try:
            observations, measured = measured_of(own, tables)
            if not is_offered(observations, least):
                continue
            prepared = prepare(measured, nproc=1)
            features = make_features(measured, nproc=1)
        except ValueError as error:
            logger.warning("Compound %d left out: %s", seed, error)
            continue
        F = true_amplitudes(observations, tables)
        before = r_factor(features.E_k * np.sqrt(features.N), F)[0]
        if grade == "rough" and not before < MOST_R1:
            continue
        yield VirtualExperiment(
            compound=seed,
            stratum=how["stratum"],
            grade=grade,
            features=features,
            F=F,
            simple=estimate_amplitudes(prepared, "weights"),
            median=estimate_amplitudes(prepared, "median"),
        )


def _arrays(sets: Sequence[VirtualExperiment]) -> dict[str, np.ndarray]:
    """Name all arrays of some sets for one file."""
    arrays = {"n": np.array(len(sets))}
    for k, one in enumerate(sets):
        for name in ("stratum", "F", "simple", "median"):
            arrays[f"{k}.{name}"] = np.asarray(getattr(one, name))
        for field in fields(FeatureSet):
            arrays[f"{k}.features.{field.name}"] = np.asarray(
                getattr(one.features, field.name)
            )
    return arrays


def _features(stored, name: str) -> FeatureSet:
    """Read back what `_arrays` stored under this name."""
    return FeatureSet(
        observation=stored[f"{name}.observation"],
        reflection=stored[f"{name}.reflection"],
        observation_names=tuple(map(str, stored[f"{name}.observation_names"])),
        reflection_names=tuple(map(str, stored[f"{name}.reflection_names"])),
        unique=stored[f"{name}.unique"],
        crystal=stored[f"{name}.crystal"],
        E_i=stored[f"{name}.E_i"],
        E_k=stored[f"{name}.E_k"],
        N=stored[f"{name}.N"],
    )


def _read(path: Path, seed: int, grade: str) -> list[VirtualExperiment]:
    sets = []
    with np.load(path, allow_pickle=False) as stored:
        for k in range(int(stored["n"])):
            sets.append(
                VirtualExperiment(
                    compound=seed,
                    stratum=int(stored[f"{k}.stratum"]),
                    grade=grade,
                    features=_features(stored, f"{k}.features"),
                    F=stored[f"{k}.F"],
                    simple=stored[f"{k}.simple"],
                    median=stored[f"{k}.median"],
                )
            )
    return sets
