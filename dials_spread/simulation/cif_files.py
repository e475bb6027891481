"""CIF, read without the one fault that ends the process."""

from __future__ import annotations

import re
from pathlib import Path

import iotbx.cif
from iotbx.cif.model import cif as Cif


def read_cif(path: Path) -> Cif:
    """
    Read a CIF.

    The parser of cctbx crashes on a file that ends after the names of a loop, before
    its values, as one that was cut short may: such a file is refused beforehand.

    Args:
        path: The file.

    Returns:
        Its data blocks.

    Raises:
        ValueError: The file ends within a loop.
        OSError: It cannot be opened.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    *_, rest = re.split(r"(?:^|\s)loop_(?=\s|$)", text, flags=re.IGNORECASE)
    tokens = re.sub(r"(?:^|\s)#.*", " ", rest).split()
    if tokens and rest != text and all(token[0] == "_" for token in tokens):
        raise ValueError(f"{path}: ends in the middle of a loop; is it complete?")
    return iotbx.cif.reader(file_path=str(path)).model()
