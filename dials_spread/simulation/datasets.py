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
- `truth.expected`: the product of all these and 1/lp, the electrons that reach the
  detector while the whole reflection passes;
- `truth.recorded`: the fraction of them that a detector with a dead time counts;
- `truth.counting_noise`: `intensity.prf.value` less what is expected to be recorded
  [counts].
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.freed_memory import give_back
from dials_spread.simulation.crystals import (
    CrystalTask,
    Sample,
    Setup,
    crystal_experiment,
    prepare_sample,
    simulate_crystal,
)
from dials_spread.simulation.driver import Resources, run_tasks
from dials_spread.simulation.geometry import Laboratory, per_crystal

logger = logging.getLogger("dials.spread.datasets")

TABLES_BETWEEN = 50
"""Of crystals, that are joined before the memory of their tables is given back."""


def simulate_experiments(
    structure: xray.structure,
    rng: np.random.Generator,
    *,
    n_crystals: int = 12,
    scan_width: float | Sequence[float] = 40.0,
    image_width: float | Sequence[float] = 1.0,
    resources: Resources = Resources(),  # noqa: B008, it is immutable
    **choices,
) -> tuple[ExperimentList, flex.reflection_table]:
    """
    Simulate the integrated data of several crystals of one structure.

    Args:
        structure: The crystal structure, its cell and space group.
        rng: Source of one seed for each crystal; one seed gives one data set, bit for
            bit.
        n_crystals: Number of crystals, each with an orientation and a scan.
        scan_width: Angle covered [degrees], one value or one for each crystal.
        image_width: Rotation during an image [degrees], likewise.
        resources: Where the crystals are simulated; the result does not depend on it.
        choices: The attributes of `Setup`: d_min, wavelength, mosaicity, tilt_spread,
            exposure, n_pixels, noise, wave, thickness, selection.

    Returns:
        Experiments, and an integrated table with the columns of truth listed above.

    Raises:
        ValueError: An argument is out of range, or nothing is recorded.
    """
    if n_crystals < 1:
        raise ValueError(f"At least one crystal is needed, not {n_crystals}.")
    tasks = [
        CrystalTask(index, int(seed), total, step)
        for index, (seed, total, step) in enumerate(
            zip(
                rng.integers(2**63, size=n_crystals),
                per_crystal(scan_width, n_crystals),
                per_crystal(image_width, n_crystals),
            )
        )
    ]
    sample = prepare_sample(structure, Setup(**choices))
    experiments = experiments_of(sample, tasks)
    # Nobody but the function that joins them holds the tables, so that it can drop them.
    return experiments, joined(
        run_tasks(simulate_crystal, sample, tasks, resources),
        experiments,
        sample.setup.d_min,
    )


def experiments_of(sample: Sample, tasks: Sequence[CrystalTask]) -> ExperimentList:
    """
    The experiments of all crystals, with one beam, detector and goniometer.

    Args:
        sample: What all crystals share.
        tasks: One for each crystal.
    """
    setup = sample.setup
    laboratory = Laboratory.with_electrons(
        setup.wavelength, setup.d_min, setup.n_pixels
    )
    return ExperimentList([crystal_experiment(sample, t, laboratory) for t in tasks])


def joined(
    tables: Sequence[flex.reflection_table], experiments: ExperimentList, d_min: float
) -> flex.reflection_table:
    """
    One table of all crystals.

    Args:
        tables: One for each crystal, with its number as id; some may be empty.
        experiments: One for each crystal.
        d_min: Resolution limit [Å], for the message.

    Raises:
        ValueError: Nothing is recorded.
    """
    # The last one first, as lists drop their end.
    left = [table for table in reversed(tables) if len(table)]
    del tables
    if not left:
        raise ValueError(f"No reflection to {d_min:g} Å crosses the Ewald sphere.")
    reflections = left.pop()
    while left:
        reflections.extend(left.pop())
        if len(left) % TABLES_BETWEEN == 0:
            give_back()
    for index, experiment in enumerate(experiments):
        reflections.experiment_identifiers()[index] = experiment.identifier
    reflections["partial_id"] = flex.size_t_range(len(reflections))
    n = len(experiments)
    logger.info(
        "%d reflections of %d crystal%s.", len(reflections), n, "" if n == 1 else "s"
    )
    return reflections
