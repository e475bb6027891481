"""
A table of reflections divided by experiments.

Functions:
    divided: the reflections of each
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from dials.array_family import flex


def divided(
    table: flex.reflection_table, wanted: Collection[int], emptied: bool = False
) -> dict[int, flex.reflection_table]:
    """
    Divide a table by experiments, column by column.

    Args:
        table: n reflections.
        wanted: Ids of experiments.
        emptied: Leave no column in the table but id, so that no two copies of all are
            held.

    Returns:
        For each of these ids that has rows, the rows, in their order, with the
        identifier of the experiment.
    """
    ids = table["id"].as_numpy_array()
    order = np.argsort(ids, kind="stable")
    present, begins = np.unique(ids[order], return_index=True)
    ends = [*begins[1:], len(ids)]
    rows = {int(i): order[a:b] for i, a, b in zip(present, begins, ends) if i in wanted}
    names = table.experiment_identifiers()
    parts = {i: flex.reflection_table() for i in rows}
    for name in [*table.keys()]:
        column = table[name]
        for i, own in rows.items():
            first, stop = int(own[0]), int(own[-1]) + 1
            if stop - first == len(own):
                parts[i][name] = column[first:stop]
            else:
                parts[i][name] = column.select(flex.size_t(own.astype(np.uint64)))
        if emptied and name != "id":
            del table[name]
    for i, part in parts.items():
        if i in names:
            part.experiment_identifiers()[i] = names[i]
    return parts
