"""
The JSON document: what a program that reads the results relies on.

Numbers are finite or null, never NaN; keys are those that all commands share, then the
results.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def finite(value):
    """
    Turn results into what JSON can hold.

    Args:
        value: Any nesting of dicts, sequences, arrays and numbers.

    Returns:
        The same of Python's own types, None for what is not finite.
    """
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value


def write_json(document: dict) -> str:
    """Give the document as text, refusing what is no JSON."""
    return json.dumps(finite(document), allow_nan=False, indent=1) + "\n"


@dataclass(frozen=True)
class Provenance:
    """
    Where the results come from.

    Attributes:
        command: Name of the command.
        files: Names of the input files.
        parameters: All phil parameters by their full names.
        changed: Those that would be repeated in a run on other files, as name=value.
    """

    command: str
    files: Sequence[str]
    parameters: dict
    changed: Sequence[str] = ()
