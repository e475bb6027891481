"""
Which reflections belong to which experiments.

By the experiment identifiers where a table has them, else by the names of the files (a.refl
belongs to a.expt), else by their order, as in DIALS.

Functions:
    pair_up: one table for each experiment
    lists_of_tables: by the names of files
    match_ids: the experiment of each id of each table
    split_tables: tables divided by experiments
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.valid_input.division import divided


def pair_up(
    lists: Sequence[ExperimentList],
    tables: Sequence[flex.reflection_table],
    expt: Sequence[str],
    refl: Sequence[str],
) -> tuple[dict[int, flex.reflection_table], dict[str, int]]:
    """
    Find the reflections of each experiment.

    Args:
        lists: The experiment lists.
        tables: The reflection tables, in any order where identifiers tell which is
            whose, or the names of the files do, else in the order of the lists.
        expt: File names.
        refl: File names.

    Returns:
        Tables by the number of the experiment, counted through all lists; and how many
        reflections of each file have no experiment.

    Raises:
        ValueError: A table has no experiment, or a list has no reflections.
    """
    return split_tables(tables, refl, match_ids(lists, tables, expt, refl))


def split_tables(
    tables: Sequence[flex.reflection_table],
    refl: Sequence[str],
    numbers: Sequence[dict[int, int]],
    emptied: bool = False,
) -> tuple[dict[int, flex.reflection_table], dict[str, int]]:
    """Divide tables by experiments, and count what has none."""
    found: dict[int, flex.reflection_table] = {}
    unmatched: dict[str, int] = {}
    for table, name, own in zip(tables, refl, numbers):
        parts = divided(table, own, emptied)
        found.update((own[i], part) for i, part in parts.items())
        ids = table["id"].as_numpy_array()
        if others := np.count_nonzero(~np.isin(ids, [-1, *parts])):
            unmatched[name] = others
    return found, unmatched


def _ids(table: flex.reflection_table) -> list[int]:
    """List the ids in a table, without that of no experiment."""
    return [int(i) for i in np.unique(table["id"].as_numpy_array()) if i != -1]


def match_ids(
    lists: Sequence[ExperimentList],
    tables: Sequence[flex.reflection_table],
    expt: Sequence[str],
    refl: Sequence[str],
) -> list[dict[int, int]]:
    """
    Find the experiment of each id in each table; arguments and errors as of pair_up.

    Returns:
        For each table the numbers of experiments by id, of those that were given.
    """
    identifiers = [e.identifier for some in lists for e in some]
    first = np.cumsum([0] + [len(some) for some in lists])
    matched: list[dict[int, int]] = []
    found: set[int] = set()
    problems, used = [], 0
    list_of = lists_of_tables(expt, refl)
    for k, (table, name) in enumerate(zip(tables, refl)):
        ids = _ids(table)
        names = dict(table.experiment_identifiers())
        # Alone with its list, a table belongs to it; else it goes on counting.
        bounds = (used, len(identifiers))
        if len(tables) == len(lists):
            bounds = (first[list_of[k]], first[list_of[k] + 1])
        used += len(ids)
        numbers = _experiments_of(ids, names, identifiers, bounds)
        if not numbers and len(set(identifiers)) < len(identifiers):
            problems.append(
                f"{name}: several of the experiments have the same identifiers; give "
                "them once, or one .refl file for each .expt file in the same order"
            )
        elif not numbers:
            problems.append(f"{name}: the experiments of these reflections are missing")
        again = sum(n in found for n in numbers.values())
        if again:
            problems.append(f"{name}: a second table for {again} of the experiments")
        found |= set(numbers.values())
        matched.append(numbers)
    for k, name in enumerate(expt):
        if not problems and not any(first[k] <= n < first[k + 1] for n in found):
            problems.append(f"{name}: the reflections of these experiments are missing")
    if problems:
        raise ValueError("\n".join(problems))
    return matched


def lists_of_tables(expt: Sequence[str], refl: Sequence[str]) -> list[int]:
    """
    Find the list of each table, where there are as many of both.

    Args:
        expt: Names of experiment files.
        refl: Names of reflection files.

    Returns:
        For each table the number of its list: by the names without ending, else by order.
    """
    names = [os.path.splitext(f)[0] for f in expt]
    wanted = [os.path.splitext(f)[0] for f in refl]
    if len(set(names)) == len(names) and sorted(names) == sorted(wanted):
        return [names.index(name) for name in wanted]
    return [*range(len(refl))]


def _experiments_of(
    ids: list[int], names: dict[int, str], identifiers: list[str], bounds
) -> dict[int, int]:
    """
    Find the experiments of one table, by its ids.

    By identifier among all experiments where these are unambiguous, else among those
    within bounds; else by place.
    """
    first, stop = bounds
    for low, high in ((0, len(identifiers)), (first, stop)):
        own = identifiers[low:high]
        if len(set(own)) == len(own) and any(names.get(i) in own for i in ids):
            return {i: low + own.index(names[i]) for i in ids if names.get(i) in own}
    if any(names.get(i) for i in ids) and all(identifiers[first:stop]):
        return {}
    if len(ids) == stop - first:
        # As DIALS does: the lowest id is the first experiment, whatever it is called.
        return dict(zip(ids, range(first, stop)))
    return {i: first + i for i in ids if first + i < stop}
