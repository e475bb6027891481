"""
Files out: nothing that was given is overwritten, nothing half written is left.

Functions:
    check_outputs: no output may overwrite an input
    write_text, write_bytes: a whole file or none
    write_folder: whole files into a folder
    write_through: a whole file or none, by a function that writes
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

NO_FILES = ("figure_format", "images", "composition")
"""Choices among the names of files."""

FOLDERS = ("figures", "image_folder")


def check_outputs(output, files: Sequence[Sequence[str]]) -> None:
    """
    Refuse an output that would overwrite an input, or that has no folder.

    Args:
        output: The extracted ``output`` scope.
        files: Names of the input files, in any number of lists.

    Raises:
        ValueError: One line for each.
    """
    inputs = {os.path.realpath(f): f for some in files for f in some}
    problems: list[str] = []
    seen: dict[str, str] = {}
    for name, value in vars(output).items():
        if not isinstance(value, str) or name[0] == "_" or name in NO_FILES:
            continue
        if name == "image_folder" and not output.images:
            continue
        path = os.path.realpath(value)
        if path in inputs:
            problems.append(f"output.{name}={value} would overwrite an input")
        elif path in seen:
            problems.append(f"output.{name} and output.{seen[path]} are both {value}")
        else:
            problems += _why_not(f"output.{name}={value}", path, name in FOLDERS)
            seen[path] = name
    if problems:
        raise ValueError("\n".join(problems))


def _why_not(told: str, path: str, want_folder: bool) -> list[str]:
    """Say why a file, or files into a folder, cannot be written."""
    folder = path if want_folder and os.path.isdir(path) else os.path.dirname(path)
    if told.endswith("="):
        return [f"{told} has no name; None writes none"]
    if os.path.isdir(path) and not want_folder:
        return [f"{told} is a folder"]
    if os.path.exists(path) and not os.path.isdir(path) and want_folder:
        return [f"{told} is no folder"]
    if not os.path.isdir(folder):
        return [f"{told}: no such folder"]
    if not os.access(path if _is_device(path) else folder, os.W_OK):
        return [f"{told}: the folder cannot be written to"]
    return []


def _is_device(path: str | Path) -> bool:
    """Say whether something is there that is written to, not replaced: /dev/null."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_bytes(filename: str | Path, content: bytes) -> None:
    """
    Write a file whole or not at all.

    Args:
        filename: Its name; what stood there is replaced.
        content: All of it.
    """
    path = Path(filename)
    if _is_device(path):
        path.write_bytes(content)
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files that only the user may read.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_text(filename: str | Path, content: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_bytes(filename, content.encode("utf-8"))


def write_folder(folder: str | Path, draw: Callable[[str], list[Path]]) -> list[Path]:
    """
    Write files into a folder once all of them are complete.

    Args:
        folder: Made where it does not exist; what else is in it stays.
        draw: Writes the files into the folder that it is given and returns their paths.

    Returns:
        The paths.
    """
    folder = Path(folder)
    beside = Path(os.path.realpath(folder)).parent
    with tempfile.TemporaryDirectory(dir=beside, prefix=f".{folder.name}.") as made:
        drawn = draw(made)
        folder.mkdir(exist_ok=True)
        return [path.replace(folder / path.name) for path in drawn]


def write_through(filename: str, write: Callable[[str], None]) -> None:
    """
    Let a function of DIALS write a file, whole or not at all.

    Args:
        filename: Its name; what stood there is replaced.
        write: Writes the file of the name it is given.
    """
    path = Path(filename)
    folder = path.resolve().parent
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{path.name}.") as made:
        temporary = Path(made) / path.name
        write(str(temporary))
        os.replace(temporary, folder / path.name)
