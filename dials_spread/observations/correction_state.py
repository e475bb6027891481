"""
Which rows of a reflection table dials.ml_correct has corrected.

A correction keeps what it changes: the factor in one column, and the intensities as they
were in others. Programs of DIALS that join tables fill columns that one of them lacks
with nought, those that split, sort, filter or reindex take rows with all their columns. So
the state is read row by row: a row was corrected where its factor is not 0 and an original
is kept. No bit of an original that was filled in is set. A row that was measured as
+0 ± 0 looks the same; it is the same before and after a correction.

Whether another program has computed an intensity anew since is told crystal by crystal.

Functions:
    row_states: of each row
    correction_state: of a table
    corrected_crystals: which crystals are corrected
    mixture_warning: what to say where some are and some are not
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials.array_family import flex

from dials_spread.observations.intensities import COLUMN

FACTOR = "ml_correction"
"""Column of c; 1 in rows that a correction left, 0 in those of crystals without one."""

UNCERTAINTY = "ml_correction.sigma"
"""Column of the standard deviation of c."""

OFFSET = "ml_correction.offset"
"""Columns of what was added to each kind of intensity, where something was."""

INFLATION = "ml_correction.inflation"
"""Column of what variances were multiplied by besides c², where there is one."""

COMMON = "ml_correction.common"
"""Column of the error that all observations of a reflection share, in units of the σ that
the correction gave."""

TAKEN_IN = "ml_correction.taken_in"
"""Column with 1 in rows that dials.scale had rejected as outliers, and which count since they
were corrected, 2 where they were flagged as scaled before, too; 0 elsewhere."""

INTEGRATED = ("prf", "sum")
SCALED = ("scale",)
KINDS = (*INTEGRATED, *SCALED)

STATES = ("none", "corrected", "overwritten")
"""By the number that `row_states` gives."""


def intensity_name(kind: str, what: str) -> str:
    """Name the column of "prf", "sum" or "scale", its "value" or "variance"."""
    return f"intensity.{kind}.{what}"


def original_name(kind: str, what: str) -> str:
    """Name the column in which that is kept as it was before a correction."""
    return f"intensity.{kind}.original.{what}"


def correction_columns(names: Sequence[str]) -> list[str]:
    """List those of the names of columns that a correction has added."""
    kept = {original_name(k, what) for k in KINDS for what in ("value", "variance")}
    return [n for n in names if n == FACTOR or n.startswith(f"{FACTOR}.") or n in kept]


def column(table: flex.reflection_table, name: str) -> np.ndarray:
    """Give a column as an array."""
    return table[name].as_numpy_array()


def added(table: flex.reflection_table, kind: str) -> np.ndarray:
    """Give what was added to an intensity in each row, shape (n,)."""
    name = f"{OFFSET}.{kind}"
    return column(table, name) if name in table else np.zeros(len(table))


def variance_factor(table: flex.reflection_table) -> np.ndarray:
    """Give what a correction multiplied variances by in each row, shape (n,)."""
    factor = column(table, FACTOR)
    square = factor * factor
    if INFLATION not in table:
        return square
    # 0 is what is filled in where tables are joined with some that lack the column.
    more = column(table, INFLATION)
    return square * np.where(more > 0, more, 1.0)


def kept_rows(table: flex.reflection_table, kind: str) -> np.ndarray:
    """
    Find the rows whose intensity was corrected, whatever was made of it since.

    Args:
        table: n reflections.
        kind: "prf", "sum" or "scale".

    Returns:
        Shape (n,), true where the original is kept.
    """
    names = [original_name(kind, what) for what in ("value", "variance")]
    if FACTOR not in table or not all(name in table for name in names):
        return np.zeros(len(table), dtype=bool)
    bits = [np.ascontiguousarray(column(table, n)).view(np.int64) for n in names]
    return (column(table, FACTOR) > 0) & ((bits[0] != 0) | (bits[1] != 0))


def untouched_rows(table: flex.reflection_table, kind: str) -> np.ndarray:
    """Find the rows, of those kept, in which it is still what the correction made of it."""
    factor = column(table, FACTOR)
    untouched = kept_rows(table, kind)
    parts = (
        ("value", factor, added(table, kind)),
        ("variance", variance_factor(table), 0.0),
    )
    for what, c, o in parts:
        expected = column(table, original_name(kind, what)) * c + o
        found = column(table, intensity_name(kind, what))
        untouched &= (found == expected) | (np.isnan(found) & np.isnan(expected))
    return untouched


def intact_rows(table: flex.reflection_table, kind: str) -> np.ndarray:
    """
    Find the rows, of those kept, that belong to a crystal that is corrected still.

    dials.scale joins the parts of reflections that were integrated in two, which leaves
    other values in some rows; an intensity computed anew differs in nearly all.

    Args:
        table: n reflections.
        kind: "prf", "sum" or "scale".

    Returns:
        Shape (n,).
    """
    kept = kept_rows(table, kind)
    if not kept.any() or intensity_name(kind, "value") not in table:
        return kept & False
    telling = kept & (column(table, original_name(kind, "value")) != 0)
    same = telling & untouched_rows(table, kind)
    ids = column(table, "id") if "id" in table else np.zeros(len(table), dtype=int)
    crystal = np.unique(ids, return_inverse=True)[1].ravel()
    n, n_same = np.bincount(crystal, telling), np.bincount(crystal, same)
    return kept & ((n == 0) | (n_same > 0.5 * n))[crystal]


def corrected_kinds(table: flex.reflection_table) -> list[str]:
    """List the intensities that were corrected in any row: "prf", "sum", "scale"."""
    return [kind for kind in KINDS if kept_rows(table, kind).any()]


def row_states(table: flex.reflection_table) -> np.ndarray:
    """
    Say of each row whether it is corrected.

    Args:
        table: n reflections.

    Returns:
        Shape (n,), numbers of `STATES`; "overwritten" where the correction was made but
        another program has written new intensities since, as dials.scale does.
    """
    state = np.zeros(len(table), dtype=int)
    for kind in KINDS:
        kept = kept_rows(table, kind)
        state[kept] = np.maximum(state, np.where(intact_rows(table, kind), 1, 2))[kept]
    return state


def correction_state(table: flex.reflection_table) -> str:
    """
    Say whether a table is corrected.

    Args:
        table: Any reflection table, of one crystal or several.

    Returns:
        "none"; "corrected" where some crystal is; or "overwritten" where none is, but
        some were: see `row_states`.
    """
    found = set(row_states(table))
    return next((STATES[k] for k in (1, 2) if k in found), STATES[0])


def corrected_crystals(
    tables: Sequence[flex.reflection_table], choice: str | None = None
) -> np.ndarray:
    """
    Find the crystals that are corrected.

    Args:
        tables: The reflections of each of n crystals.
        choice: "scale", "profile" or "sum", where that intensity alone counts. A scaled
            one also counts as corrected where it was made from corrected ones.

    Returns:
        Shape (n,).
    """
    kinds = KINDS if choice is None or choice == "scale" else (COLUMN[choice],)
    return np.array(
        [any(intact_rows(table, k).any() for k in kinds) for table in tables], bool
    )


def mixture_warning(corrected: np.ndarray) -> str:
    """
    Say that some crystals are corrected and others are not.

    Args:
        corrected: Shape (crystals,), which of them are.

    Returns:
        A sentence; empty where all are alike.
    """
    n, n_corrected = len(corrected), int(np.count_nonzero(corrected))
    if n_corrected in (0, n):
        return ""
    are = "is" if n_corrected == 1 else "are"
    return (
        f"Corrected and uncorrected crystals are mixed: {n_corrected} of {n} {are} "
        f"corrected by dials.ml_correct, {n - n_corrected} not."
    )
