"""
CIF, read without the two faults that end the process.

Functions:
    text_of: a text file, whatever its encoding
    read_cif, cif_reader: the data blocks, and what has read them
"""

from __future__ import annotations

import codecs
import logging
import re
from pathlib import Path

import iotbx.cif
from iotbx.cif import CifParserError
from iotbx.cif.model import cif as Cif

from dials_spread.versions import cif_error

logger = logging.getLogger("dials.spread.structures")

_NAMELESS = re.compile(
    r"(?:^|\s)loop_\s+(?!_|loop_|data_|save_|global_|stop_)\S", re.IGNORECASE
)


def text_of(path: Path) -> str:
    """
    Read a text file of any of the encodings in which editors write one.

    Args:
        path: UTF-8 or UTF-16 with a byte order mark or UTF-8 without, else Latin-1.

    Returns:
        The text, with what is not ASCII as question marks: nothing that is needed has
        other letters, and the parsers of cctbx stop at them.

    Raises:
        OSError: It cannot be opened.
    """
    content = path.read_bytes()
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    return text.encode("ascii", "replace").decode("ascii")


def read_cif(path: Path) -> Cif:
    """
    Read a CIF.

    Args:
        path: The file.

    Returns:
        Its data blocks.

    Raises:
        ValueError: As by cif_reader.
        OSError: It cannot be opened.
    """
    return cif_reader(path).model()


def cif_reader(path: Path) -> iotbx.cif.reader:
    """
    Parse a CIF.

    The parser of cctbx crashes on a file that ends after the names of a loop, before
    its values, as one that was cut short may, and on a loop with values but without
    names: such files are refused beforehand.

    Args:
        path: The file.

    Returns:
        What gives its data blocks, and its lists of reflections.

    Raises:
        ValueError: The file is no CIF, with the line; ends within a loop, or a loop has no names.
        OSError: It cannot be opened.
    """
    text = text_of(path).replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:  # at which later parsers run out of memory
        number = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{path}, line {number}: a byte of zero, not a CIF")
    *_, rest = re.split(r"(?:^|\s)loop_(?=\s|$)", text, flags=re.IGNORECASE)
    tokens = re.sub(r"(?:^|\s)#.*", " ", rest).split()
    if tokens and rest != text and all(token[0] == "_" for token in tokens):
        raise ValueError(f"{path}: ends in the middle of a loop; is it complete?")
    outside = re.sub(r"^;.*?^;", " q ", text, flags=re.MULTILINE | re.DOTALL)
    outside = re.sub(r"(?:^|\s)#.*", " ", outside)
    outside = re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", " q ", outside)
    if _NAMELESS.search(outside):
        raise ValueError(f"{path}: a loop has values, and no names of what they are")
    try:
        return iotbx.cif.reader(input_string=text)
    except CifParserError as error:
        logger.debug("Reading %s", path, exc_info=True)
        told = str(error)
    raise ValueError(f"{path}{_fault(told, text)}")


def _fault(told: str, text: str) -> str:
    """Turn what the parser says into the line, or the loop, that is wrong."""
    loop, place = cif_error(told)
    if loop:
        return f": too few or too many values in the loop of {loop}; is it complete?"
    if place is None:
        return ": cannot be read, not a CIF"
    lines = text.split("\n")
    number = min(place, len(lines))
    line = lines[number - 1].strip()[:60]
    return f", line {number}: cannot be read, not a CIF{f' (“{line}”)' if line else ''}"
