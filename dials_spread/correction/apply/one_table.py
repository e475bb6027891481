"""
Corrections in one reflection table: made, and taken back.

Before dials.scale the integrated values are multiplied by c, after it the scaled one;
variances by c² and by what the correction leaves of errors (table_errors). What stood there is kept beside it, as `intensity.prf.original.value`
and so on, and c in `ml_correction`. Where no factor is enough (see estimates), something
is added, which `ml_correction.offset.prf` and so on keep. Rows that dials.scale had rejected
as outliers and that are corrected lose that flag, and are flagged as scaled, which
`ml_correction.taken_in` keeps: dials.merge and dials.export shall count them. All other flags,
identifiers, the order of rows and all other columns stay as they are. `inverse_scale_factor` stays too, so that
the corrected scaled intensity is `intensity.scale.value / inverse_scale_factor` as ever.

Corrected and uncorrected crystals may stand in one table: see
observations.correction_state for how rows are told apart.

Functions:
    apply_factors: correct some rows or all
    undo_factors: give back what was there before, bit for bit
    check_uncorrected, check_crystals_uncorrected: whether it may be corrected
    without_correction: take out what a correction has added
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.observations.correction_state import (
    COMMON,
    FACTOR,
    INFLATION,
    INTEGRATED,
    OFFSET,
    SCALED,
    STATES,
    TAKEN_IN,
    UNCERTAINTY,
    added,
    column,
    corrected_kinds,
    correction_columns,
    correction_state,
    intact_rows,
    intensity_name,
    kept_rows,
    original_name,
    row_states,
    untouched_rows,
    variance_factor,
)
from dials_spread.observations.intensities import COLUMN, intensity_and_variance
from dials_spread.observations.right_factors import AS_READ, without_as_read

logger = logging.getLogger("dials.spread.columns")

OLD_LP = f"{FACTOR}.lp"
"""Column of what `lp` was before the right factor took its place (observations.
right_factors); -0 for nought and nan for no column, since nought is what is filled in when
tables are joined."""


def _offset_of_rows(
    table: flex.reflection_table, kind: str, offset: np.ndarray
) -> np.ndarray:
    """Take lp, qe, partiality and scale out of offsets; 0 where that cannot be done."""
    (choice,) = [c for c, own in COLUMN.items() if own == kind]
    variance = intensity_and_variance(table, choice)[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = offset * np.sqrt(
            column(table, intensity_name(kind, "variance")) / variance
        )
    return np.where(np.isfinite(found) & (variance > 0), found, 0.0)


def copied(table: flex.reflection_table) -> flex.reflection_table:
    """Copy a table; selecting keeps the experiment identifiers in every release."""
    return table.select(cctbx_flex.bool(len(table), True))


def without_correction(table: flex.reflection_table) -> flex.reflection_table:
    """Take the columns of a correction out; the intensities stay as they are."""
    found = copied(table)
    for name in correction_columns([*table.keys()]):
        del found[name]
    return found


def check_uncorrected(
    table: flex.reflection_table, rows: np.ndarray | None = None
) -> None:
    """
    Refuse a table that is corrected already.

    Args:
        table: Any reflection table, n rows.
        rows: Shape (n,), true for those that matter; all by default.

    Raises:
        ValueError: They are, or some of them.
    """
    states = row_states(table)
    _refuse(table, states if rows is None else states[rows], "These reflections")


def check_crystals_uncorrected(tables: Sequence[flex.reflection_table]) -> None:
    """
    Refuse crystals of which some are corrected already.

    Args:
        tables: The reflections of each.

    Raises:
        ValueError: Some are; it says how many.
    """
    states = [row_states(table) for table in tables]
    for state in (1, 2):
        found = [k for k, own in enumerate(states) if (own == state).any()]
        if not found:
            continue
        who, several = "These reflections", True
        if len(found) < len(tables):
            who = f"{len(found)} of {len(tables)} crystals"
            several = len(found) != 1
        _refuse(tables[found[0]], np.array([state]), who, several)


def _refuse(
    table: flex.reflection_table, states: np.ndarray, who: str, several: bool = True
) -> None:
    """Say why rows in such states cannot be corrected."""
    if STATES.index("corrected") in states:
        kinds = " and ".join(f"intensity.{k}" for k in corrected_kinds(table))
        raise ValueError(
            f"{who} {'are' if several else 'is'} corrected already ({kinds}); correcting "
            f"{'them' if several else 'it'} twice would be wrong. undo=True gives the "
            "originals back"
        )
    if STATES.index("overwritten") in states:
        raise ValueError(
            f"{who} {'were' if several else 'was'} corrected after scaling and then "
            "scaled again, which started from the integrated values: the correction is lost. Take "
            "its columns out with undo=True, then correct again"
        )


def apply_factors(
    table: flex.reflection_table,
    factor: np.ndarray,
    scaled: bool,
    uncertainty: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    inflation: np.ndarray | None = None,
    common: np.ndarray | None = None,
    taken_in: np.ndarray | None = None,
) -> flex.reflection_table:
    """
    Multiply intensities by factors, add offsets, and keep what they were.

    Args:
        table: n reflections; stays as it is.
        factor: Shape (n,), c; 1 for rows that are not to be corrected.
        scaled: Correct the scaled intensities; otherwise the integrated ones.
        uncertainty: Shape (n,), standard deviation of c, kept beside it.
        offset: Shape (n,), what is added then, on the scale of the intensities of
            Observations: with lp, qe and partiality, or the scale, applied.
        rows: Shape (n,), which rows belong to crystals that are corrected now; the
            others stay as they are, corrected before or not. All by default.
        inflation: Shape (n,), by which variances are multiplied besides c².
        common: Shape (n,), error shared by a reflection's observations, in units of σ.
        taken_in: Shape (n,), 1 for rows that are outliers of dials.scale no more.

    Returns:
        The corrected table.

    Raises:
        ValueError: Rows are corrected already, the table lacks the intensities, or a
            factor is not positive and finite.
    """
    check_uncorrected(table, rows)
    factor = np.ascontiguousarray(factor, dtype=float)
    _check_factors(factor, len(table))
    kinds = _kinds_to_correct(table, scaled)
    rows = np.ones(len(table), dtype=bool) if rows is None else rows
    columns = {FACTOR: factor, **_old_lp(table)}
    names = (UNCERTAINTY, COMMON, INFLATION, TAKEN_IN)
    for name, values in zip(names, (uncertainty, common, inflation, taken_in)):
        if values is not None:
            columns[name] = np.ascontiguousarray(values, dtype=float)
    of_variance = factor * factor
    if inflation is not None:
        _check_factors(columns[INFLATION], len(table))
        of_variance = of_variance * columns[INFLATION]
    corrected = without_as_read(copied(table))
    for kind in kinds:
        shift = np.zeros(len(table))
        if offset is not None:
            shift = _offset_of_rows(table, kind, offset)
            columns[f"{OFFSET}.{kind}"] = shift
        parts = {"value": (factor, shift), "variance": (of_variance, np.zeros(1))}
        columns.update(_replace(corrected, kind, rows, parts))
    if taken_in is not None:
        columns[TAKEN_IN] = _accept(corrected, rows & (columns[TAKEN_IN] > 0))
    _put(corrected, rows, columns)
    return corrected


def _replace(
    table: flex.reflection_table,
    kind: str,
    rows: np.ndarray,
    parts: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Multiply, and add to, what parts name, in some rows; give what was there by name."""
    originals = {}
    for what, (factor, offset) in parts.items():
        name = intensity_name(kind, what)
        found = column(table, name)
        originals[original_name(kind, what)] = found
        table[name] = cctbx_flex.double(np.where(rows, found * factor + offset, found))
    return originals


def _accept(table: flex.reflection_table, rows: np.ndarray) -> np.ndarray:
    """
    Flag rows as scaled and as no outliers of dials.scale.

    dials.scale flags as scaled what it has accepted.

    Returns:
        Shape (n,): 1 for these rows, 2 where they had been flagged as scaled all the same;
        0 for others.
    """
    flags, chosen = table.flags, cctbx_flex.bool(rows)
    scaled = table.get_flags(flags.scaled).as_numpy_array()
    table.unset_flags(chosen, flags.outlier_in_scaling)
    table.set_flags(chosen, flags.scaled)
    return np.where(rows, 1.0 + scaled, 0.0)


def _kinds_to_correct(table: flex.reflection_table, scaled: bool) -> list[str]:
    """
    List the intensities of a table that are to be corrected.

    Raises:
        ValueError: There are none.
    """
    kinds = [
        k
        for k in (SCALED if scaled else INTEGRATED)
        if intensity_name(k, "value") in table
    ]
    if not kinds:
        wanted = "intensity.scale" if scaled else "intensity.prf or intensity.sum"
        raise ValueError(f"The reflections have no {wanted} to be corrected")
    return kinds


def _old_lp(table: flex.reflection_table) -> dict[str, np.ndarray]:
    """Give what `lp` was as a column, where the right factor has taken its place."""
    if AS_READ not in table:
        return {}
    old = column(table, AS_READ)
    return {OLD_LP: np.where(old == 0, -0.0, old)}


def _check_factors(factor: np.ndarray, n: int) -> None:
    """Refuse factors that cannot be applied to n rows."""
    if factor.shape != (n,):
        raise ValueError(f"{factor.shape} factors for {n} reflections")
    bad = ~(np.isfinite(factor) & (factor > 0))
    if bad.any():
        raise ValueError(
            f"{np.count_nonzero(bad)} of {len(bad)} factors are not positive and "
            f"finite; the first is {factor[bad][0]}"
        )


def _put(
    table: flex.reflection_table, rows: np.ndarray, columns: Mapping[str, np.ndarray]
) -> None:
    """Write columns of a correction into some rows, and nought into its other columns."""
    for name in {*columns, *correction_columns([*table.keys()])}:
        old = column(table, name) if name in table else np.zeros(len(table))
        new = np.where(rows, columns.get(name, 0.0), old)
        if name in columns or np.ascontiguousarray(new).view(np.int64).any():
            table[name] = cctbx_flex.double(new)
        else:  # filled in when tables were joined
            del table[name]


def undo_factors(table: flex.reflection_table) -> flex.reflection_table:
    """
    Take a correction back.

    Args:
        table: A table of which at least one row is corrected; stays as it is.

    Returns:
        The table as it was before, bit for bit; rows that were never corrected, too.
        Where dials.scale has joined the parts of a reflection since, the sum divided by
        the factor; intensities that were computed anew since are left as they are.

    Raises:
        ValueError: No row is corrected.
    """
    if correction_state(table) == "none":
        raise ValueError(
            "These reflections are not corrected; there is nothing to undo"
        )
    restored = copied(table)
    kinds = corrected_kinds(table)
    _restore_flags(restored)  # before it shows no more which rows are corrected
    for kind in kinds:
        _restore(restored, kind)
    _restore_lp(restored)
    if {*kinds} & {*INTEGRATED} and intensity_name("scale", "value") in table:
        logger.warning(
            "The scaled intensities were made from corrected ones. Run dials.scale "
            "again on what is written."
        )
    return without_correction(restored)


def _restore_flags(table: flex.reflection_table) -> None:
    """Flag outliers of dials.scale again, unless it has scaled the rows anew since."""
    if TAKEN_IN not in table:
        return
    state, intact = column(table, TAKEN_IN), intact_rows(table, "scale")
    flags = table.flags
    table.set_flags(cctbx_flex.bool((state > 0) & intact), flags.outlier_in_scaling)
    table.unset_flags(cctbx_flex.bool((state == 1) & intact), flags.scaled)


def _restore_lp(table: flex.reflection_table) -> None:
    """Put back what the column `lp` was where the right factor had taken its place."""
    if OLD_LP not in table:
        return
    old = np.ascontiguousarray(column(table, OLD_LP))
    kept = old.view(np.int64) != 0
    if np.isnan(old).all():
        del table["lp"]
        return
    old = np.where(np.isnan(old), 1.0, old + 0.0)  # -0 becomes 0
    table["lp"] = cctbx_flex.double(np.where(kept, old, column(table, "lp")))


def _restore(table: flex.reflection_table, kind: str) -> None:
    """Put the originals back; where parts were joined since, divide by the factor."""
    untouched, intact = untouched_rows(table, kind), intact_rows(table, kind)
    factor, shift = column(table, FACTOR), added(table, kind)
    if (kept_rows(table, kind) & ~intact).any():
        logger.warning(
            "intensity.%s was computed anew since the correction; it is left as it is.",
            kind,
        )
    joined = intact & ~untouched
    parts = (("value", factor, shift), ("variance", variance_factor(table), 0.0))
    restored = {}
    for what, c, o in parts:
        found = column(table, intensity_name(kind, what)).copy()
        found[joined] = ((found - o)[joined]) / c[joined]
        original = column(table, original_name(kind, what))
        restored[intensity_name(kind, what)] = np.where(
            intact & untouched, original, found
        )
    for name, values in restored.items():
        table[name] = cctbx_flex.double(values)
    if joined.any():
        logger.info(
            "%d rows of intensity.%s were joined from parts since the correction; they "
            "are divided by their factor.",
            np.count_nonzero(joined),
            kind,
        )
