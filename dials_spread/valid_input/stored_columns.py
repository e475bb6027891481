"""
Some columns of a reflection table, taken out of its file without reading the others.

DIALS writes a table as msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md): a
name, a version, and a map with the identifiers, the number of rows, and for each column its
type, length and bytes. Here only the headers are read; the bytes of a column are left to
DIALS to decode, one column after the other, so that a table is never held twice.

Functions:
    beginning: what a file has before its columns
    changed, find_unchanged, copied: bytes of a file that was read before
    check_columns: refuse columns of texts, and those that are not as long as they say
    find_columns: where each column stands in a file
    read_columns: some of them as a table

Classes:
    Rewritten: the content of a file with some columns exchanged
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from dials.array_family import flex

_FIXED = (
    *((0x00, 0x80, "int"), (0x80, 0x90, "map"), (0x90, 0xA0, "array")),
    (0xA0, 0xC0, "text"),
)
"""First and last byte of a header that holds its number itself, and what follows."""

_SIZED = {
    **{0xC4 + k: ("bytes", f) for k, f in enumerate(("B", "H", "I"))},
    **{0xCC + k: ("int", f) for k, f in enumerate(("B", "H", "I", "Q"))},
    **{0xD9 + k: ("text", f) for k, f in enumerate(("B", "H", "I"))},
    **{0xDC + k: ("array", f) for k, f in enumerate(("H", "I"))},
    **{0xDE + k: ("map", f) for k, f in enumerate(("H", "I"))},
}
"""Other headers: what follows, and how its number is stored."""

SIZES = {
    **{"bool": 1, "int": 4, "std::size_t": 8, "double": 8, "int6": 24},
    **{"vec2<double>": 16, "vec3<double>": 24, "mat3<double>": 72},
    "cctbx::miller::index<>": 12,
}
"""Bytes of one row, by type. Shoeboxes and texts are left to DIALS."""

PIECE = 1 << 24
"""Bytes that are copied at once."""


TEXTS = b"std::string"
"""The type of columns of texts."""


class OtherFormat(ValueError):
    """A file is not as this module knows it; DIALS may know better."""


class HoldsTexts(OtherFormat):
    """A column of texts."""


class WrongLength(OtherFormat):
    """A column has not as many bytes as its rows need."""


@dataclass(frozen=True)
class StoredTable:
    """
    Where the parts of a table stand in its file: first byte, and the one after the last.

    Attributes:
        name: Of the format, as it begins the file.
        version: Of the format.
        parts: Of what is beside the columns, with their keys.
        columns: Of each column by name: its key, and type, length and bytes.
        kinds: Of each column by name: its type.
        n_rows: Of each column.
    """

    name: tuple[int, int]
    version: tuple[int, int]
    parts: tuple[tuple[int, int], ...]
    columns: dict[str, tuple[int, int]]
    kinds: dict[str, str]
    n_rows: int


def _header(file: BinaryIO) -> tuple[str, int]:
    """Read what comes next, and its number: a value, a length or a count."""
    first = file.read(1)
    if not first:
        raise OtherFormat("the file ends too early")
    (byte,) = first
    for begin, stop, kind in _FIXED:
        if begin <= byte < stop:
            return kind, byte - begin
    if byte not in _SIZED:
        raise OtherFormat(f"byte {byte:#x} begins nothing that a table has")
    kind, code = _SIZED[byte]
    stored = file.read(struct.calcsize(code))
    if len(stored) < struct.calcsize(code):
        raise OtherFormat("the file ends too early")
    return kind, struct.unpack(f">{code}", stored)[0]


def _pass(file: BinaryIO, end: int) -> None:
    """Go past whatever comes next, however deep."""
    left = 1
    while left:
        kind, n = _header(file)
        left -= 1
        if kind in ("text", "bytes"):
            file.seek(n, 1)
        elif kind != "int":
            left += 2 * n if kind == "map" else n
        if file.tell() > end or left > end:
            raise OtherFormat("the file ends too early")


def _expect(file: BinaryIO, wanted: str) -> int:
    kind, n = _header(file)
    if kind != wanted:
        raise OtherFormat(f"{kind} where {wanted} is expected")
    return n


def _text(file: BinaryIO) -> str:
    kind, n = _header(file)
    if kind not in ("text", "bytes"):  # DIALS takes either
        raise OtherFormat(f"{kind} where text is expected")
    return file.read(n).decode("utf-8")


def _pass_column(file: BinaryIO) -> tuple[int, str]:
    """Go past a column, whose bytes must be as many as its rows need; give rows, type."""
    if _expect(file, "array") != 2:
        raise OtherFormat("a column has other parts than type and values")
    kind = _text(file)
    if kind not in SIZES or _expect(file, "array") != 2:
        raise OtherFormat(f"a column holds {kind}")
    n_rows = _expect(file, "int")
    n_bytes = _expect(file, "bytes")
    if n_bytes != n_rows * SIZES[kind]:
        raise WrongLength(f"{n_bytes} bytes for {n_rows} rows of {kind}")
    file.seek(n_bytes, 1)
    return n_rows, kind


def check_columns(file: BinaryIO) -> None:
    """
    Look for columns of texts, and for those that are longer or shorter than they say.

    DIALS 3.30 crashes at one that says it is very long.

    Args:
        file: Open, of any position.

    Raises:
        HoldsTexts, WrongLength: Of the first such column.
        OtherFormat: It is no table, or damaged elsewhere.
    """
    end = file.seek(0, 2)
    file.seek(0)
    if _expect(file, "array") != 3:
        raise OtherFormat("not three parts")
    _pass(file, end)
    _pass(file, end)
    for _ in range(_expect(file, "map")):
        if _text(file) != "data":
            _pass(file, end)
            continue
        for _ in range(_expect(file, "map")):
            _pass(file, end)  # its name
            begin = file.tell()
            try:
                _pass_column(file)
            except WrongLength:
                raise
            except OtherFormat:  # rows of no fixed size, or damaged
                file.seek(begin)
                _pass_other_column(file, end)


def _pass_other_column(file: BinaryIO, end: int) -> None:
    """Go past a column whose rows have no fixed size, but one byte each at least."""
    begin = file.tell()
    if _header(file) == ("array", 2):
        start = file.tell()
        _pass(file, end)  # its type
        if _between(file, start, file.tell()) == TEXTS:
            raise HoldsTexts("texts")
        if _header(file) == ("array", 2):
            (rows, n_rows), (what, n_bytes) = _header(file), _header(file)
            if (rows, what) == ("int", "bytes") and n_rows > n_bytes:
                raise WrongLength(f"{n_bytes} bytes for {n_rows} rows")
    file.seek(begin)
    _pass(file, end)


def _between(file: BinaryIO, start: int, end: int) -> bytes:
    """Give the bytes of a text, without those that say how long it is."""
    file.seek(start)
    kind, n = _header(file)
    found = file.read(n) if kind in ("text", "bytes") else b""
    file.seek(end)
    return found


def find_columns(file: BinaryIO) -> StoredTable:
    """
    Find where each column stands.

    Args:
        file: Open, of any position.

    Raises:
        OtherFormat: It is no table as DIALS 3.12 writes them, or damaged.
    """
    end = file.seek(0, 2)
    file.seek(0)

    def span() -> tuple[int, int]:
        begin = file.tell()
        _pass(file, end)
        return begin, file.tell()

    if _expect(file, "array") != 3:
        raise OtherFormat("not three parts")
    name, version = span(), span()
    parts, columns, kinds, lengths = [], {}, {}, set()
    for _ in range(_expect(file, "map")):
        begin = file.tell()
        if _text(file) != "data":
            _pass(file, end)
            parts.append((begin, file.tell()))
            continue
        for _ in range(_expect(file, "map")):
            begin = file.tell()
            column = _text(file)
            n_rows, kinds[column] = _pass_column(file)
            lengths.add(n_rows)
            columns[column] = (begin, file.tell())
    if len(lengths) > 1:
        raise OtherFormat(f"columns of {sorted(lengths)} rows")
    if file.tell() != end:
        raise OtherFormat(f"{end - file.tell()} bytes follow the table")
    n_rows = max(lengths, default=0)
    return StoredTable(name, version, tuple(parts), columns, kinds, n_rows)


def _taken(file: BinaryIO, span: tuple[int, int]) -> bytes:
    file.seek(span[0])
    return file.read(span[1] - span[0])


def _map_header(n: int) -> bytes:
    return bytes([0x80 + n]) if n < 16 else b"\xde" + struct.pack(">H", n)


def beginning(file: BinaryIO, found: StoredTable, n_columns: int) -> bytes:
    """Give all of a table that stands before its first column."""
    parts = (found.name, found.version)
    return b"".join(
        [
            b"\x93",
            *(_taken(file, span) for span in parts),
            _map_header(len(found.parts) + 1),
            *(_taken(file, span) for span in found.parts),
            b"\xa4data",
            _map_header(n_columns),
        ]
    )


def read_columns(filename: str, wanted: Collection[str]) -> flex.reflection_table:
    """
    Read some columns of a table.

    Args:
        filename: Of a regular file.
        wanted: Names of columns; those that the table lacks are left out.

    Returns:
        All rows, with the identifiers of the experiments.

    Raises:
        OtherFormat: It is not written as DIALS 3.12 does.
        RuntimeError: DIALS finds a column damaged.
    """
    with open(filename, "rb") as file:
        found = find_columns(file)
        chosen = [n for n in found.columns if n in wanted]
        if not chosen:
            raise OtherFormat("none of the columns")
        begin, table = beginning(file, found, 1), None
        for name in chosen:
            stored = begin + _taken(file, found.columns[name])
            part = flex.reflection_table.from_msgpack(stored)
            del stored
            if table is None:
                table = part
            else:
                table[name] = part[name]
    return table


def _encoded(table: flex.reflection_table, name: str) -> bytes:
    """Give a column as it stands in a file: key, type, length and bytes."""
    alone = flex.reflection_table()
    alone[name] = table[name]
    file = BytesIO(alone.as_msgpack())
    return _taken(file, find_columns(file).columns[name])


def column_by_column(table: flex.reflection_table) -> Iterator[bytes]:
    """
    Give the bytes of a table piece by piece, so that they are never held as a whole.

    Args:
        table: As it is to be written.

    Yields:
        What DIALS writes of it; where its format is another one, in one piece.
    """
    first = flex.reflection_table()
    first["id"] = table["id"]
    for number in table.experiment_identifiers().keys():
        name = table.experiment_identifiers()[number]
        first.experiment_identifiers()[number] = name
    file = BytesIO(first.as_msgpack())
    try:
        found = find_columns(file)
    except OtherFormat:
        yield table.as_msgpack()
        return
    names = sorted(table.keys())
    yield beginning(file, found, len(names))
    for name in names:
        yield _encoded(table, name)


def changed(filename: str) -> OSError:
    """Give the error of a file that is no longer what was read."""
    return OSError(0, f"the input {filename} was changed during the run")


def find_unchanged(file: BinaryIO, filename: str, n_rows: int) -> StoredTable:
    """
    Find the columns of a file that was read before.

    Args:
        file: At its beginning.
        filename: For the error.
        n_rows: That it had.

    Raises:
        OSError: It has been changed.
    """
    try:
        found = find_columns(file)
    except OtherFormat:
        raise changed(filename) from None
    if found.n_rows != n_rows:
        raise changed(filename)
    return found


def copied(file: BinaryIO, n: int, filename: str) -> Iterator[bytes]:
    """
    Give the next bytes of a file, piece by piece.

    Args:
        file: At the first of them.
        n: Their number.
        filename: For the error.

    Yields:
        PIECE bytes at most.

    Raises:
        OSError: It has been changed, and ends before.
    """
    while n:
        piece = file.read(min(PIECE, n))
        if not piece:
            raise changed(filename)
        yield piece
        n -= len(piece)


@dataclass(frozen=True)
class Rewritten:
    """
    The content of a file with some columns exchanged, without decoding the others.

    Attributes:
        filename: Of the table that the rest is taken from, as it is being written.
        table: The same rows; its columns take the place of those of the file.
        left_out: Columns of the file that are not written.
    """

    filename: str
    table: flex.reflection_table
    left_out: Collection[str] = ()

    def as_msgpack(self) -> Rewritten:
        """Give what is written to a file, as the method of a table does."""
        return self

    def __iter__(self) -> Iterator[bytes]:
        """
        Give the bytes piece by piece.

        Yields:
            Columns in the order of their names, as DIALS writes them.

        Raises:
            OSError: The file cannot be read any more, or has been changed.
        """
        with open(self.filename, "rb") as file:
            found = find_unchanged(file, self.filename, len(self.table))
            new = {*self.table.keys()}
            names = sorted(({*found.columns} - {*self.left_out}) | new)
            yield beginning(file, found, len(names))
            for name in names:
                if name in new:
                    yield _encoded(self.table, name)
                else:
                    place, stop = found.columns[name]
                    file.seek(place)
                    yield from copied(file, stop - place, self.filename)
