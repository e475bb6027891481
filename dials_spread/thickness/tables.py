"""
The measured tables again, with the simulated columns.

The files are read once more and every row is kept where it was: rows without an index or
an experiment, too, and the flags, identifiers and columns of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.thickness.results import CrystalSimulation
from dials_spread.valid_input.columns import conflicting_columns
from dials_spread.valid_input.pairing import pair_up
from dials_spread.valid_input.reading import read_experiments, read_table

# Column: attribute of CrystalSimulation, and the value of a row without an experiment.
COLUMNS = {
    "intensity.kinematic.value": ("kinematic", 0.0),
    "intensity.kinematic.variance": ("kinematic_variance", -1.0),
    "intensity.dynamical.value": ("dynamical", 0.0),
    "intensity.dynamical.variance": ("dynamical_variance", -1.0),
    "simulation.thickness": ("path", 0.0),
    "simulation.lorentz": ("lorentz", 1.0),
}

_ROW = "row_of_all_files"


def simulated_tables(
    expt: Sequence[str],
    refl: Sequence[str],
    crystals: Sequence[CrystalSimulation],
    allow_pickle: bool = False,
) -> tuple[ExperimentList, flex.reflection_table]:
    """
    Add the simulated columns to the tables of some files.

    Args:
        expt: Names of experiment files, as `input_files.read_files` has read them.
        refl: Names of reflection files.
        crystals: One for each experiment of all files, in order.
        allow_pickle: Also read tables that are pickle files.

    Returns:
        All experiments, and one table. A single file comes back row by row as it was;
        several follow one another, with the numbers of their experiments in the list.
    """
    lists = [read_experiments(f) for f in expt]
    tables = [read_table(f, allow_pickle) for f in refl]
    ends = np.cumsum([len(table) for table in tables])
    for table, end in zip(tables, ends):
        rows = np.arange(end - len(table), end, dtype=np.int32)
        table[_ROW] = cctbx_flex.int(rows)
    found, _ = pair_up(lists, tables, expt, refl)
    rows_of = {n: part[_ROW].as_numpy_array() for n, part in found.items()}
    for table in tables:
        del table[_ROW]
    columns = _columns(int(ends[-1]), rows_of, crystals)
    for table, end in zip(tables, ends):
        for name, values in columns.items():
            table[name] = flex.double(values[end - len(table) : end].copy())
    experiments = ExperimentList([e for some in lists for e in some])
    if len(tables) == 1 and len(lists) == 1:
        return experiments, tables[0]
    return experiments, _joined(tables, experiments, rows_of)


def _columns(
    n_rows: int, rows_of: dict[int, np.ndarray], crystals: Sequence[CrystalSimulation]
) -> dict[str, np.ndarray]:
    """Each column over the rows of all files."""
    columns = {}
    for name, (attribute, otherwise) in COLUMNS.items():
        columns[name] = np.full(n_rows, otherwise)
        for number, rows in rows_of.items():
            columns[name][rows] = getattr(crystals[number], attribute)
    return columns


def _joined(
    tables: Sequence[flex.reflection_table],
    experiments: ExperimentList,
    rows_of: dict[int, np.ndarray],
) -> flex.reflection_table:
    """One table after the other, with the columns that all of them have alike."""
    shared = set.intersection(*(set(table.keys()) for table in tables))
    shared -= conflicting_columns(tables)
    joined = flex.reflection_table()
    for table in tables:
        for name in set(table.keys()) - shared:
            del table[name]
        identifiers = table.experiment_identifiers()
        for key in list(identifiers.keys()):
            del identifiers[key]
        joined.extend(table)
    ids = np.full(len(joined), -1, dtype=np.int32)
    for number, rows in rows_of.items():
        ids[rows] = number
    joined["id"] = cctbx_flex.int(ids)
    for number, experiment in enumerate(experiments):
        if experiment.identifier:
            joined.experiment_identifiers()[number] = experiment.identifier
    return joined
