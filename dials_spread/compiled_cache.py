"""
Where numba keeps compiled functions: beside the package, else in the home folder, else here.

As a system's package, or in a container, neither of the first two may be written to; numba
then refuses to compile. Files there are run when they are read, so nobody else may write
where they are.

Functions:
    ready_cache: name a folder in the environment, where none can be written to
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def ready_cache() -> None:
    """Name a folder of the user's own, where numba finds none; programs started get it."""
    if os.environ.get(VARIABLE):
        return
    package = Path(__file__).resolve().parent
    if not any(map(_can_be_written, (package / "__pycache__", _usual()))):
        os.environ[VARIABLE] = _own_folder()
        if "numba" in sys.modules:
            sys.modules["numba"].config.CACHE_DIR = os.environ[VARIABLE]


def _usual() -> Path:
    """Give the user's folder for such files, as numba does."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "numba"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "numba"


def _can_be_written(folder: Path) -> bool:
    """Say whether files can be made in a folder that is there, or can be made."""
    there = next((x for x in (folder, *folder.parents) if x.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _own_folder() -> str:
    """Give a folder that is kept from run to run; if there is another's, one of this run."""
    path = os.path.join(tempfile.gettempdir(), f"dials_spread-numba-{os.getuid()}")
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        if not mine or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return tempfile.mkdtemp(prefix="dials_spread-numba-")
    return path
