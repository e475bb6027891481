"""
The JSON document: what a program that reads the results relies on.

Numbers are finite or null, never NaN; keys are those that all commands share, then the
results.

Functions:
    finite, write_json: results as JSON
    base_document, version_document, input_document, reference_document: its beginning
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dials.util.version import dials_version

import dials_spread
from dials_spread.observations import Observations
from dials_spread.report.page.plot_style import rounded_column
from dials_spread.stages import stage

if TYPE_CHECKING:  # what reads structures takes a second to load
    from dials_spread.reference import Reference, ReferenceMatch

LONG = 50
"""Numbers from which a list is a column."""

WRITTEN = 16_384
"""Numbers of a column that are turned into text at a time: as Python's own they take four
to eight times the memory."""

DIGITS = 6
"""Significant digits of numbers in columns; none of them is known so well."""


_NUMBERS = {float, int, bool, type(None)}
_AS_THEY_ARE = {int, bool, str, type(None)}


def finite(value, columns: bool = False):
    """
    Turn results into what JSON can hold.

    Args:
        value: Any nesting of dicts, sequences, arrays and numbers.
        columns: Leave columns, arrays of ``LONG`` entries or more, to write_json.

    Returns:
        The same of Python's own types, but for such columns; None for what is not finite.
    """
    if isinstance(value, dict):
        return {str(k): finite(v, columns) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        if (
            columns
            and value.ndim
            and len(value) >= LONG
            and value.dtype.kind in "biufU"
        ):
            return value
        listed = value.tolist()
        return listed if _is_finite(value) else finite(listed)
    if isinstance(value, (list, tuple)):
        kinds = set(map(type, value))
        if kinds <= _AS_THEY_ARE:
            return list(value)
        if kinds <= _NUMBERS:  # columns are long
            if kinds == {float} and _is_finite(np.array(value)):
                return list(value)
            isfinite = math.isfinite
            return [x if x is not None and isfinite(x) else None for x in value]
        return [finite(v, columns) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value


def _is_finite(value: np.ndarray) -> bool:
    """Whether all are numbers that JSON can hold."""
    return value.dtype.kind in "biuf" and bool(np.isfinite(value).all())


def _written(value, indent: int) -> str:
    """Dicts line by line, and lists of dicts; columns and what is short on one line."""
    pad, inner = " " * indent, " " * (indent + 1)
    if isinstance(value, dict) and value:
        lines = [f"{_text(k)}: {_written(v, indent + 1)}" for k, v in value.items()]
        return "{\n" + ",\n".join(inner + line for line in lines) + f"\n{pad}}}"
    if isinstance(value, np.ndarray):
        return _column(value)
    if not isinstance(value, list):
        return _text(value)
    kinds = set(map(type, value))
    if dict in kinds:
        lines = [f"{inner}{_text(entry)}" for entry in value]
        return "[\n" + ",\n".join(lines) + f"\n{pad}]"
    if len(value) >= LONG and float in kinds and kinds <= _NUMBERS:
        value = rounded_column(value, DIGITS)
    return _text(value)


def _column(values: np.ndarray) -> str:
    """A long column, a part at a time, and the same text as of a list."""
    parts = []
    for first in range(0, len(values), WRITTEN):
        part = finite(values[first : first + WRITTEN])
        if values.dtype.kind == "f" and values.ndim == 1:
            part = rounded_column(part, DIGITS)
        parts.append(_text(part)[1:-1])
    return f"[{','.join(parts)}]"


def _text(value) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


@stage("Results as JSON")
def write_json(document: dict) -> str:
    """
    Give the document as text, refusing what is no JSON.

    Columns, of ``LONG`` numbers or more, are rounded to ``DIGITS`` significant digits;
    other numbers are as they are.
    """
    return _written(finite(document, columns=True), 0) + "\n"


@dataclass(frozen=True)
class Provenance:
    """
    Where the results come from.

    Attributes:
        command: Name of the command.
        files: Names of the input files.
        parameters: All phil parameters by their full names.
        changed: Those that would be repeated in a run on other files, as name=value.
        lp: What the columns lp are, as a part of the description of the input.
        notes: Sentences on what was found in the files.
    """

    command: str
    files: Sequence[str]
    parameters: dict
    changed: Sequence[str] = ()
    lp: dict | None = None
    notes: Sequence[str] = ()

    def lp_document(self) -> dict:
        """What JSON holds on the columns lp; nothing where they were not looked at."""
        return {} if self.lp is None else {"lp": self.lp}


def base_document(provenance: Provenance, observations: Observations) -> dict:
    """
    Begin the JSON document.

    Args:
        provenance: Command, files and parameters.
        observations: Of all crystals.
    """
    return {
        **version_document(provenance),
        "input": {
            "files": list(provenance.files),
            **input_document(observations),
            **provenance.lp_document(),
        },
        "intensity": observations.choice,
        "parameters": provenance.parameters,
    }


def version_document(provenance: Provenance) -> dict:
    """Name the command and the versions."""
    return {
        "command": provenance.command,
        "version": dials_spread.__version__,
        "dials_version": dials_version(),
    }


def input_document(observations: Observations) -> dict:
    """Describe the observations of one compound."""
    return {
        "crystals": observations.n_crystals,
        "images": len(observations.images),
        "observations": len(observations),
        "unique": len(observations.unique_index),
        "dropped": observations.dropped,
        "space_group": str(observations.space_group.info()),
        "unit_cell": list(observations.unit_cell.parameters()),
        "radiation": observations.radiation,
    }


def reference_document(reference: Reference, found: ReferenceMatch) -> dict:
    """Describe a reference and its settings."""
    return {**reference.as_dict(), **found.as_dict()}
