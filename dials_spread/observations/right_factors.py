"""
The right factor in place of a column `lp` that is something else.

Where lorentz_polarisation finds the reciprocal of the factor, or something else, the factor
of the geometry takes the place of the column on reading, so that everything that follows
multiplies by the right one. What stood there is kept, for `undo=True`.

Functions:
    read, read_as: files in, with the right factors
    with_right_factors: of tables
    reduced: the same, and what they alone rest on is left out
    with_right_rows: of one table of several crystals
    without_as_read: a table with the right factor alone
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread import cluster
from dials_spread.freed_memory import give_back
from dials_spread.input_files import Input, read_files
from dials_spread.observations.correction_state import corrected_crystals
from dials_spread.observations.intensities import is_scaled
from dials_spread.observations.lorentz_polarisation import (
    KINDS,
    LACKING,
    judge_column,
)
from dials_spread.stages import stage

logger = logging.getLogger("dials.spread.lorentz_polarisation")

CHOICES = ("auto", "column", "geometry")

AS_READ = "lp.as_read"
"""Column of what stood in `lp` before the factor of the geometry took its place; nan where
there was none."""

PHIL = """
lp = *auto column geometry
  .type = choice
  .help = "What intensities before scaling are multiplied by for the Lorentz factor and"
          "polarisation. auto takes the column lp, but the factor computed from the"
          "geometry where the column is its reciprocal (as dials.import_xds of DIALS 3.12"
          "writes it) or something else, which the log says. column takes the column as"
          "it is, geometry computes the factor for all reflections."
"""
"""The parameter of the commands."""


WRONG = ("reciprocal", "lorentz", "unpolarised", "other")
"""Kinds of which the factor of the geometry takes the place."""


@dataclass(frozen=True)
class FactorCheck:
    """
    What the columns `lp` of some crystals are.

    Attributes:
        kind: Of each crystal, one of `KINDS`.
        used: Of each, "column", "geometry" or "none", what intensities before scaling are
            multiplied by; "scale" where it is in the scaled intensities already.
        worst: Of each, by what factor two reflections would be wrong against each other
            with the column; nan where it was not compared.
    """

    kind: tuple[str, ...]
    used: tuple[str, ...]
    worst: tuple[float, ...]

    def as_dict(self) -> dict:
        """What JSON holds: numbers of crystals, and the worst factor."""
        wrong = [w for k, w in zip(self.kind, self.worst) if k in WRONG]
        return {
            "columns": {k: self.kind.count(k) for k in KINDS if k in self.kind},
            "used": {
                k: self.used.count(k)
                for k in ("column", "geometry", "none", "scale")
                if k in self.used
            },
            "worst_factor": max(wrong, default=None),
        }

    def sentences(self) -> list[str]:
        """Say what is not as it should be; nothing where all columns are right."""
        n = len(self.kind)
        told = []
        for kind in _WHAT:
            for used in ("geometry", "column", "none", "scale"):
                own = [
                    k for k in range(n) if (self.kind[k], self.used[k]) == (kind, used)
                ]
                if own:
                    worst = max((self.worst[k] for k in own), default=1.0)
                    told.append(_sentence(kind, used, _which(own, n), worst))
        lacking = sum(k == "none" for k in self.used)
        if 0 < lacking < n:
            told.append(
                f"{lacking} of {n} crystals have no Lorentz factor (column lp absent, or "
                "one constant), the others have: they cannot be compared as they are. "
                "lp=geometry computes it for all"
            )
        return [f"{sentence}." for sentence in told]


_WHAT = {
    "reciprocal": "is the reciprocal of the Lorentz and polarisation factor, as "
    "dials.import_xds of DIALS 3.12 writes it",
    "lorentz": "is the Lorentz factor without polarisation",
    "unpolarised": "has the polarisation factor of an unpolarised beam, other than the beam "
    "of the experiment",
    "other": "is not the Lorentz and polarisation factor of beam, rotation axis and "
    "reflections",
    "constant": "is one constant",
    "unchecked": "could not be compared with the geometry: the reflections are not where "
    "crystal and scan put them",
}


def _which(own: Sequence[int], n: int) -> str:
    """Name crystals, counted from 0 as elsewhere."""
    if len(own) == n:
        return "" if n == 1 else f" of all {n} crystals"
    names = ", ".join(map(str, own[:8])) + (", …" if len(own) > 8 else "")
    plural = "crystal" if len(own) == 1 else "crystals"
    return f" of {len(own)} of {n} crystals ({plural} {names})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _sentence(kind: str, used: str, which: str, worst: float) -> str:
    told = f"Column lp{which} {_WHAT[kind]}"
    if used == "scale":
        if kind not in WRONG:
            return f"{told}. Scaled intensities are taken as they are"
        return (
            f"{told}, and dials.scale has multiplied by it: scaled intensities are wrong "
            f"by a factor of up to {_number(worst)} between reflections, as far as the scales "
            "have not made up for it. Scale anew from a right column, which "
            "dials.ml_correct writes for files before scaling"
        )
    if used == "none":
        return f"{told}. It is taken for no factor at all"
    if kind in WRONG and worst > 1:
        told += (
            f": intensities multiplied by it are wrong by a factor of up to {_number(worst)} "
            "between reflections"
        )
    how = {
        "geometry": "The factor computed from the geometry is used instead (lp=column "
        "takes the column); dials.scale would use the column",
        "column": "It is used as it is",
    }
    return f"{told}. {how[used]}"


def with_right_factors(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    intensity: str = "auto",
    lp: str = "auto",
) -> tuple[list[flex.reflection_table], FactorCheck]:
    """
    Compare the columns `lp` with the geometry, and put the right factor in their place.

    Args:
        experiments: One a crystal.
        tables: The reflections of each; they stay as they are.
        intensity: As asked for; scaled intensities are what dials.scale made of the
            column, and tables of them are not changed.
        lp: "auto" replaces what is the reciprocal or something else; "geometry" all
            columns, also where there is none; "column" none.

    Returns:
        The tables, in which `AS_READ` keeps what was replaced; and what was found.

    Raises:
        ValueError: An unknown choice, or lp=geometry where there is no geometry to go by.
    """
    if lp not in CHOICES:
        raise ValueError(f"lp={lp} is none of {', '.join(CHOICES)}")
    found, parts = [], []
    for number, (experiment, table) in enumerate(zip(experiments, tables)):
        if not len(table):
            parts.append(("empty", "", float("nan")))
            found.append(table)
            continue
        kind, factor, worst = judge_column(experiment, table)
        used = _used(table, kind, intensity, lp)
        if used == "geometry" and not np.isfinite(factor).any():
            raise ValueError(
                f"lp={lp}: crystal {number} has no geometry from which the factor could "
                "be computed, its reflections are not where crystal and scan put them"
            )
        parts.append((kind, used, worst))
        found.append(_replaced(table, factor) if used == "geometry" else table)
    check = FactorCheck(
        kind=tuple(kind for kind, _, _ in parts),
        used=tuple(used for _, used, _ in parts),
        worst=tuple(worst for _, _, worst in parts),
    )
    return found, check


@stage("Reading files")
def read(
    expt: Sequence[str],
    refl: Sequence[str],
    intensity: str = "auto",
    lp: str = "auto",
    uncorrected: bool = False,
    tell: bool = False,
    allow_pickle: bool = False,
    columns: Collection[str] | None = None,
) -> Input:
    """
    Read files, and put the right factors in the place of columns `lp` that are not.

    Args:
        expt: Names of experiment files.
        refl: Names of reflection files.
        intensity: "scale", "profile" or "sum" where these must be in every file.
        lp: As for with_right_factors.
        uncorrected: Look at no crystal that dials.ml_correct has corrected.
        tell: Log what is not right, for commands whose summary does not say it.
        allow_pickle: Also read tables that are pickle files, which may run any code.
        columns: Those that are read, as of read_files; all by default.

    Returns:
        The input, with sentences on the columns that are not right.

    Raises:
        ValueError: All that is wrong, one line each.
    """
    asked = Asked(intensity, lp, uncorrected, allow_pickle, columns)
    if cluster.in_use():
        from dials_spread.observations import reading_on_workers  # which imports this

        data, check = reading_on_workers.read(expt, refl, asked)
    else:
        data = read_files(expt, refl, intensity, allow_pickle, columns)
        tables, check = reduced(data.experiments, data.tables, asked)
        data = replace(data, tables=tables)
    told = tuple(check.sentences())
    for sentence in told if tell else ():
        logger.warning(sentence)
    return replace(data, notes=told, lp=check.as_dict())


@dataclass(frozen=True)
class Asked:
    """How files are read: the arguments of `read` of these names."""

    intensity: str = "auto"
    lp: str = "auto"
    uncorrected: bool = False
    allow_pickle: bool = False
    columns: Collection[str] | None = None


def reduced(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    asked: Asked,
) -> tuple[list[flex.reflection_table], FactorCheck]:
    """
    Put right factors into tables, and leave out what they alone rest on.

    Args:
        experiments: One a crystal.
        tables: The reflections of each.
        asked: As for `read`; columns are left out where not all were read.

    Returns:
        The tables, and what was found of the columns `lp` that were looked at.

    Raises:
        ValueError: As with_right_factors.
    """
    tables = [*tables]
    numbers = range(len(tables))
    if asked.uncorrected:
        numbers = np.flatnonzero(~corrected_crystals(tables)).tolist()
    found, check = with_right_factors(
        [experiments[k] for k in numbers], [tables[k] for k in numbers],
        asked.intensity, asked.lp,
    )  # fmt: skip
    for k, table in zip(numbers, found):
        tables[k] = table
    if asked.columns is not None:
        for table in tables:
            _drop_spare_positions(table)
        give_back()
    return tables, check


def _drop_spare_positions(table: flex.reflection_table) -> None:
    """Leave out what only the factor rests on, and positions but of the first kind."""
    if "xyzcal.px" in table:
        for name in {"s1", "xyzcal.mm", "xyzobs.px.value"} & {*table.keys()}:
            del table[name]


def read_as(
    files: Sequence[Sequence[str]], params, columns: Collection[str] | None = None
) -> Input:
    """
    Read files as the parameters of a command say.

    Args:
        files: Names of experiment files, and of reflection files.
        params: With intensity, lp and allow_pickle.
        columns: Those that are read; all by default.

    Raises:
        ValueError: All that is wrong, one line each.
    """
    expt, refl = files
    return read(
        expt, refl, params.intensity, params.lp, allow_pickle=params.allow_pickle,
        columns=columns,
    )  # fmt: skip


def with_right_rows(
    experiments: Sequence[Experiment], table: flex.reflection_table, lp: str = "auto"
) -> flex.reflection_table:
    """
    Put the right factors into one table of several crystals, for programs that go on.

    Args:
        experiments: By the ids of the table.
        table: n reflections, before scaling; stays as it is.
        lp: As for with_right_factors.

    Returns:
        The table itself where all is right, else a copy.
    """
    ids = table["id"].as_numpy_array()
    numbers = [int(k) for k in np.unique(ids) if 0 <= k < len(experiments)]
    parts = [table.select(table["id"] == k) for k in numbers]
    found, _ = with_right_factors(
        [experiments[k] for k in numbers], parts, "profile", lp
    )
    if not any(AS_READ in part for part in found):
        return table
    changed = table.select(cctbx_flex.bool(len(table), True))
    values = np.ones(len(table))
    if "lp" in table:
        values = table["lp"].as_numpy_array().astype(float).copy()
    for k, part in zip(numbers, found):
        if "lp" in part:
            values[ids == k] = part["lp"].as_numpy_array()
    changed["lp"] = cctbx_flex.double(values)
    return changed


def without_as_read(table: flex.reflection_table) -> flex.reflection_table:
    """Leave out what a column `lp` was, from a table that is written with the right one."""
    if AS_READ not in table:
        return table
    left = table.select(cctbx_flex.bool(len(table), True))
    del left[AS_READ]
    return left


def _used(table: flex.reflection_table, kind: str, intensity: str, lp: str) -> str:
    """Say what is used as the factor of one crystal."""
    if is_scaled(table) and intensity in ("auto", "scale"):
        return "scale"
    if lp == "geometry" or (lp == "auto" and kind in WRONG):
        return "geometry"
    return "none" if kind in LACKING else "column"


def _replaced(
    table: flex.reflection_table, factor: np.ndarray
) -> flex.reflection_table:
    """Put factors in the place of a column; rows whose factor is not known keep it."""
    changed = table.select(cctbx_flex.bool(len(table), True))
    old = np.full(len(table), np.nan)
    if "lp" in table:
        old = table["lp"].as_numpy_array().astype(float)
    known = np.isfinite(factor) & (factor > 0)
    changed["lp"] = cctbx_flex.double(np.where(known, factor, np.nan_to_num(old)))
    changed[AS_READ] = cctbx_flex.double(old)
    return changed
