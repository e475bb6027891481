"""
Columns of several files under one another, without decoding those that stay as they are.

Functions:
    alike: what the columns of some files hold, where all have the same

Classes:
    Piece: rows of one file, with columns that take the place of others
    JoinedColumns: the content of a file with the rows of several
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.valid_input.stored_columns import (
    SIZES,
    beginning,
    changed,
    copied,
    find_columns,
    find_unchanged,
)

LONGEST = 1 << 32
"""Bytes that the format of DIALS has for a column."""


@dataclass(frozen=True)
class Piece:
    """
    Rows of one file.

    Attributes:
        filename: Of the file, as it is being written.
        length: Its number of rows.
        rows: Shape (n,), numbers of rows in the order in which they are written.
        table: n rows of new columns, id among them.
    """

    filename: str
    length: int
    rows: np.ndarray
    table: flex.reflection_table

    @property
    def whole(self) -> bool:
        """Whether it is all of the file, in its order."""
        return len(self.rows) == self.length and bool(
            (self.rows == np.arange(self.length)).all()
        )


def alike(filenames: Sequence[str]) -> dict[str, str] | None:
    """
    Say what the columns of some files hold.

    Args:
        filenames: Of tables.

    Returns:
        The types by name; None where files differ, have no rows, or one of them cannot be
        read without DIALS.
    """
    kinds: dict[str, str] | None = None
    for filename in filenames:
        try:
            with open(filename, "rb") as file:
                found = find_columns(file)
        except (OSError, ValueError):  # which is told when the file is read
            return None
        if not found.n_rows or kinds not in (None, found.kinds):
            return None
        kinds = found.kinds
    return kinds


@dataclass(frozen=True)
class JoinedColumns:
    """
    The content of a file with the rows of several, column by column.

    Attributes:
        pieces: In the order in which they are written; their tables have the same columns.
        identifiers: Of the experiments, by id.
        copies: Columns that are copied: the name that each is written under, and its name
            in the files, where all hold the same.
    """

    pieces: Sequence[Piece]
    identifiers: Sequence[str]
    copies: Mapping[str, str]

    def __len__(self) -> int:
        return sum(len(piece.rows) for piece in self.pieces)

    def as_msgpack(self) -> JoinedColumns:
        """Give what is written to a file, as the method of a table does."""
        return self

    def __iter__(self) -> Iterator[bytes]:
        """
        Give the bytes piece by piece.

        Yields:
            Columns in the order of their names, as DIALS writes them.

        Raises:
            OSError: A file cannot be read any more, or has been changed.
        """
        new = {*self.pieces[0].table.keys()}
        names = sorted({*self.copies} | new)
        yield self._beginning(len(names))
        for name in names:
            if name in new:
                yield from self._new(name)
            else:
                yield from self._copied(name)

    def _beginning(self, n_columns: int) -> bytes:
        """Give all that stands before the first column."""
        first = flex.reflection_table()
        ids = [piece.table["id"].as_numpy_array() for piece in self.pieces]
        first["id"] = cctbx_flex.int(np.concatenate(ids))
        for number, name in enumerate(self.identifiers):
            first.experiment_identifiers()[number] = name
        file = BytesIO(first.as_msgpack())
        return beginning(file, find_columns(file), n_columns)

    def _new(self, name: str) -> Iterator[bytes]:
        for number, piece in enumerate(self.pieces):
            alone = flex.reflection_table()
            alone[name] = piece.table[name]
            stored = alone.as_msgpack()
            found = find_columns(BytesIO(stored))
            kind, stop = found.kinds[name], found.columns[name][1]
            if not number:
                yield _header(name, kind, len(self))
            yield stored[stop - len(piece.rows) * SIZES[kind] : stop]

    def _copied(self, name: str) -> Iterator[bytes]:
        own = self.copies[name]
        for number, piece in enumerate(self.pieces):
            with open(piece.filename, "rb") as file:
                found = find_unchanged(file, piece.filename, piece.length)
                if own not in found.columns:
                    raise changed(piece.filename)
                kind, stop = found.kinds[own], found.columns[own][1]
                if not number:
                    yield _header(name, kind, len(self))
                file.seek(stop - piece.length * SIZES[kind])
                yield from _rows(file, piece, SIZES[kind])


def _rows(file: BinaryIO, piece: Piece, size: int) -> Iterator[bytes]:
    """Give rows of a column whose values come next."""
    n = piece.length * size
    if piece.whole:
        yield from copied(file, n, piece.filename)
        return
    stored = file.read(n)
    if len(stored) < n:
        raise changed(piece.filename)
    yield np.frombuffer(stored, dtype=f"V{size}")[piece.rows].tobytes()


def _text(text: str) -> bytes:
    stored = text.encode("utf-8")
    n = len(stored)
    return (bytes([0xA0 + n]) if n < 32 else struct.pack(">BB", 0xD9, n)) + stored


def _number(n: int) -> bytes:
    for first, code, most in ((0xCC, "B", 1 << 8), (0xCD, "H", 1 << 16)):
        if n < most:
            return bytes([n]) if n < 128 else struct.pack(f">B{code}", first, n)
    return struct.pack(">BI", 0xCE, n)


def _header(name: str, kind: str, n_rows: int) -> bytes:
    """Give what stands before the values of a column, as DIALS writes it."""
    n = n_rows * SIZES[kind]
    if n >= LONGEST:
        raise OSError(
            0,
            f"column {name} of {n_rows} reflections has {n} bytes, more than a "
            "reflection table can hold",
        )
    codes = ((0xC4, "B", 1 << 8), (0xC5, "H", 1 << 16), (0xC6, "I", LONGEST))
    length = next(struct.pack(f">B{c}", first, n) for first, c, m in codes if n < m)
    return b"".join(
        [_text(name), b"\x92", _text(kind), b"\x92", _number(n_rows), length]
    )
