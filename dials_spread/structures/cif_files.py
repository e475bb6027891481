"""CIF, read without the two faults that end the process."""

from __future__ import annotations

import re
from pathlib import Path

import iotbx.cif
from iotbx.cif.model import cif as Cif

_NAMELESS = re.compile(
    r"(?:^|\s)loop_\s+(?!_|loop_|data_|save_|global_|stop_)\S", re.IGNORECASE
)


def read_cif(path: Path) -> Cif:
    """
    Read a CIF.

    The parser of cctbx crashes on a file that ends after the names of a loop, before
    its values, as one that was cut short may, and on a loop with values but without
    names: such files are refused beforehand.

    Args:
        path: The file.

    Returns:
        Its data blocks.

    Raises:
        ValueError: The file ends within a loop, or a loop has no names.
        OSError: It cannot be opened.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
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
        return iotbx.cif.reader(file_path=str(path)).model()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no CIF, byte {error.start} is no text") from None
