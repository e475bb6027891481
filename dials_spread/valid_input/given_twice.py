"""
The same crystal under two names.

Observations that agree with themselves pass for agreement between crystals. Two crystals
never give the same numbers at the same places; a copy does, whatever its identifier and
its indexing.

Functions:
    crystals_given_twice: pairs that share most of their observations
    refuse_given_twice: one line for each such pair
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials.array_family import flex

from dials_spread.valid_input.columns import POSITIONS
from dials_spread.valid_input.values import usable_rows

SHARED = 0.5
"""Part of the smaller crystal that must be in the other one."""

FEWEST = 3
"""Observations; fewer could be equal by chance where numbers are rounded."""

MIX = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xC2B2AE3D27D4EB4F),
    np.uint64(0x165667B19E3779F9),
    np.uint64(0x27D4EB2F165667C5),
)
"""Odd numbers that spread the bits of a key over 64."""


def crystals_given_twice(
    tables: Sequence[flex.reflection_table],
) -> list[tuple[int, int, int]]:
    """
    Find crystals that are others again.

    Args:
        tables: The reflections of each crystal.

    Returns:
        Number of a crystal, of the earlier one that it repeats, and how many of its
        observations have position and intensity of one of that.
    """
    keys = [_keys(table) for table in tables]
    crystal = np.repeat(np.arange(len(keys)), [len(k) for k in keys])
    key = np.concatenate(keys) if keys else np.empty(0, np.uint64)
    order = np.argsort(key, kind="stable")
    key, crystal = key[order], crystal[order]
    sizes = np.bincount(crystal, minlength=len(keys))
    # Of each key the first crystal stands for all: a third copy repeats the first.
    begins = np.ones(len(key), dtype=bool)
    begins[1:] = key[1:] != key[:-1]
    earliest = crystal[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    again = earliest != crystal
    pair = earliest[again] * len(keys) + crystal[again]
    found = []
    for number, n in zip(*np.unique(pair, return_counts=True)):
        first, second = divmod(int(number), len(keys))
        if n >= max(FEWEST, SHARED * min(sizes[first], sizes[second])):
            found.append((second, first, int(n)))
    return found


def _keys(table: flex.reflection_table) -> np.ndarray:
    """Give one number for each different observation: position and measured intensity."""
    if not len(table):
        return np.empty(0, np.uint64)
    position = next(table[name] for name in POSITIONS if name in table)
    columns = [*position.as_numpy_array().reshape(-1, 3).T]
    for kind in ("sum", "prf", "scale"):
        if f"intensity.{kind}.value" in table:
            columns.append(table[f"intensity.{kind}.value"].as_numpy_array())
            break
    known = usable_rows(table) & np.isfinite(columns).all(axis=0)
    # Old tables have zeros where nothing was predicted.
    known &= (columns[-1] != 0) & np.any(columns[:-1], axis=0)
    key = np.zeros(len(table), np.uint64)
    for column, factor in zip(columns, MIX):
        # -0 and 0 are one number.
        bits = np.ascontiguousarray(column + 0.0).view(np.uint64)
        key ^= (bits ^ (bits >> np.uint64(29))) * factor
        key ^= key >> np.uint64(31)
    return np.unique(key[known])


def refuse_given_twice(
    tables: Sequence[flex.reflection_table], names: Sequence[str]
) -> None:
    """
    Refuse crystals that were given twice, under other identifiers or in copies of files.

    Args:
        tables: The reflections of each crystal.
        names: Name of the file of each.

    Raises:
        ValueError: One line for each.
    """
    problems = [
        f"Crystal {second} ({names[second]}) is crystal {first} ({names[first]}) again: "
        f"{n} of its {len(tables[second])} reflections have the same position and "
        "intensity. Counted twice it would agree with itself; give it once"
        for second, first, n in crystals_given_twice(tables)
    ]
    if problems:
        raise ValueError("\n".join(problems))
