"""
σ of scaled intensities before dials.scale enlarged them.

dials.scale takes the intensities and variances of integration (profile fitting or
summation, with lp, qe and partiality applied), σ² and I, and writes

    V = a²(σ² + (bI)²)(1 + f),   f = σ(g)/g,

g being the inverse scale factor, which I and V are still to be divided by; a and b, the
error model, make equivalents agree within σ' = √V, and f, where errors of the scaling
model were determined, is meant for these (DIALS 3.12 and 3.30 alike,
ScalerBase.prepare_reflection_tables_for_output). a and b hold the spread that is to be
measured, and depend on the units of intensity, as only reflections with I > 25 count for
them. So σ is wanted as it was, in this order:

1. the variance of integration, in rows whose intensity is that of the profile fit, or
   of the summation: nothing need be known of the error model;
2. σ² = V/(a²(1 + f)) - (bI)², in rows where the two were combined, or are not there;
3. V as it is, where no error model is known, or it is not that of these variances.

Intensities that dials.ml_correct has multiplied since keep the part of σ² in V.

Functions:
    counting_errors: the variances, and what they were taken from
    error_model_parameters: a and b of one crystal
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations.correction_state import (
    column,
    intensity_name,
    kept_rows,
    original_name,
)
from dials_spread.observations.intensities import COLUMN, intensity_and_variance
from dials_spread.observations.table import Observations

LEAST = 1e-6
"""Part of V/(a²(1 + f)) below which the rest is of rounding, or of another error model."""

SAME = 1e-6
"""Relative difference up to which two intensities are one: some files hold floats."""

SOURCES = ("as written", "integration", "error model")
"""What a variance was taken from, by the number in `_Parts`."""


@dataclass(frozen=True)
class CountingErrors:
    """
    Variances without what dials.scale made of them.

    Attributes:
        variance: Shape (n,), positive, of the intensities of Observations.
        a, b: Shape (crystals,), of the error model; nan where none is known.
        taken_from: Number of observations by SOURCES; empty for unscaled data.
    """

    variance: np.ndarray
    a: np.ndarray
    b: np.ndarray
    taken_from: dict[str, int]

    @property
    def known(self) -> bool:
        """Whether something was taken off."""
        return any(self.taken_from.get(name) for name in SOURCES[1:])

    @property
    def median(self) -> tuple[float, float]:
        """The medians of a and b over crystals; nan where unknown."""
        known = np.isfinite(self.a)
        if not known.any():
            return np.nan, np.nan
        return float(np.median(self.a[known])), float(np.median(self.b[known]))

    @property
    def relative_term(self) -> float:
        """The median of ab over crystals, the relative error of V; nan where unknown."""
        known = np.isfinite(self.a)
        return float(np.median((self.a * self.b)[known])) if known.any() else np.nan

    @property
    def scaling_limit(self) -> float:
        """The I/σ limit of dials.scale, 1/(ab); nan where unknown or without limit."""
        term = self.relative_term
        # Below 10⁻⁶ the minimiser has met its bound: no limit was found.
        return 1 / term if term > 1e-6 else np.nan

    def as_dict(self) -> dict:
        """Give what the JSON document has of it."""
        a, b = self.median
        return {"a": a, "b": b, "sigma_taken_from": self.taken_from}


def error_model_parameters(experiment: Experiment) -> tuple[float, float] | None:
    """
    Read a and b of dials.scale's σ'² = a²(σ² + (bI)²).

    Args:
        experiment: Scaled or not.

    Returns:
        Both positive; None where no error model is known.
    """
    settings = getattr(experiment.scaling_model, "configdict", None) or {}
    parameters = settings.get("error_model_parameters")
    if parameters is None or len(parameters) < 2:
        return None
    return abs(float(parameters[0])), abs(float(parameters[1]))


def counting_errors(
    observations: Observations,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
) -> CountingErrors:
    """
    Take off scaled variances what dials.scale has put on.

    Args:
        observations: Built from these tables; unscaled ones are left as they are.
        experiments: One a crystal.
        tables: Their reflections.

    Returns:
        The variances.
    """
    found = [error_model_parameters(e) for e in experiments]
    a, b = np.array([p or (np.nan, np.nan) for p in found]).reshape(-1, 2).T
    if not observations.scaled:
        return CountingErrors(observations.variance, a, b, {})
    part = np.ones(len(observations))
    source = np.zeros(len(observations), dtype=int)
    for k, own in enumerate(observations.by_crystal(len(tables))):
        table = tables[k]
        if len(own):
            rows = observations.row[own]
            of_rows, source_of_rows = _counting_part(table, found[k])
            part[own], source[own] = of_rows[rows], source_of_rows[rows]
    count = np.bincount(source, minlength=len(SOURCES))
    taken = {name: int(n) for name, n in zip(SOURCES, count) if n}
    return CountingErrors(observations.variance * part, a, b, taken)


def _counting_part(
    table: flex.reflection_table, parameters: tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Give the part of σ² in V of each row, and what it was taken from."""
    value, variance = (_as_scaled(table, what) for what in ("value", "variance"))
    part = np.ones(len(table))
    source = np.zeros(len(table), dtype=int)
    with np.errstate(divide="ignore", invalid="ignore"):
        if parameters is not None:
            a, b = parameters
            whole = variance / (a**2 * (1 + _relative_scale_error(table)))
            left = whole - (b * value) ** 2
            good = (left > LEAST * whole) & (variance > 0)
            part[good], source[good] = (left / variance)[good], 2
        for choice in ("sum", "profile"):
            if intensity_name(COLUMN[choice], "value") not in table:
                continue
            before, its_variance = intensity_and_variance(table, choice)
            good = (np.abs(before - value) <= SAME * np.abs(value)) & (variance > 0)
            good &= np.isfinite(its_variance) & (its_variance > 0)
            part[good], source[good] = (its_variance / variance)[good], 1
    return part, source


def _as_scaled(table: flex.reflection_table, what: str) -> np.ndarray:
    """Give I or V of each row as dials.scale wrote it, before a correction."""
    found = column(table, intensity_name("scale", what)).astype(float)
    corrected = kept_rows(table, "scale")
    if corrected.any():
        found[corrected] = column(table, original_name("scale", what))[corrected]
    return found


def _relative_scale_error(table: flex.reflection_table) -> np.ndarray:
    """Give f = σ(g)/g of each row, 0 where it was not determined."""
    name = "inverse_scale_factor_variance"
    if name not in table:
        return np.zeros(len(table))
    scale = column(table, "inverse_scale_factor")
    return np.nan_to_num(np.sqrt(column(table, name)) / scale, posinf=0.0, neginf=0.0)
