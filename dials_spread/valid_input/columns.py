"""
Which columns a table of reflections must have, and what each of them holds.

Functions:
    conflicting_columns: what keeps tables from being joined
    missing_columns: what a table lacks
    wrong_columns: what is of another type than it must be
    broken_correction: what keeps a correction from being understood or undone
"""

from __future__ import annotations

from collections.abc import Iterable

from dials.array_family import flex

POSITIONS = ("xyzcal.px", "xyzcal.mm", "xyzobs.px.value")
"""One of these columns tells which image a reflection is on."""

KINDS = ("prf", "sum", "scale")
"""Of intensities."""

ORIGINALS = tuple(
    f"intensity.{kind}.original.{what}"
    for kind in KINDS
    for what in ("value", "variance")
)
"""What dials.ml_correct keeps of intensities that it has corrected."""

PRECESSION = "pets.precession_angle"
"""Semi-angle of precession [°] of each row, of intensities of single frames with it, as
dials.import_pets writes it; nan where the file did not say it."""

WHOLE = ("int", "size_t")

NUMBERS = (
    *("inverse_scale_factor", "partiality", "lp", "qe", "dqe", "zeta", "d"),
    *("profile.correlation", "background.mean", "ml_correction", "ml_correction.sigma"),
    *("ml_correction.inflation", "ml_correction.common", "ml_correction.taken_in"),
    *(f"ml_correction.offset.{kind}" for kind in KINDS),
    PRECESSION,
)

TYPES: dict[str, tuple[str, ...]] = {
    "id": ("int",),
    "flags": ("size_t",),
    "miller_index": ("miller_index",),
    **{
        f"intensity.{kind}.{what}": ("double",)
        for kind in (*KINDS, "kinematic", "dynamical")
        for what in ("value", "variance")
    },
    **dict.fromkeys(ORIGINALS, ("double",)),
    **dict.fromkeys(NUMBERS, ("double",)),
    **dict.fromkeys((*POSITIONS, "xyzobs.mm.value", "s1"), ("vec3_double",)),
    "bbox": ("int6",),
    **dict.fromkeys(("panel", "imageset_id", "partial_id"), WHOLE),
    **dict.fromkeys(
        ("num_pixels.foreground", "num_pixels.background_used", "num_pixels.valid"),
        WHOLE,
    ),
}
"""What the columns that are read hold, in the words of flex."""

ONLY_CHECKED = frozenset(
    ("xyzobs.mm.value", "imageset_id", "partial_id", "profile.correlation", "d")
) | {n for n in TYPES if n.startswith("num_pixels.")}
"""Columns that nothing is computed from once they are known to be sound."""

READ = frozenset(TYPES) | {"ml_correction.lp"}
"""Columns that are read of a file whose other columns are not to be written again."""

WORDS = {
    "int": "whole numbers",
    "size_t": "counts",
    "double": "numbers",
    "vec3_double": "vectors",
    "vec2_double": "pairs of numbers",
    "mat3_double": "matrices",
    "int6": "boxes",
    "miller_index": "Miller indices",
    "bool": "true or false",
    "std_string": "text",
    "shoebox": "shoeboxes",
}
"""The same in words."""


def holds(column) -> str:
    """Name what a column of a table holds, as flex does."""
    return type(column).__name__


def conflicting_columns(tables: Iterable[flex.reflection_table]) -> set[str]:
    """
    Name the columns that hold one thing in a table and another in the next.

    Args:
        tables: To be joined, which dials refuses with such columns.
    """
    held: dict[str, str] = {}
    return {
        name
        for table in tables
        for name in table.keys()
        if held.setdefault(name, holds(table[name])) != holds(table[name])
    }


def missing_columns(table: flex.reflection_table, filename: str) -> list[str]:
    """
    Say what a table lacks to be of use.

    Args:
        table: As read.
        filename: Of it.

    Returns:
        One line for each thing.
    """
    if not len(table):
        return [f"{filename}: no reflections"]
    problems = []
    if "miller_index" not in table or _no_index(table):
        problems.append(f"{filename}: no Miller indices; index and integrate first")
    if "id" not in table or (_is(table, "id") and flex.max(table["id"]) < 0):
        problems.append(f"{filename}: no reflection belongs to an experiment")
    kinds = [k for k in KINDS if f"intensity.{k}.value" in table]
    if not kinds:
        problems.append(f"{filename}: no integrated intensities")
    for kind in kinds:
        if f"intensity.{kind}.variance" not in table:
            problems.append(f"{filename}: no intensity.{kind}.variance")
    if not any(name in table for name in POSITIONS):
        problems.append(f"{filename}: no positions ({', '.join(POSITIONS)})")
    if "flags" not in table:
        problems.append(f"{filename}: no flags")
    return problems


def _no_index(table: flex.reflection_table) -> bool:
    return _is(table, "miller_index") and (
        (table["miller_index"] == (0, 0, 0)).all_eq(True)
    )


def _is(table: flex.reflection_table, name: str) -> bool:
    return holds(table[name]) in TYPES[name]


def wrong_columns(table: flex.reflection_table, filename: str) -> list[str]:
    """
    Say which columns hold something else than they must.

    Args:
        table: As read.
        filename: Of it.

    Returns:
        One line for each such column.
    """
    problems = []
    for name in TYPES:
        if name in table and not _is(table, name):
            found, wanted = holds(table[name]), TYPES[name][-1]
            problems.append(
                f"{filename}: column {name} holds {WORDS.get(found, found)} ({found}) in "
                f"all {len(table)} rows, not {WORDS[wanted]} ({wanted})"
            )
    return problems


def broken_correction(table: flex.reflection_table, filename: str) -> list[str]:
    """
    Say why a correction of dials.ml_correct can be neither told nor undone.

    Args:
        table: As read.
        filename: Of it.

    Returns:
        One line, or none.
    """
    kept = [name for name in ORIGINALS if name in table]
    if not kept and "ml_correction" not in table:
        return []
    wanted = {"ml_correction"}
    for name in kept:
        _, kind, _, _ = name.split(".")
        for what in ("value", "variance"):
            wanted |= {f"intensity.{kind}.{what}", f"intensity.{kind}.original.{what}"}
    if not kept:
        wanted.add("intensity.*.original.*")
    lacking = [name for name in sorted(wanted) if name not in table]
    if not lacking:
        return []
    return [
        f"{filename}: corrected by dials.ml_correct, but without the column"
        f"{'s' if len(lacking) > 1 else ''} {', '.join(lacking)} the correction can "
        "neither be told nor undone; go back to the files it was made of"
    ]
