"""
From observations to the rows of reflection tables.

Functions:
    values_of_rows: one array for the table of each crystal
    values_of_file: one array for the table of a file
"""

from __future__ import annotations

import numpy as np

from dials.array_family import flex

from dials_spread.observations import Observations


def values_of_rows(
    observations: Observations,
    values: np.ndarray,
    tables: list[flex.reflection_table],
    other: float = 1.0,
) -> list[np.ndarray]:
    """
    Give each row of each crystal's table the value of its observation.

    Args:
        observations: n of them, made of these tables.
        values: Shape (n,).
        tables: The reflections of each crystal.
        other: Value of rows that are no observation.

    Returns:
        One array a crystal.
    """
    result = [np.full(len(table), float(other)) for table in tables]
    order = np.argsort(observations.crystal, kind="stable")
    start = np.searchsorted(observations.crystal[order], np.arange(len(tables) + 1))
    for number, (first, stop) in enumerate(zip(start[:-1], start[1:])):
        own = order[first:stop]
        result[number][observations.row[own]] = values[own]
    return result


def values_of_file(
    table: flex.reflection_table,
    tables: list[flex.reflection_table],
    values: list[np.ndarray],
    other: float = 1.0,
) -> np.ndarray:
    """
    Put the values of single crystals where their rows are in the table of a file.

    Args:
        table: The whole table of a file.
        tables: The reflections of each crystal, selected from it by id.
        values: As `values_of_rows` gives them.
        other: Value of reflections of no crystal.

    Returns:
        One for each row of the file.
    """
    ids = table["id"].as_numpy_array()
    result = np.full(len(table), float(other))
    for part, own in zip(tables, values):
        if len(part):
            result[ids == part["id"][0]] = own
    return result
