"""
Files of experiments and reflections, read without running anything that is in them.

A table is a msgpack file. Tables of old releases of DIALS are pickle files, which may run
any code while they are read; they are read only where the user has said so. A msgpack file
that is damaged is never tried as a pickle file.

Classes:
    Refused: why a file is not read, in words for the user

Functions:
    read_table: one table of reflections
    read_experiments: one list of experiments, without its images
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList, ExperimentListFactory

from dials_spread.valid_input.stored_columns import (
    HoldsTexts,
    OtherFormat,
    WrongLength,
    check_columns,
    read_columns,
)

PHIL = """
allow_pickle = False
  .type = bool
  .help = "Also read reflection tables that old releases of DIALS wrote as pickle files."
          "Such a file may run any code when it is read: only for files whose origin you"
          "know."
"""

OF_XDS = ("intensity.cor.value", "intensity.prf.value")
"""Columns of what dials.import_xds makes of INTEGRATE.HKL; DIALS 3.12 writes no flags."""

MSGPACK = b"\x93"
"""How a table begins: an array of three."""

PICKLE_FILE = (
    "a pickle file, as old releases of DIALS wrote them; such a file may run any code "
    "when it is read. allow_pickle=True reads it, if you know where it comes from"
)
"""Why such a file is refused."""

MOST_IMAGES = 1_000_000
"""A scan of more images is none; dxtbx would make lists of that length."""


class Refused(ValueError):
    """Why a file is not read, in words for the user; other errors are of libraries."""


TEXTS_INSIDE = (
    "a column holds texts, which no program of DIALS writes and at which DIALS "
    "3.12 crashes; take that column out"
)


def read_table(
    filename: str,
    allow_pickle: bool = False,
    columns: Collection[str] | None = None,
) -> flex.reflection_table:
    """
    Read a table of reflections.

    Args:
        filename: Of a regular file.
        allow_pickle: Also read a pickle file, which may run any code.
        columns: Names of those that are needed; others may be there too. All by default.

    Raises:
        Refused: It is a pickle file, and that was not allowed.
        RuntimeError: It is damaged, or no table; pickle raises other errors, too.
        UnicodeDecodeError: A name in it is no text.
    """
    if _is_msgpack(filename):
        table = _from_msgpack(filename, columns)
        # Names that are no text raise when they are read, and that not later than here.
        _ = [*table.keys()], dict(table.experiment_identifiers())
        return _with_flags(table)
    if not _may_be_pickle(filename):
        raise RuntimeError("no reflection table")
    if not allow_pickle:
        raise Refused(PICKLE_FILE)
    return _with_flags(flex.reflection_table.from_pickle(filename))


def _from_msgpack(
    filename: str, columns: Collection[str] | None
) -> flex.reflection_table:
    with Path(filename).open("rb") as file:
        try:
            check_columns(file)
        except HoldsTexts:
            raise Refused(TEXTS_INSIDE) from None
        except WrongLength as error:
            raise Refused(f"damaged: a column has {error}") from None
        except (OtherFormat, UnicodeDecodeError):  # DIALS says what is wrong with it
            pass
    if columns is not None:
        try:
            return read_columns(filename, columns)
        except OtherFormat:  # which DIALS can read, or says what is wrong with
            pass
    return flex.reflection_table.from_msgpack_file(filename)


def _with_flags(table: flex.reflection_table) -> flex.reflection_table:
    """All that XDS integrated counts as profile-fitted, where no flags say so."""
    if "flags" not in table and all(name in table for name in OF_XDS):
        fitted = table.flags.integrated_prf | table.flags.predicted
        table["flags"] = flex.size_t(len(table), fitted)
    return table


def _first_bytes(filename: str, n: int) -> bytes:
    with Path(filename).open("rb") as file:
        return file.read(n)


def _is_msgpack(filename: str) -> bool:
    return _first_bytes(filename, 1) == MSGPACK


def _may_be_pickle(filename: str) -> bool:
    """Whether a file begins as pickle files of old or new protocols do, and is no text."""
    begin = _first_bytes(filename, 2)
    return (begin[:1] == b"\x80" and begin[1:2] <= b"\x05") or begin in (
        *(b"(c", b"(d", b"(i", b"(l", b"cc", b"cd"),
    )


def read_experiments(filename: str) -> ExperimentList:
    """
    Read a list of experiments; their images are not looked for.

    Args:
        filename: Of a regular file.

    Raises:
        Refused: A scan has more images than any scan has.
        RuntimeError: It is no such list; dxtbx raises other errors, too.
    """
    document = json.loads(Path(filename).read_bytes().decode("utf-8"))
    if not isinstance(document, dict) or document.get("__id__") != "ExperimentList":
        raise RuntimeError("no experiment list")
    for scan in document.get("scan") or []:
        first, last = scan["image_range"]
        if not (isinstance(first, int) and isinstance(last, int)):
            raise Refused(f"image_range {first} to {last} of a scan is no range")
        if abs(first) > MOST_IMAGES or abs(last) > MOST_IMAGES:
            raise Refused(f"a scan has the images {first} to {last}")
    return ExperimentListFactory.from_dict(
        document, check_format=False, directory=str(Path(filename).resolve().parent)
    )
