"""
Files out: nothing that was given is overwritten, nothing half written is left.

All files of a run are made in a hidden folder beside those they replace, one in each folder
that is written to (`dials_spread.staging`), and renamed together at the end.

Functions:
    check_outputs: no output may overwrite an input, or be written by two runs at once
    reserve: nobody else writes these files until the run ends
    write_together: some files, all of them whole or none
    write_text, write_bytes: one file, whole or not at all
    draw_files: make files that will go into a folder
    begin_file: make a large one beside what goes on
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Union

from libtbx import Auto

from dials_spread import interruption, stages
from dials_spread.staging import (
    BeingWritten,
    Move,
    Stage,
    clear_leftovers,
    put_in_place,
    write,
)

NO_FILES = ("figure_format", "images", "composition")
"""Choices among the names of files."""

FOLDERS = ("figures", "image_folder")

TABLE = ".refl"
"""Ending of what is put in its place last: whoever waits for it finds the others."""

WRITTEN = "all files had been written"


def check_outputs(output, files: Sequence[Sequence[str]]) -> None:
    """
    Refuse outputs that cannot be written, and reserve them for the run that is going on.

    Where a run was killed just as it put its files in place beside an input, the rest is
    done, so that no files of two runs are read together.

    Args:
        output: The extracted ``output`` scope.
        files: Names of the input files, in any number of lists.

    Raises:
        ValueError: One line for each output that would overwrite an input, that is given
            twice, that cannot be written, or that another run will write.
    """
    inputs = {os.path.realpath(f): f for some in files for f in some}
    problems: list[str] = []
    seen: dict[str, str] = {}
    for name, value in vars(output).items():
        if value is Auto:
            problems.append(f"output.{name}=Auto: a name, or None, is needed")
        if not isinstance(value, str) or name[0] == "_" or name in NO_FILES:
            continue
        if name == "image_folder" and not output.images:
            continue
        told = f"output.{name}={value}"
        path = os.path.realpath(value)
        if problem := _no_name(value):
            problems.append(f"{told}: {problem}")
        elif path in inputs:
            problems.append(f"{told} would overwrite an input")
        elif path in seen and not _is_device(path):
            problems.append(f"output.{name} and output.{seen[path]} are both {value}")
        else:
            problems += _why_not(told, path, name in FOLDERS)
            seen[path] = name
    if problems:
        raise ValueError("\n".join(problems))
    if interruption.in_run():
        reserve({path: f"output.{name}={path}" for path, name in seen.items()})
        for folder in {os.path.dirname(path) for path in inputs} - {*_reserved}:
            clear_leftovers(folder)


def _no_name(value: str) -> str:
    """Say why something names no file, whatever is there; empty where it may."""
    try:
        os.stat(value)
    except ValueError:
        return "no name of a file"
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""
    except OSError as error:  # too long, or links that lead to themselves
        return _in_words(error)
    return ""


def _in_words(error: OSError) -> str:
    """Say what went wrong without number and name."""
    told = error.strerror or str(error)
    return told[:1].lower() + told[1:]


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


_reserved: dict[str, Stage] = {}
"""By folder; of the run that is going on."""


def reserve(names: Mapping[str, str]) -> None:
    """
    Let no other run write some files until this one ends.

    What runs that were killed have left in these folders is put right or removed.

    Args:
        names: What a message calls each of them, by path.

    Raises:
        ValueError: Another run will write one of them, or its folder lets nothing be made.
    """
    by_folder: dict[str, dict[str, str]] = {}
    for name, told in names.items():
        path = os.path.realpath(name)
        if not _is_device(path):
            by_folder.setdefault(_stands_in(path), {})[path] = told
    interruption.at_end(_release)
    problems = []
    for folder, own in by_folder.items():
        if folder in _reserved:
            continue
        try:
            with interruption.uninterrupted():
                _reserved[folder] = Stage(folder, [*own])
        except BeingWritten as error:
            problems.append(
                f"{own[error.path]} is being written by another run ({error.by}): wait "
                "until it ends, or give another name"
            )
        except OSError as error:
            first = next(iter(own.values()))
            problems.append(
                f"{first}: the folder cannot be written to ({_in_words(error)})"
            )
    if problems:
        raise ValueError("\n".join(problems))


def _release() -> None:
    for folder, stage in [*_reserved.items()]:
        stage.remove()
        _reserved.pop(folder, None)


def _stands_in(path: str) -> str:
    """Where files for a path are made: in the folder itself if there is one."""
    return path if os.path.isdir(path) else os.path.dirname(path)


@contextmanager
def _stages() -> Iterator[Callable[[str], Stage]]:
    """Give the stage of a folder, that of the run or one of our own."""
    own: dict[str, Stage] = {}

    def stage(folder: str) -> Stage:
        found = _reserved.get(folder) or own.get(folder)
        if found is None:
            found = own[folder] = Stage(folder)
        return found

    try:
        yield stage
    finally:
        for one in own.values():
            one.remove()


@dataclass(frozen=True)
class Drawn:
    """
    Files that are complete, and not yet where they belong.

    Attributes:
        stage: Where they are.
        moves: From there into their folder.
    """

    stage: Stage
    moves: tuple[Move, ...]

    @property
    def paths(self) -> list[Path]:
        """Where they will be."""
        return [Path(move.to) for move in self.moves]


class Begun:
    """
    A file that is being made beside what goes on.

    Args:
        path: Where it is made.
        content: Its content, piece by piece.
    """

    def __init__(self, path: str, content: Iterable[bytes]) -> None:
        self._path, self._stopped = path, False
        beside = ThreadPoolExecutor(1)
        self._done: Future[None] = beside.submit(write, path, self._pieces(content))
        beside.shutdown(wait=False)

    def _pieces(self, content: Iterable[bytes]) -> Iterator[bytes]:
        for piece in content:
            if self._stopped:
                return
            yield piece

    def path(self) -> str:
        """Give its path when it is complete; OSError where it cannot be written."""
        self._done.result()
        return self._path

    def stop(self) -> None:
        """Let go of it."""
        self._stopped = True
        wait([self._done])


Content = Union[bytes, Iterable[bytes], Begun]
"""Of a file: at once, piece by piece, or on its way to the disk."""


def begin_file(name: str, content: Iterable[bytes]) -> Iterable[bytes] | Begun:
    """
    Begin to make a large file, for `write_together`, while something else is computed.

    Args:
        name: Of the file.
        content: Piece by piece, which nothing else changes.

    Returns:
        What it is given as content; as it was where no run has reserved the folder.
    """
    path = os.path.realpath(name)
    stage = _reserved.get(os.path.dirname(path))
    if stage is None or _is_device(path):
        return content
    begun = Begun(stage.next_path(), content)
    interruption.at_end(begun.stop)
    return begun


def draw_files(folder: str | Path, draw: Callable[[str], list[Path]]) -> Drawn:
    """
    Make files that `write_together` will put into a folder.

    Args:
        folder: Made then where it does not exist; what else is in it stays.
        draw: Writes the files into the folder that it is given and returns their paths.
    """
    path = os.path.realpath(folder)
    beside = _stands_in(path)
    stage = _reserved.get(beside)
    own = stage is None
    if stage is None:
        stage = Stage(beside)
    try:
        made = draw(stage.folder_for_files())
    except BaseException:
        if own:
            stage.remove()
        raise
    if own:
        interruption.at_end(stage.remove)
    moves = (Move(str(file), os.path.join(folder, file.name)) for file in made)
    return Drawn(stage, tuple(moves))


@stages.stage("Writing files")
def write_together(
    contents: Mapping[str, Content], drawn: Sequence[Drawn] = ()
) -> None:
    """
    Write some files so that none of them is replaced before all of them are complete.

    Args:
        contents: By name of the file. Reflection tables are put in their places last.
        drawn: Further files, of `draw_files`.

    Raises:
        OSError: One of them cannot be written, for instance because the disk is full;
            the old files are as they were. It names the file.
    """
    moves = [move for some in drawn for move in some.moves]
    last = sorted(contents, key=lambda name: name.endswith(TABLE))
    name = ""
    try:
        with _stages() as stage_of:
            devices = []
            for name in last:
                path = os.path.realpath(name)
                if _no_name(name) or os.path.isdir(path):
                    raise OSError(0, _no_name(name) or "it is a folder")
                if _is_device(path):
                    devices.append(name)
                    continue
                stage, found = stage_of(os.path.dirname(path)), contents[name]
                made = found.path() if isinstance(found, Begun) else stage.make(found)
                moves.append(Move(made, path))
            for name in devices:
                found = contents[name]
                assert not isinstance(found, Begun)  # see begin_file
                whole = found if isinstance(found, bytes) else b"".join(found)
                Path(name).write_bytes(whole)
            name = ""
            put_in_place(moves, _say_written if _is_of_run(moves) else None)
    except OSError as error:
        where = name or error.filename2 or error.filename or "output"
        raise OSError(f"{where}: {_in_words(error)}; no file was written") from error
    finally:
        for some in drawn:
            if some.stage not in _reserved.values():
                some.stage.remove()


def _is_of_run(moves: Sequence[Move]) -> bool:
    """Say whether these are the outputs of the run, and not of one of its steps."""
    reserved = {stage.path for stage in _reserved.values()}
    return any(os.path.dirname(move.made) in reserved for move in moves)


def _say_written() -> None:
    interruption.say_when_ended(WRITTEN)


def write_bytes(filename: str | Path, content: bytes) -> None:
    """
    Write a file whole or not at all.

    Args:
        filename: Its name; what stood there is replaced.
        content: All of it.

    Raises:
        OSError: It cannot be written; it names the file.
    """
    write_together({str(filename): content})


def write_text(filename: str | Path, content: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_bytes(filename, content.encode("utf-8"))
