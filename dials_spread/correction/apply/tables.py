"""
From factors to reflection tables, and back.

The files of one data set stay as they are, row by row, with what belongs to no crystal;
several data sets are joined.

Functions:
    corrected_table: all reflections, corrected
    restored_table: all reflections, as they were before
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dials.array_family import flex
from dxtbx.model import ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.correction.apply.columns import (
    apply_factors,
    correction_state,
    undo_factors,
)
from dials_spread.correction.apply.correct import CorrectionResult
from dials_spread.correction.apply.corrected_files import join
from dials_spread.correction.apply.rows import values_of_file, values_of_rows
from dials_spread.input_files import Input
from dials_spread.prepare.geometry import factor_from_zeta

OF_ONE = 2
"""Files of one data set: experiments and reflections."""


def corrected_table(
    data: Input, result: CorrectionResult
) -> tuple[ExperimentList, flex.reflection_table]:
    """
    Apply a correction.

    Args:
        data: What was read.
        result: The correction, of these data.

    Returns:
        The experiments, and all their reflections.

    Raises:
        ValueError: A table is corrected already.
    """
    observations, tables = result.subject.observations, data.tables
    factors = values_of_rows(observations, result.column, tables)
    _add_lorentz(factors, tables, result)
    columns = {"factor": (factors, 1.0)}
    more = {"uncertainty": result.uncertainty}
    more["offset"] = result.offset if np.any(result.offset) else None
    for name, values in more.items():
        if values is not None:
            # Rows that are no observation are as uncertain as they are corrected: not.
            columns[name] = (values_of_rows(observations, values, tables, 0.0), 0.0)

    def whole(table: flex.reflection_table) -> flex.reflection_table:
        own = {k: values_of_file(table, tables, *c) for k, c in columns.items()}
        return apply_factors(table, scaled=observations.scaled, **own)

    def parts() -> list[flex.reflection_table]:
        return [
            apply_factors(
                table,
                scaled=observations.scaled,
                **{name: values[k] for name, (values, _) in columns.items()},
            )
            for k, table in enumerate(tables)
        ]

    return _whole_or_joined(data, whole, parts)


def _add_lorentz(
    factors: Sequence[np.ndarray],
    tables: Sequence[flex.reflection_table],
    result: CorrectionResult,
) -> None:
    """Where the Lorentz factor was missing, rows that are no observation get it, too."""
    subject = result.subject
    measured, observations = subject.prepared.measured, subject.observations
    if not measured.lorentz_applied_here:
        return
    for number, (factor, table) in enumerate(zip(factors, tables)):
        if "zeta" not in table:
            continue
        left = np.ones(len(table), dtype=bool)
        left[observations.row[observations.crystal == number]] = False
        d_star = np.sqrt(measured.unit_cell.d_star_sq(table["miller_index"]))
        zeta = table["zeta"].as_numpy_array()
        found = factor_from_zeta(zeta, d_star, float(np.median(measured.rate)))
        factor[left] = found[left]


def restored_table(data: Input) -> tuple[ExperimentList, flex.reflection_table]:
    """
    Take a correction back.

    Args:
        data: What was read.

    Returns:
        The experiments, and all their reflections as they were before.

    Raises:
        ValueError: There is nothing to undo.
    """
    lacking = sum(correction_state(t) == "none" for t in data.tables if len(t))
    if lacking:
        raise ValueError(
            f"{lacking} of {len(data.tables)} reflection tables are not corrected; "
            "there is nothing to undo"
        )
    return _whole_or_joined(data, undo_factors, lambda: _undo_all(data.tables))


def _undo_all(
    tables: Sequence[flex.reflection_table],
) -> list[flex.reflection_table]:
    return [undo_factors(table) if len(table) else table for table in tables]


def _whole_or_joined(
    data: Input,
    whole: Callable[[flex.reflection_table], flex.reflection_table],
    parts: Callable[[], list[flex.reflection_table]],
) -> tuple[ExperimentList, flex.reflection_table]:
    """Keep the table of a single file as it is; join those of several."""
    if len(data.files) != OF_ONE:
        return join(data.experiments, parts())
    expt, refl = data.files
    experiments = ExperimentListFactory.from_json_file(expt, check_format=False)
    return experiments, whole(flex.reflection_table.from_file(refl))
