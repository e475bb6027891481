"""
Observations as the spread is measured on them.

Scaled data are given the counting errors that dials.scale started from, and the outliers
that it would not have rejected with the spread in σ. Each observation gets the direction of
its beam at the moment of excitation.

Functions:
    observe: from experiments and tables
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations import Observations, build_observations
from dials_spread.observations.error_model import CountingErrors, counting_errors
from dials_spread.observations.intensities import choose_intensity
from dials_spread.prepare.geometry import observation_geometry
from dials_spread.spread.size.rejected import without_outliers
from dials_spread.stages import stage


class Observed(NamedTuple):
    """
    Observations with what is known of their σ.

    Attributes:
        observations: With the variances that the tables have.
        counted: With those that the spread comes on top of.
        counting: The counting errors.
        outliers_used: Observations among them that dials.scale rejected.
    """

    observations: Observations
    counted: Observations
    counting: CountingErrors
    outliers_used: int


@stage("Observations")
def observe(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    dataset: Sequence[int] | None = None,
    error_model: bool = True,
    **choices,
) -> Observed:
    """
    Build the observations.

    Args:
        experiments: One a crystal.
        tables: The reflections of each.
        dataset: The number of the input list of each experiment.
        error_model: Take off the variances of scaled data what dials.scale has put on.
        choices: As for build_observations.

    Raises:
        ValueError: The data do not serve.
    """
    again = error_model and not choices.get("keep_outliers", False)
    again &= choose_intensity(tables, choices.get("intensity", "auto")) == "scale"
    if again:
        choices["keep_outliers"] = True
    given = build_observations(experiments, tables, dataset, **choices)
    counting, used = counting_errors(given, experiments, tables), 0
    if again:
        given, counting, used = without_outliers(given, counting, tables)
    given = given.with_geometry(
        observation_geometry(given, experiments, tables, one_wavelength=False)
    )
    variance = counting.variance if error_model else given.variance
    return Observed(given, replace(given, variance=variance), counting, used)
