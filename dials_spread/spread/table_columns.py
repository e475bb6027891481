"""
What is taken from reflection tables besides observations, so that they need not be kept.

Functions:
    take_from_tables: the beam, simulated intensities, and what is corrected
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.freed_memory import give_back
from dials_spread.observations import Observations
from dials_spread.observations.correction_state import (
    corrected_crystals,
    mixture_warning,
)
from dials_spread.spread.beam.beam_sources import BeamSources, analyse_beam
from dials_spread.spread.origins import OriginChoices, beam_of_images
from dials_spread.spread.sources.simulated import Simulated, simulated_columns
from dials_spread.valid_input.columns import POSITIONS

PLACES = (*POSITIONS, "s1", "bbox", "panel", "zeta", "miller_index")
"""Columns that nothing is taken from once raw images have been looked at."""


class TableColumns(NamedTuple):
    """
    What is not in observations.

    Attributes:
        beam: What explains the differences between images; None where not wanted.
        simulated: Simulated intensities of observations; None where there are none.
        mixture: A sentence where some crystals are corrected and others are not.
    """

    beam: BeamSources | None
    simulated: Simulated | None
    mixture: str


def take_from_tables(
    observations: Observations,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    choices: OriginChoices,
    rng: np.random.Generator,
    nproc: int | None = None,
    emptied: bool = False,
) -> TableColumns:
    """
    Take all that is needed from tables.

    Args:
        observations: Made of the tables.
        experiments: One a crystal.
        tables: The reflections of each.
        choices: About the beam.
        rng: For draws.
        nproc: Processes; all cores by default.
        emptied: Leave nothing in the tables; else they are not changed.
    """
    mixture = mixture_warning(corrected_crystals(tables, observations.choice))
    images = beam_of_images(observations, experiments, tables, choices, nproc)
    if emptied:
        _let_go(tables, PLACES)
    beam = None
    if choices.beam:
        beam = analyse_beam(observations, tables, images, rng, nproc)
    simulated = simulated_columns(observations, tables)
    if emptied:
        _let_go(tables)
    return TableColumns(beam, simulated, mixture)


def _let_go(
    tables: Sequence[flex.reflection_table], names: Collection[str] | None = None
) -> None:
    """Free the memory of columns, all by default."""
    for table in tables:
        for name in [*table.keys()]:
            if names is None or name in names:
                del table[name]
    give_back()
