"""
What is wrong with a virtual experiment, and how much.

Two grades of experiments are drawn. "plain" ones have

- 30 to 5,000 electrons for a mean reflection, uniform in the logarithm;
- background from 0.05 to 5 electrons a pixel, likewise;
- an extra error of each observation of 0 to 12 %;
- scales of crystals that differ by 30 %, wander by up to 25 % along the scan, and jump by
  0 to 6 % from image to image;
- a B of each crystal of its own, with a standard deviation of 0.3 Å², for damage;
- half of them up to 3 % of outliers, off by a factor of typically 1.6, as overlaps and edges
  make them, and a background that is wrong by a third of its counting noise under a spot,
  of each crystal its own: models should neither rely on clean data nor expect spoilt ones.

"rough" ones are what many laboratories get. Dynamical refinements of good 3D ED data, which
know the structure and its multiple scattering, still end at R1 of 0.06 to 0.2, so that
intensities have errors of 10 to 40 % that no calculation explains. So, beside more of all
the above,

- the extra error is 5 to 40 %;
- orientations are off by up to 0.2° and cells by 0.2 %, which blurs what is computed from
  them;
- half of the crystals are uneven: a part of up to one half is of another thickness;
- some detectors saturate, and take up to 40 % off the strongest spots;
- crystals cover a part of their scan, and some data end at a coarser resolution, down to
  1.3 Å.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from dxtbx.model import Experiment
from scitbx import matrix

from dials_spread.simulation.noise import NoiseModel

GRADES = ("plain", "rough")

NODES_EVERY = 10.0  # [°], of the wandering scale
COARSEST = 1.3  # [Å]
SATURATED = 0.999
"""Quantile of the intensities of a crystal at which saturation is told."""


@dataclass(frozen=True)
class Grade:
    """
    Limits between which experiments of a grade are drawn.

    Attributes:
        counts: Electrons of a mean reflection.
        background: [electrons per pixel].
        extra_error: Of each observation, relative.
        jitter, wander: Of scales, from image to image and along the scan.
        spread_of_b: Standard deviation over crystals [Å²].
        outliers: Part of the observations.
        outlier_spread: Standard deviation of the logarithm of an outlier's factor.
        background_error: Of a crystal, over the counting noise under a spot.
        spoilt: Part of the experiments that have outliers and wrong backgrounds.
        misset, strain: Of orientations [°] and cells, as in Faults.
        uneven, saturation, shortest_scan: As in Faults.
        often: Part of the experiments that saturate, and that end at a coarser
            resolution, each.
    """

    counts: tuple[float, float] = (30.0, 5000.0)
    background: tuple[float, float] = (0.05, 5.0)
    extra_error: tuple[float, float] = (0.0, 0.12)
    jitter: float = 0.06
    wander: float = 0.25
    spread_of_b: float = 0.3
    outliers: float = 0.03
    outlier_spread: float = 0.5
    background_error: float = 0.3
    spoilt: float = 0.5
    misset: float = 0.0
    strain: float = 0.0
    uneven: float = 0.0
    saturation: float = 0.0
    shortest_scan: float = 1.0
    often: float = 0.0


PLAIN = Grade()
ROUGH = Grade(
    counts=(20.0, 2000.0),
    background=(0.05, 10.0),
    extra_error=(0.05, 0.4),
    jitter=0.1,
    wander=0.4,
    spread_of_b=0.5,
    outliers=0.05,
    outlier_spread=0.7,
    background_error=0.6,
    spoilt=0.7,
    misset=0.2,
    strain=0.002,
    uneven=0.5,
    saturation=0.4,
    shortest_scan=0.4,
    often=0.4,
)


@dataclass(frozen=True)
class Faults:
    """
    What counting statistics and smooth scales do not tell.

    Attributes:
        wander: Standard deviation of the logarithm of the scale along a scan.
        outliers: Part of the observations that are off.
        outlier_spread: Standard deviation of the logarithm of their factors.
        background_error: Of each crystal, over the background's noise under a spot.
        spread_of_b: Of the crystals [Å²].
        misset: Standard deviation of each crystal's orientation about any axis [°].
        strain: The same of the size of its cell, relative.
        uneven: Largest part of a crystal that is of another thickness.
        saturation: Part that the strongest spots lose.
        shortest_scan: Least part of its scan that a crystal covers.
        coarser: Resolution limit, where it is not that of the simulation [Å]; else 0.
    """

    wander: float
    outliers: float
    outlier_spread: float = PLAIN.outlier_spread
    background_error: float = 0.0
    spread_of_b: float = PLAIN.spread_of_b
    misset: float = 0.0
    strain: float = 0.0
    uneven: float = 0.0
    saturation: float = 0.0
    shortest_scan: float = 1.0
    coarser: float = 0.0


def draw_noise(rng: np.random.Generator, grade: Grade = PLAIN) -> NoiseModel:
    """Draw how well an experiment is measured."""
    low, high = grade.extra_error
    return NoiseModel(
        mean_counts=_log_uniform(rng, grade.counts),
        background=_log_uniform(rng, grade.background),
        scale_spread=0.3,
        image_spread=float(rng.uniform(0, grade.jitter)),
        extra_error=(
            _log_uniform(rng, grade.extra_error)
            if low > 0
            else float(rng.uniform(low, high))
        ),
    )


def draw_faults(rng: np.random.Generator) -> Faults:
    """Draw what is wrong with a plain experiment."""
    spoilt = float(rng.random() < PLAIN.spoilt)
    return Faults(
        wander=float(rng.uniform(0, PLAIN.wander)),
        outliers=spoilt * float(rng.uniform(0, PLAIN.outliers)),
        background_error=spoilt * PLAIN.background_error,
    )


def draw_rough_faults(rng: np.random.Generator, d_min: float) -> Faults:
    """
    Draw what is wrong with a rough experiment.

    Args:
        rng: Source of all random numbers.
        d_min: Resolution limit of the simulation [Å].
    """
    spoilt = float(rng.random() < ROUGH.spoilt)
    coarser = rng.random() < ROUGH.often
    return Faults(
        wander=float(rng.uniform(0, ROUGH.wander)),
        outliers=spoilt * float(rng.uniform(0, ROUGH.outliers)),
        outlier_spread=ROUGH.outlier_spread,
        background_error=spoilt * float(rng.uniform(0, ROUGH.background_error)),
        spread_of_b=ROUGH.spread_of_b,
        misset=float(rng.uniform(0, ROUGH.misset)),
        strain=float(rng.uniform(0, ROUGH.strain)),
        uneven=float(rng.random() < 0.5) * ROUGH.uneven,
        saturation=float(rng.random() < ROUGH.often)
        * float(rng.uniform(0, ROUGH.saturation)),
        shortest_scan=ROUGH.shortest_scan,
        coarser=float(coarser) * float(rng.uniform(d_min, COARSEST)),
    )


def misset_experiment(
    rng: np.random.Generator, experiment: Experiment, faults: Faults
) -> Experiment:
    """
    Give an experiment as an imperfect refinement would leave it.

    Args:
        rng: Source of all random numbers.
        experiment: The true one, which is left alone.
        faults: Sizes of the errors.
    """
    if not (faults.misset or faults.strain):
        return experiment
    wrong = copy.copy(experiment)
    wrong.crystal = copy.deepcopy(experiment.crystal)
    x, y, z = np.deg2rad(faults.misset) * rng.standard_normal(3)
    turn = matrix.sqr((1, -z, y, z, 1, -x, -y, x, 1))
    # The same for all edges, or the cell would lose its symmetry.
    stretch = 1 + faults.strain * rng.standard_normal()
    wrong.crystal.set_A(turn * matrix.sqr(experiment.crystal.get_A()) * stretch)
    return wrong


def saturated(intensities: np.ndarray, part: float) -> np.ndarray:
    """
    Give intensities as a detector that saturates would tell them.

    By what it takes off, not by a dead time as in `NoiseModel`: that would need exposures
    and durations, of which these experiments have none of their own.

    Args:
        intensities: Not negative, shape (n,).
        part: What a spot at the quantile SATURATED loses.
    """
    if not part or not len(intensities):
        return intensities
    strongest = max(float(np.quantile(intensities, SATURATED)), 1e-30)
    return intensities / (1 + part / (1 - part) * intensities / strongest)


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


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = np.log(limits)
    return float(np.exp(rng.uniform(low, high)))
