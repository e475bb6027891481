"""
Crystals to draw data sets from: simulated once without noise, then kept in a folder.

One seed chooses crystals of a pool and gives them noise and factors of their own, which
takes a hundredth of the time that their multiple scattering took. Kinematic intensities
stand in the same tables.

Functions:
    pool_named: simulate a pool, or read it
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from cctbx import miller
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList, ExperimentListFactory

from dials_spread.scattering.dynamical import ThicknessModel
from dials_spread.simulation.crystals import mean_squared_amplitude
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure
from dials_spread.structures.structure_files import read_structure
from known_truth.noise_free import NoiseFree, noise_free_of
from known_truth.shares import PairSums, pair_sums

CELLS = {
    "polar": ((7.3, 10.2, 8.4, 90, 90, 90), "P n a 21"),
    "cubic": ((9.1, 9.1, 9.1, 90, 90, 90), "P 21 3"),
    "nearly tetragonal": ((8.1, 8.3, 11.2, 90, 90, 90), "P 21 21 21"),
}
"""Cells and space groups of made-up compounds."""


@dataclass(frozen=True)
class PoolChoice:
    """
    What a pool is made of.

    Attributes:
        structure: One that comes with the program, or one of CELLS.
        crystals: How many.
        d_min: Resolution [Å].
        thickness: Median [Å]; 0 for kinematic intensities alone.
        thickness_spread: Standard deviation of its logarithm.
        scan_width, image_width: [°].
        wavelength: [Å].
    """

    structure: str
    crystals: int = 48
    d_min: float = 1.3
    thickness: float = 400.0
    thickness_spread: float = 0.3
    scan_width: float = 60.0
    image_width: float = 1.0
    wavelength: float = 0.02508


POOLS = {
    "paracetamol": PoolChoice("paracetamol", crystals=100),
    "paracetamol, many": PoolChoice("paracetamol", crystals=320),
    "paracetamol, equal": PoolChoice("paracetamol", thickness_spread=0.0),
    "paracetamol, thin": PoolChoice("paracetamol", thickness=80.0),
    "paracetamol, thick": PoolChoice(
        "paracetamol", thickness=1000.0, thickness_spread=0.5
    ),
    "abiraterone": PoolChoice("abiraterone", crystals=100, d_min=1.2),
    "quartz": PoolChoice("quartz", d_min=0.7),
    "polar": PoolChoice("polar"),
    "cubic": PoolChoice("cubic"),
    "nearly tetragonal": PoolChoice("nearly tetragonal", thickness=0.0),
    "fine slices": PoolChoice(
        "paracetamol", crystals=24, thickness=0.0, scan_width=40, image_width=0.2
    ),
    "small": PoolChoice("paracetamol", crystals=8, d_min=1.6),
    "small, nearly tetragonal": PoolChoice(
        "nearly tetragonal", crystals=4, d_min=1.6, thickness=0.0
    ),
    "X-rays": PoolChoice("paracetamol", thickness=0.0, wavelength=0.7, crystals=24),
}


@dataclass
class Pool:
    """
    Noise-free crystals.

    Attributes:
        choice: What they are.
        experiments: One a crystal.
        tables: Their reflections, with `unique`, numbers under the Laue group.
        mean_intensity: Mean |F|² [Å²].
        truths: Noise-free observations and their pairs, made when asked for.
    """

    choice: PoolChoice
    experiments: ExperimentList
    tables: list[flex.reflection_table]
    mean_intensity: float
    truths: dict[str, tuple[NoiseFree, PairSums]] = field(default_factory=dict)

    @property
    def dynamical(self) -> bool:
        """Whether multiple scattering was simulated."""
        return self.choice.thickness > 0

    def truth(self) -> tuple[NoiseFree, PairSums]:
        """Give the noise-free observations and sums over their pairs."""
        if "dynamical" not in self.truths:
            # concat of DIALS 3.12 adds the others to its first table.
            own = [copy.deepcopy(table) for table in self.tables]
            table = flex.reflection_table.concat(own)
            data = noise_free_of(self.experiments, table)
            self.truths["dynamical"] = (data, pair_sums(data))
        return self.truths["dynamical"]


@lru_cache(maxsize=16)
def pool_named(name: str, folder: str, nproc: int = 1) -> Pool:
    """
    Simulate a pool, or read it where that was done before.

    Args:
        name: Of POOLS.
        folder: Where pools are kept.
        nproc: Processes of a simulation.
    """
    choice = POOLS[name]
    stem = name.replace(", ", "_").replace(" ", "_")
    expt, refl = (Path(folder, f"{stem}.{end}") for end in ("expt", "refl"))
    structure = _structure(choice.structure)
    if not refl.is_file():
        experiments, table = _simulate(structure, choice, nproc)
        Path(folder).mkdir(parents=True, exist_ok=True)
        experiments.as_file(str(expt))
        table.as_file(str(refl))
    experiments = ExperimentListFactory.from_json_file(str(expt), check_format=False)
    table = flex.reflection_table.from_file(str(refl))
    table["unique"] = _unique(experiments, table)
    return Pool(
        choice=choice,
        experiments=experiments,
        tables=[table.select(table["id"] == i) for i in range(len(experiments))],
        mean_intensity=mean_squared_amplitude(structure, choice.d_min),
    )


def _structure(name: str):
    if name not in CELLS:
        return read_structure(name)
    cell, group = CELLS[name]
    return random_structure(np.random.default_rng(11), cell, group)


def _simulate(
    structure, choice: PoolChoice, nproc: int
) -> tuple[ExperimentList, flex.reflection_table]:
    return simulate_experiments(
        structure,
        np.random.default_rng(16),
        n_crystals=choice.crystals,
        scan_width=choice.scan_width,
        image_width=choice.image_width,
        d_min=choice.d_min,
        wavelength=choice.wavelength,
        wave="dynamical" if choice.thickness else "kinematic",
        thickness=ThicknessModel(
            median=choice.thickness or 400.0, spread=choice.thickness_spread
        ),
        noise=NoiseModel(counting=False, scale_spread=0),
        resources=Resources(nproc=nproc),
    )


def _unique(experiments: ExperimentList, table: flex.reflection_table) -> flex.int:
    """Number reflections that are equivalent, Friedel mates included."""
    group = experiments[0].crystal.get_space_group()
    # A copy: mapping changes indices where they are.
    indices = table["miller_index"].deep_copy()
    miller.map_to_asu(group.type(), False, indices)
    hkl = indices.as_vec3_double().as_numpy_array().astype(int)
    number = np.unique(hkl, axis=0, return_inverse=True)[1].ravel()
    return flex.int(number.astype(np.int32))
