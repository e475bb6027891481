"""
Which intensities a table has: scaled or not, and whether all of its crystals do.

Functions:
    lacks_intensity: those that were asked for are missing
    joined_with_unscaled: some crystals of a file are scaled and some not
    mixed_kinds: some files are scaled and some not
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials.array_family import flex

SCALED = ("intensity.scale.value", "inverse_scale_factor")
"""Columns of dials.scale."""


def lacks_intensity(
    table: flex.reflection_table, filename: str, intensity: str
) -> list[str]:
    """
    Say where the intensities that were asked for are not in a table.

    Args:
        table: Of one file.
        filename: Its name.
        intensity: "scale", "profile", "sum", or "auto", which asks for none.

    Returns:
        A sentence, or nothing.
    """
    kinds = {"scale": "scale", "profile": "prf", "sum": "sum"}
    own = [name for name in kinds if f"intensity.{kinds[name]}.value" in table]
    if intensity not in kinds or intensity in own or not own:
        return []
    return [
        f"{filename}: no intensities for intensity={intensity}; it has {', '.join(own)}"
    ]


def joined_with_unscaled(refl: Sequence[str], tables: Sequence) -> list[str]:
    """
    Say which files hold scaled crystals joined with unscaled ones.

    Programs that join tables fill columns that one of them lacks with nought.

    Args:
        refl: Names of reflection files.
        tables: Of each, or None where it could not be read.

    Returns:
        Sentences.
    """
    problems = []
    for filename, table in zip(refl, tables):
        if table is None or not all(name in table for name in SCALED):
            continue
        ids = table["id"].as_numpy_array()
        filled = np.ones(len(table), dtype=bool)
        for name in SCALED:
            filled &= table[name].as_numpy_array() == 0
        crystals = np.unique(ids[ids >= 0])
        unscaled = [int(k) for k in crystals if filled[ids == k].all()]
        if 0 < len(unscaled) < len(crystals):
            names = ", ".join(map(str, unscaled[:8]))
            names += ", …" if len(unscaled) > 8 else ""
            which = "crystal" if len(unscaled) == 1 else "crystals"
            problems.append(
                f"{filename}: scaled and unscaled crystals are joined, {len(unscaled)} of "
                f"{len(crystals)} are not scaled ({which} {names}). Scale them together, "
                "or give intensity=profile or sum, which takes all as they were before"
            )
    return problems


def mixed_kinds(refl: Sequence[str], tables: Sequence) -> list[str]:
    """
    Say which files are scaled and which are not, where there are both.

    Args:
        refl: Names of reflection files.
        tables: Of each, or None where it could not be read.

    Returns:
        Sentences.
    """
    parts: dict[bool, list[str]] = {True: [], False: []}
    for filename, table in zip(refl, tables):
        if table is not None and len(table):
            parts[all(name in table for name in SCALED)].append(filename)
    scaled, unscaled = parts[True], parts[False]
    if not (scaled and unscaled):
        return []
    return [
        f"Scaled and unscaled reflections are mixed: {_first(scaled)} scaled, "
        f"{_first(unscaled)} not. Scale them together, or give the integrated files of "
        "all of them"
    ]


def _first(names: Sequence[str]) -> str:
    """Name the first of some files, and count the others."""
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{names[0]} and {len(names) - 1} more are"
