"""
Corrections in reflection tables: made, recognised, and taken back.

Before dials.scale the integrated values are multiplied by c, after it the scaled one;
variances by c². What stood there is kept beside it, as `intensity.prf.original.value`
and so on, and c in `ml_correction`. Where no factor is enough (see estimates), something
is added, which `ml_correction.offset.prf` and so on keep. Flags, identifiers, the order
of rows and all other columns stay as they are. `inverse_scale_factor` stays too, so that
the corrected scaled intensity is `intensity.scale.value / inverse_scale_factor` as ever.

dials.scale always starts from the integrated values. A correction made after scaling
is lost when dials.scale is run again; one made before is kept.

The files of one data set stay as they are, row by row, with what belongs to no crystal;
several data sets are joined.

Functions:
    corrected_table: all reflections, corrected
    restored_table: all reflections, as they were before
    apply_factors: correct one table
    undo_factors: give back what was there before, bit for bit
    correction_state: whether a table is corrected
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.correction.apply.corrected_files import join
from dials_spread.input_files import Input
from dials_spread.observations import Observations
from dials_spread.observations.intensities import COLUMN, intensity_and_variance
from dials_spread.prepare.geometry import factor_from_zeta

logger = logging.getLogger("dials.spread.columns")

FACTOR = "ml_correction"
"""Column of c; 1 in rows that were not corrected."""

UNCERTAINTY = "ml_correction.sigma"
"""Column of the standard deviation of c."""

OFFSET = "ml_correction.offset"
"""Columns of what was added to each kind of intensity, where something was."""

INTEGRATED = ("prf", "sum")
SCALED = ("scale",)

OF_ONE = 2
"""Files of one data set: experiments and reflections."""


class Correction(Protocol):
    """
    What is to be done to the rows of reflection tables.

    Attributes:
        measured: n observations, made of these tables, with their geometry.
        column: Shape (n,), factors of the intensities in the tables.
        offset: Shape (n,), what is added to the products, as Observations has them.
        uncertainty: Shape (n,), standard deviation of the factors; None where unknown.
    """

    @property
    def measured(self) -> Observations: ...  # noqa: D102
    @property
    def column(self) -> np.ndarray: ...  # noqa: D102
    @property
    def offset(self) -> np.ndarray: ...  # noqa: D102
    @property
    def uncertainty(self) -> np.ndarray | None: ...  # noqa: D102


def intensity_name(kind: str, what: str) -> str:
    """Name the column of "prf", "sum" or "scale", its "value" or "variance"."""
    return f"intensity.{kind}.{what}"


def original_name(kind: str, what: str) -> str:
    """Name the column in which that is kept as it was before a correction."""
    return f"intensity.{kind}.original.{what}"


def _added(table: flex.reflection_table, kind: str) -> np.ndarray:
    """Give what was added to an intensity in each row."""
    name = f"{OFFSET}.{kind}"
    return _array(table, name) if name in table else np.zeros(len(table))


def _offset_of_rows(
    table: flex.reflection_table, kind: str, offset: np.ndarray
) -> np.ndarray:
    """Take lp, qe, partiality and scale out of offsets; 0 where that cannot be done."""
    (choice,) = [c for c, own in COLUMN.items() if own == kind]
    variance = intensity_and_variance(table, choice)[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = offset * np.sqrt(
            _array(table, intensity_name(kind, "variance")) / variance
        )
    return np.where(np.isfinite(found) & (variance > 0), found, 0.0)


def copied(table: flex.reflection_table) -> flex.reflection_table:
    """Copy a table; selecting keeps the experiment identifiers in every release."""
    return table.select(cctbx_flex.bool(len(table), True))


def _array(table: flex.reflection_table, name: str) -> np.ndarray:
    return table[name].as_numpy_array()


def corrected_kinds(table: flex.reflection_table) -> list[str]:
    """List the intensities that have an original kept: "prf", "sum", "scale"."""
    kinds = (*INTEGRATED, *SCALED)
    return [kind for kind in kinds if original_name(kind, "value") in table]


def _untouched(table: flex.reflection_table, kind: str) -> np.ndarray:
    """Find the rows in which an intensity is still what the correction made of it."""
    factor = _array(table, FACTOR)
    untouched = np.ones(len(table), dtype=bool)
    added = _added(table, kind)
    for what, c, o in (("value", factor, added), ("variance", factor * factor, 0.0)):
        expected = _array(table, original_name(kind, what)) * c + o
        found = _array(table, intensity_name(kind, what))
        untouched &= (found == expected) | (np.isnan(found) & np.isnan(expected))
    return untouched


def _is_intact(table: flex.reflection_table, kind: str) -> bool:
    """
    Say whether an intensity is corrected still.

    dials.scale joins the parts of reflections that were integrated in two, which leaves
    other values in some rows; an intensity computed anew differs in nearly all.
    """
    telling = _array(table, original_name(kind, "value")) != 0
    return not telling.any() or bool(_untouched(table, kind)[telling].mean() > 0.5)


def correction_state(table: flex.reflection_table) -> str:
    """
    Say whether a table is corrected.

    Args:
        table: Any reflection table.

    Returns:
        "none"; "corrected"; or "overwritten" where the correction was made but another
        program has written new intensities since, as dials.scale does.
    """
    kinds = corrected_kinds(table)
    if FACTOR not in table or not kinds:
        return "none"
    return "corrected" if all(_is_intact(table, k) for k in kinds) else "overwritten"


def check_uncorrected(table: flex.reflection_table) -> None:
    """
    Refuse a table that is corrected already.

    Args:
        table: Any reflection table.

    Raises:
        ValueError: It is.
    """
    state = correction_state(table)
    if state == "corrected":
        kinds = " and ".join(f"intensity.{k}" for k in corrected_kinds(table))
        raise ValueError(
            f"These reflections are corrected already ({kinds}); correcting them twice "
            "would be wrong. undo=True gives the originals back"
        )
    if state == "overwritten":
        raise ValueError(
            "These reflections were corrected after scaling and then scaled again, "
            "which started from the integrated values: the correction is lost. Take "
            "its columns out with undo=True, then correct again"
        )


def apply_factors(
    table: flex.reflection_table,
    factor: np.ndarray,
    scaled: bool,
    uncertainty: np.ndarray | None = None,
    offset: np.ndarray | None = None,
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

    Returns:
        The corrected table.

    Raises:
        ValueError: The table is corrected already or lacks the intensities, or a factor
            is not positive and finite.
    """
    check_uncorrected(table)
    factor = np.ascontiguousarray(factor, dtype=float)
    if factor.shape != (len(table),):
        raise ValueError(f"{factor.shape} factors for {len(table)} reflections")
    bad = ~(np.isfinite(factor) & (factor > 0))
    if bad.any():
        raise ValueError(
            f"{np.count_nonzero(bad)} of {len(bad)} factors are not positive and "
            f"finite; the first is {factor[bad][0]}"
        )
    kinds = [
        k
        for k in (SCALED if scaled else INTEGRATED)
        if intensity_name(k, "value") in table
    ]
    if not kinds:
        wanted = "intensity.scale" if scaled else "intensity.prf or intensity.sum"
        raise ValueError(f"The reflections have no {wanted} to be corrected")
    corrected = copied(table)
    for kind in kinds:
        added = np.zeros(len(table))
        if offset is not None:
            added = _offset_of_rows(table, kind, offset)
            corrected[f"{OFFSET}.{kind}"] = cctbx_flex.double(added)
        parts = (("value", factor, added), ("variance", factor * factor, 0.0))
        for what, c, o in parts:
            name = intensity_name(kind, what)
            corrected[original_name(kind, what)] = table[name]
            corrected[name] = cctbx_flex.double(_array(table, name) * c + o)
    corrected[FACTOR] = cctbx_flex.double(factor)
    if uncertainty is not None:
        corrected[UNCERTAINTY] = cctbx_flex.double(
            np.ascontiguousarray(uncertainty, dtype=float)
        )
    return corrected


def undo_factors(table: flex.reflection_table) -> flex.reflection_table:
    """
    Take a correction back.

    Args:
        table: A corrected table; stays as it is.

    Returns:
        The table as it was before, bit for bit. Where dials.scale has joined the parts
        of a reflection since, the sum divided by the factor; intensities that were
        computed anew since are left as they are.

    Raises:
        ValueError: The table is not corrected.
    """
    if correction_state(table) == "none":
        raise ValueError(
            "These reflections are not corrected; there is nothing to undo"
        )
    restored = copied(table)
    kinds = corrected_kinds(table)
    for kind in kinds:
        if _is_intact(table, kind):
            _restore(restored, kind)
        else:
            logger.warning(
                "intensity.%s was computed anew since the correction; it is left as it "
                "is.",
                kind,
            )
        for what in ("value", "variance"):
            del restored[original_name(kind, what)]
    if "scale" not in kinds and intensity_name("scale", "value") in table:
        logger.warning(
            "The scaled intensities were made from corrected ones. Run dials.scale "
            "again on what is written."
        )
    for name in (FACTOR, UNCERTAINTY, *(f"{OFFSET}.{kind}" for kind in kinds)):
        if name in restored:
            del restored[name]
    return restored


def _restore(table: flex.reflection_table, kind: str) -> None:
    """Put the originals back; where parts were joined since, divide by the factor."""
    untouched = _untouched(table, kind)
    factor, added = _array(table, FACTOR), _added(table, kind)
    for what, c, o in (("value", factor, added), ("variance", factor * factor, 0.0)):
        original = _array(table, original_name(kind, what))
        divided = (_array(table, intensity_name(kind, what)) - o) / c
        table[intensity_name(kind, what)] = cctbx_flex.double(
            np.where(untouched, original, divided)
        )
    if not untouched.all():
        logger.info(
            "%d rows of intensity.%s were joined from parts since the correction; they "
            "are divided by their factor.",
            np.count_nonzero(~untouched),
            kind,
        )


def corrected_table(
    data: Input, result: Correction
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
    observations, tables = result.measured, data.tables
    lengths = [len(table) for table in tables]
    factors = observations.in_rows(result.column, lengths)
    _add_lorentz(factors, tables, observations)
    columns = {"factor": (factors, 1.0)}
    more = {"uncertainty": result.uncertainty}
    more["offset"] = result.offset if np.any(result.offset) else None
    for name, values in more.items():
        if values is not None:
            # Rows that are no observation are as uncertain as they are corrected: not.
            columns[name] = (observations.in_rows(values, lengths, 0.0), 0.0)

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
    measured: Observations,
) -> None:
    """Where the Lorentz factor was missing, rows that are no observation get it, too."""
    if not measured.lorentz_applied_here:
        return
    for number, (factor, table) in enumerate(zip(factors, tables)):
        if "zeta" not in table:
            continue
        left = np.ones(len(table), dtype=bool)
        left[measured.row[measured.crystal == number]] = False
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
    if any(correction_state(t) == "none" for t in data.tables if len(t)):
        # Tables are of crystals; the user knows files.
        files = data.files[max(data.dataset) + 1 :]
        read = {name: flex.reflection_table.from_file(name) for name in files}
        raise ValueError(
            "\n".join(
                f"{name}: not corrected, there is nothing to undo"
                for name, table in read.items()
                if correction_state(table) == "none"
            )
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


def values_of_file(
    table: flex.reflection_table,
    tables: Sequence[flex.reflection_table],
    values: Sequence[np.ndarray],
    other: float = 1.0,
) -> np.ndarray:
    """
    Put the values of single crystals where their rows are in the table of a file.

    Args:
        table: The whole table of a file.
        tables: The reflections of each crystal, selected from it by id.
        values: As `Observations.in_rows` gives them.
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
