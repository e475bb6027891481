"""
Multiple scattering in measured crystals: their thickness, and every intensity.

Row by row the tables stay as they are. What is added to each are the columns

- `intensity.kinematic.value`: |F|² of the structure [Å²];
- `intensity.dynamical.value`: the |F|² [Å²] that would give the intensity with multiple
  scattering kinematically, so that the two are compared without a Lorentz factor;
- `intensity.kinematic.variance` (0) and `intensity.dynamical.variance` (what the
  uncertainty of the thickness makes of it);
- `simulation.thickness`: the mean path through the crystal [Å];
- `simulation.lorentz`: the factor that the observed intensities lack; 1 where none.

Nothing is nan: a row without an index, beyond the resolution limit, or whose rocking
curve was not met has values of 0 and variances of -1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread import stages
from dials_spread.observations import Observations, build_observations
from dials_spread.prepare.geometry import add_geometry
from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.dynamical import potential_for
from dials_spread.scattering.scans import RotationScan
from dials_spread.spread.sources.explained import explained_spread
from dials_spread.stages import stage
from dials_spread.thickness.crossings import measured_scan
from dials_spread.thickness.curves import Shape, ThicknessCurves
from dials_spread.thickness.fit import FEWEST
from dials_spread.thickness.one_crystal import describe, fit_crystal
from dials_spread.thickness.preparation import PreparedCrystal, Task, prepare
from dials_spread.thickness.results import (
    CrystalSimulation,
    MeasuredAndSimulated,
    MeasuredSimulation,
)
from dials_spread.thickness.search import ThicknessSearch
from dials_spread.thickness.settings import (
    StructureSetting,
    choose_setting,
    score_settings,
)
from dials_spread.valid_input.columns import PRECESSION

logger = logging.getLogger("dials.spread.thickness")

# The hand of the structure is looked at in as many crystals: all have the same.
N_HANDS = 3


def _scans_of(experiments, tables) -> list[RotationScan]:
    """Give the scans, and refuse what is of none."""
    if any(PRECESSION in table for table in tables if len(table)):
        raise ValueError(
            "The data are of single frames with precession (column "
            "pets.precession_angle), and rotations alone are simulated"
        )
    return [measured_scan(e, n) for n, e in enumerate(experiments)]


@stage("Thickness of crystals")
def simulate_measured(
    structure: xray.structure,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    search: ThicknessSearch = ThicknessSearch(),  # noqa: B008, it is immutable
    selection: BeamSelection = BeamSelection(),  # noqa: B008
    lorentz: str = "auto",
    setting: str = "auto",
    d_min: float | None = None,
    seed: int = 0,
    nproc: int | None = None,
    **choices,
) -> MeasuredSimulation:
    """
    Simulate every row of measured tables, with a thickness fitted to each crystal.

    Args:
        structure: Of the crystals; ions as in `simulation.charges`.
        experiments: One a crystal, with a scan.
        tables: The reflections of each, in the same order; they are not changed.
        search: How thicknesses are looked for.
        selection: Beams that take part.
        lorentz: "auto", "applied" or "missing": whether intensities have the factor.
        setting: "auto" or "given": whether the structure may be laid on the data in
            another setting than its own.
        d_min: Resolution limit [Å]; that of the observations by default.
        seed: For halves, bootstrap samples and controls.
        nproc: Threads; all cores by default.
        choices: Which observations count, see observations.Choices.

    Returns:
        The simulation.

    Raises:
        ValueError: The data are of no rotation or no electrons, the structure does not
            fit the cell, or no crystal has enough observations.
    """
    scans = _scans_of(experiments, tables)
    observations = build_observations(experiments, tables, image_width=0, **choices)
    measured = add_geometry(observations, experiments, tables, lorentz)
    settings = score_settings(structure, measured)
    chosen = choose_setting(settings, setting)
    d_min = d_min or _resolution(measured)
    wavelengths = {e.beam.get_wavelength() for e in experiments}
    task = Task(
        structure=structure,
        potentials={
            w: potential_for(structure, w, d_min, selection) for w in wavelengths
        },
        observations=observations,
        measured=measured,
        choice=settings[chosen].choice,
        d_min=d_min,
        search=search,
        selection=selection,
        nproc=nproc,
    )
    rng = np.random.default_rng(seed)
    done = _all_crystals(task, list(zip(experiments, tables, scans)), rng)
    return _put_together(task, done, settings, chosen, rng)


def _put_together(
    task: Task,
    done: Sequence[tuple[CrystalSimulation, MeasuredAndSimulated]],
    settings: list[StructureSetting],
    chosen: int,
    rng: np.random.Generator,
) -> MeasuredSimulation:
    """What all crystals say together."""
    crystals, parts = zip(*done)
    comparison = MeasuredAndSimulated.joined(parts)
    explained = explained_spread(
        comparison.unique,
        comparison.crystal,
        comparison.intensity,
        comparison.sigma**2,
        comparison.dynamical,
        rng,
        task.nproc,
    )
    return MeasuredSimulation(
        crystals=list(crystals),
        settings=settings,
        chosen=chosen,
        comparison=comparison,
        explained=explained,
        lorentz_applied_here=task.measured.lorentz_applied_here,
        intensity=task.observations.choice,
        n_rows=sum(len(c.kinematic) for c in crystals),
        n_simulated=sum(int((c.dynamical_variance >= 0).sum()) for c in crystals),
    )


def _resolution(measured: Observations) -> float:
    """The smallest d-spacing of an observation [Å]."""
    used = np.unique(measured.unique)
    return float(1 / np.sqrt(measured.d_star_sq[used].max()))


def _all_crystals(
    task: Task, crystals: Sequence[tuple], rng: np.random.Generator
) -> list[tuple[CrystalSimulation, MeasuredAndSimulated]]:
    """
    Fit one crystal after the other.

    Crystals with too few observations for a fit wait for the others, whose median
    thickness they get.
    """
    done: list = [None] * len(crystals)
    waiting: list[tuple[int, PreparedCrystal, ThicknessCurves]] = []
    thicknesses: list[float] = []
    hands = N_HANDS if task.search.hand else 0
    counted = stages.counted(crystals, len(crystals))
    for number, (experiment, table, scan) in enumerate(counted):
        prepared = prepare(task, number, experiment, table, scan)
        curves, found = fit_crystal(task, prepared, rng)
        if found is not None:
            shape, origin = found.shape, "fitted"
        elif task.search.given is not None:
            shape, origin = Shape(task.search.given, task.search.within), "given"
        else:
            waiting.append((number, prepared, curves))
            continue
        done[number] = describe(
            task, prepared, curves, found, shape, origin, len(thicknesses) < hands
        )
        thicknesses.append(shape.thickness)
        _log_crystal(done[number][0])
    if waiting and not thicknesses:
        raise ValueError(
            f"No crystal has the {FEWEST} observations that fitting a thickness takes; "
            "give one."
        )
    for number, prepared, curves in waiting:
        usual = Shape(float(np.median(thicknesses)))
        logger.warning(
            "Crystal %d has too few observations to fit a thickness: it gets %.0f Å, "
            "the median of the others.",
            number,
            usual.thickness,
        )
        done[number] = describe(
            task, prepared, curves, None, usual, "median of the other crystals"
        )
    return done


def _log_crystal(crystal: CrystalSimulation) -> None:
    logger.info(
        "Crystal %d: %.0f Å (%s), R1 %.3f with multiple scattering, %.3f without.",
        crystal.number,
        crystal.shape.thickness,
        crystal.shape.law,
        crystal.r1,
        crystal.r1_kinematic,
    )
