"""
A hidden folder beside files that are to be replaced, and the step that replaces them.

Each run has one in every folder it writes to: ``.dials_spread-…``, which only the user may
read. In it are

lock
    locked (flock) as long as the run lives, however it ends;
about.json
    who the run is, and which files it will write;
journal.json
    only while files are renamed: from where and to where, all of them, in all folders.

A folder whose lock is free was left by a run that was killed. The next run that writes
beside it finishes what its journal says, so that files of two runs do not stand side by
side, and removes it. Without a journal nothing had been renamed.

Classes:
    Stage: the folder
    Move: a file and where it will be

Functions:
    put_in_place: rename all files, or leave the old ones
    clear_leftovers: finish or forget what killed runs have left
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, NamedTuple

from dials_spread.interruption import uninterrupted

logger = logging.getLogger("dials.spread.staging")

PREFIX = ".dials_spread-"
LOCK, ABOUT, JOURNAL = "lock", "about.json", "journal.json"

PATIENCE = 5.0
"""How long to wait for another run that renames its files just now [s]."""

A_MINUTE, A_DAY = 60.0, 86400.0
"""After which a folder without a lock, or with that of another computer, is left over."""

ONE_BY_ONE = 64
"""Of more files than that, all that waits is brought to the disk at once."""


class BeingWritten(ValueError):
    """
    Another run will write a file.

    Attributes:
        path: The file.
        by: Who.
    """

    def __init__(self, path: str, by: str):
        super().__init__(path, by)
        self.path, self.by = path, by


class Move(NamedTuple):
    """
    A file and where it will be.

    Attributes:
        made: Where it is, complete.
        to: Its path.
    """

    made: str
    to: str


class Stage:
    """
    A hidden folder of a run, in a folder that it writes to.

    Args:
        folder: It is there.
        outputs: Paths that no other run may write meanwhile.

    Raises:
        BeingWritten: Another run will write one of them.
        OSError: Nothing can be made in the folder.
    """

    def __init__(self, folder: str, outputs: Sequence[str] = ()):
        self.n_made = 0
        with _alone_in(folder) as alone:
            for other in _left_or_live(folder, alone):
                about = _read(os.path.join(other, ABOUT))
                both = {*about.get("outputs", ())}.intersection(outputs)
                if both:
                    by = f"process {about.get('pid')} on {about.get('host')}"
                    raise BeingWritten(min(both), by)
            self.path = tempfile.mkdtemp(dir=folder, prefix=PREFIX)
            try:
                self._lock = os.open(
                    os.path.join(self.path, LOCK), os.O_RDWR | os.O_CREAT, 0o600
                )
                _try_lock(self._lock)
                about = {"pid": os.getpid(), "host": socket.gethostname()}
                text = json.dumps({**about, "outputs": [*outputs]})
                write(os.path.join(self.path, ABOUT), text.encode())
            except BaseException:
                shutil.rmtree(self.path, ignore_errors=True)
                raise

    def make(self, content: bytes | Iterable[bytes]) -> str:
        """
        Make a file, with the permissions that the user wants, and bring it to the disk.

        Args:
            content: All of it, at once or piece by piece.

        Returns:
            Its path.
        """
        path = self.next_path()
        write(path, content)
        return path

    def folder_for_files(self) -> str:
        """Make a folder in it and give its path."""
        path = self.next_path()
        os.mkdir(path)
        return path

    def next_path(self) -> str:
        """Name a file that is not there yet."""
        # Numbers, as the names of files may be as long as the system lets them be.
        self.n_made += 1
        return os.path.join(self.path, f"new-{self.n_made}")

    def remove(self) -> None:
        """Remove it, with what is in it; nothing where that was done."""
        if self._lock is None:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        lock, self._lock = self._lock, None
        os.close(lock)

    _lock: int | None = None


def write(path: str, content: bytes | Iterable[bytes]) -> None:
    """Write a file that is not there yet, and bring it to the disk."""
    with open(path, "xb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: str) -> dict[str, Any]:
    """Read a JSON document; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def _alone_in(folder: str) -> Iterator[bool]:
    """Let runs look around and rename in a folder one after the other, if it has locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + PATIENCE
        # Where nobody gives way, as in a stopped process, or there are no locks: go on.
        while (alone := _try_lock(handle)) is False and time.monotonic() < end:
            time.sleep(0.01)
        yield alone is True
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool | None:
    """Lock a file; false if it is locked, None where the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held = (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN)
        return False if error.errno in held else None
    return True


def clear_leftovers(folder: str) -> None:
    """
    Finish or forget what killed runs have left in a folder, if it is there.

    Args:
        folder: It may be one that cannot be written to; nothing is done then.
    """
    with contextlib.suppress(OSError):
        if _stages_in(folder):
            with _alone_in(folder) as alone:
                _left_or_live(folder, alone)


def _left_or_live(folder: str, alone: bool) -> list[str]:
    """Clear what killed runs have left, and give the hidden folders of others."""
    live = []
    for stage in _stages_in(folder):
        if _is_live(stage, alone):
            live.append(stage)
        else:
            _clear(stage)
    return live


def _stages_in(folder: str) -> list[str]:
    """Hidden folders of this user: what others put there is not to be trusted."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        return sorted(
            entry.path
            for entry in found
            if entry.name.startswith(PREFIX)
            and entry.is_dir(follow_symlinks=False)
            and entry.stat(follow_symlinks=False).st_uid == os.getuid()
        )
    return []


def _is_live(stage: str, alone: bool) -> bool:
    """Say whether its run is still there; alone if no run makes or removes one just now."""
    try:
        age = time.time() - os.stat(stage).st_mtime
        handle = os.open(os.path.join(stage, LOCK), os.O_RDWR)
    except FileNotFoundError:
        # Just being made, or killed then.
        return not alone and age < A_MINUTE
    except OSError:
        return True
    try:
        locked = _try_lock(handle)
    finally:
        os.close(handle)
    if locked is False:
        return True
    about = _read(os.path.join(stage, ABOUT))
    if about.get("host", socket.gethostname()) != socket.gethostname():
        # Locks may not reach from one computer to the other.
        return age < A_DAY
    return locked is None and _runs(about.get("pid"))


def _runs(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, TypeError, ValueError, OverflowError):
        return False
    except OSError:
        pass
    return True


def _clear(stage: str) -> None:
    """Finish or forget what a killed run has left, and remove it."""
    for path in (os.path.join(stage, JOURNAL), _elsewhere(stage)):
        if path and os.path.isfile(path):
            _finish(path)
    shutil.rmtree(stage, ignore_errors=True)


def _elsewhere(stage: str) -> str | None:
    """The journal that speaks of this folder and is in another one."""
    first = _read(os.path.join(stage, "with.json")).get("journal")
    if not isinstance(first, str):
        return None
    try:
        if os.stat(os.path.dirname(first)).st_uid != os.getuid():
            return None
    except OSError:
        return None
    return first


def _finish(journal: str) -> None:
    """Rename what had not been renamed when a run was killed in this very step."""
    written = os.stat(journal).st_mtime
    done = []
    for made, to in _read(journal).get("moves", ()):
        with contextlib.suppress(OSError):
            # Somebody may have put another file there since.
            if os.path.lexists(to) and os.lstat(to).st_mtime > written:
                continue
            os.replace(made, to)
            done.append(to)
    if done:
        logger.info(
            "Another run was killed while it put its files in place; that is finished "
            "now: %s",
            ", ".join(done),
        )


def put_in_place(moves: Sequence[Move], then: Callable[[], Any] | None = None) -> None:
    """
    Rename complete files to their final names, all or none of them.

    Where the process is killed in between, the next run that writes into one of these
    folders does the rest.

    Args:
        moves: All of them, in this order. Each file is in a `Stage` in the folder that it
            goes to, or in the one above.
        then: Called when they are in place, before a signal is heard.

    Raises:
        OSError: One of them cannot be renamed; the old files are in their places.
    """
    if not moves:
        return
    if len(moves) > ONE_BY_ONE:
        os.sync()
    else:
        for move in moves:
            _sync(move.made)
    stages = list(dict.fromkeys(_stage_of(move.made) for move in moves))
    folders = sorted({os.path.dirname(os.path.abspath(move.to)) for move in moves})
    with contextlib.ExitStack() as stack:
        # Files of two runs must not be mixed; in this order no two wait for each other.
        for folder in sorted({os.path.dirname(stage) for stage in stages}):
            stack.enter_context(_alone_in(folder))
        for folder in folders:
            os.makedirs(folder, exist_ok=True)
        kept = [(_keep(move.to, stages[0], n), move) for n, move in enumerate(moves)]
        with uninterrupted():
            _promise(stages, moves)
            try:
                _rename(kept)
            finally:
                os.unlink(os.path.join(stages[0], JOURNAL))
            if then is not None:
                then()
        for folder in folders:
            _sync(folder)


def _stage_of(made: str) -> str:
    folder = os.path.dirname(made)
    while not os.path.basename(folder).startswith(PREFIX):
        folder = os.path.dirname(folder)
    return folder


def _keep(path: str, stage: str, number: int) -> str | None:
    """Give an old file a second name; None where there is none, "" where it cannot be."""
    kept = os.path.join(stage, f"old-{number}")
    try:
        os.link(path, kept, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except (OSError, NotImplementedError):
        return ""
    return kept


def _promise(stages: Sequence[str], moves: Sequence[Move]) -> None:
    """Write the journal into the first folder; from now on it will be done."""
    first = os.path.join(stages[0], JOURNAL)
    for stage in stages[1:]:
        write(os.path.join(stage, "with.json"), json.dumps({"journal": first}).encode())
    told = [[os.path.abspath(move.made), os.path.abspath(move.to)] for move in moves]
    write(f"{first}.new", json.dumps({"moves": told}).encode())
    os.rename(f"{first}.new", first)


def _rename(kept: Sequence[tuple[str | None, Move]]) -> None:
    done: list[tuple[str | None, Move]] = []
    try:
        for old, move in kept:
            os.replace(move.made, move.to)
            done.append((old, move))
    except OSError:
        for old, move in reversed(done):
            with contextlib.suppress(OSError):
                if old is None:
                    os.replace(move.to, move.made)
                elif old:
                    os.replace(old, move.to)
        raise


def _sync(path: str) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
