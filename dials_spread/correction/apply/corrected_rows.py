"""
Tables of which some rows are corrected, and tables whose correction was scaled away.

A pipeline that corrects in the middle needs both: it corrects no row beyond its resolution
limit but keeps these rows, and after a new run of dials.scale it corrects anew.

Functions:
    forget_overwritten: take out what is left of a correction that was scaled away
    with_corrected_part: put corrected rows back among the others
"""

from __future__ import annotations

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.correction.apply.one_table import copied, without_correction
from dials_spread.observations.correction_state import (
    COMMON,
    FACTOR,
    INFLATION,
    OFFSET,
    TAKEN_IN,
    UNCERTAINTY,
    column,
    corrected_kinds,
    correction_state,
    intensity_name,
    original_name,
    variance_factor,
)


def forget_overwritten(table: flex.reflection_table) -> flex.reflection_table:
    """
    Take out what is left of a correction that a later program has overwritten.

    Args:
        table: Any reflection table; stays as it is.

    Returns:
        The table, without the columns of a correction whose intensities were computed
        anew since, or that had left all of them as they were (no sign of multiple
        scattering); any other table as it is.
    """
    if correction_state(table) == "overwritten" or _left_as_they_are(table):
        return without_correction(table)
    return table


def _left_as_they_are(table: flex.reflection_table) -> bool:
    """Whether a correction has changed nothing at all."""
    if FACTOR not in table:
        return False
    offsets = [n for n in table.keys() if n.startswith(f"{OFFSET}.")]
    return bool(
        (column(table, FACTOR) == 1).all()
        and (variance_factor(table) == 1).all()
        and not any(column(table, name).any() for name in offsets)
    )


def with_corrected_part(
    table: flex.reflection_table,
    inside: cctbx_flex.bool,
    part: flex.reflection_table,
) -> flex.reflection_table:
    """
    Put corrected rows back among those that were not to be corrected.

    Args:
        table: n reflections, uncorrected; stays as it is.
        inside: Shape (n,), which of them were corrected.
        part: Those, corrected, in the same order.

    Returns:
        All n reflections; the others have the factor 1.
    """
    whole = copied(table)
    kinds = corrected_kinds(part)
    for kind in kinds:
        for what in ("value", "variance"):
            whole[original_name(kind, what)] = table[intensity_name(kind, what)]
    whole[FACTOR] = cctbx_flex.double(len(table), 1.0)
    offsets = (f"{OFFSET}.{kind}" for kind in kinds)
    for name in (UNCERTAINTY, COMMON, INFLATION, TAKEN_IN, *offsets):
        if name in part:
            # Variances of the others are multiplied by nothing.
            none = 1.0 if name == INFLATION else 0.0
            whole[name] = cctbx_flex.double(len(table), none)
    changed = [
        intensity_name(kind, what) for kind in kinds for what in ("value", "variance")
    ]
    changed += [
        original_name(kind, what) for kind in kinds for what in ("value", "variance")
    ]
    changed += [n for n in part.keys() if n.startswith(FACTOR)]
    changed += ["flags"] if TAKEN_IN in part else []
    for name in changed:
        values = whole[name]
        values.set_selected(inside.iselection(), part[name])
        whole[name] = values
    return whole
