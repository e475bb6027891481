"""
Settings for kinds of experiments, as files that the commands take.

A file belongs to one command and one kind of experiment: ``KIND/COMMAND.phil``. Every
setting in it differs from the default, and a comment says why.

    dials.ml_correct integrated.expt integrated.refl $(python -m dials_spread.phil one_crystal ml_correct)

Modules:
    __main__: prints where a file is
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def phil_files() -> dict[str, dict[str, Path]]:
    """Give all files, by kind of experiment and by command without ``dials.``."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(FOLDER.glob("*/*.phil")):
        found.setdefault(path.parent.name, {})[path.stem] = path
    return found


def phil_file(kind: str, command: str) -> Path:
    """
    Give one file.

    Args:
        kind: Of the experiment, such as ``one_crystal``.
        command: With or without ``dials.``.

    Raises:
        ValueError: There is none; the message names those that there are.
    """
    files = phil_files()
    command = command[len("dials.") :] if command.startswith("dials.") else command
    if kind not in files:
        raise ValueError(f"no kind {kind!r}; there are {', '.join(files)}")
    if command not in files[kind]:
        raise ValueError(
            f"no file of {kind} for {command!r}; there are {', '.join(files[kind])}"
        )
    return files[kind][command]
