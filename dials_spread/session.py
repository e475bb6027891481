"""
What every command does before its work and after: arguments, log, output files.

Bad input must leave nothing behind, so the log is kept in memory until there are results
to be written, and files appear under their names only when they are complete.

Functions:
    start: parse arguments, set up logging
    check_outputs: no output may overwrite an input
    read_reference: the JSON document of an earlier run
    write_text, write_bytes: a whole file or none
"""

from __future__ import annotations

import io
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import dials.util.log
import libtbx.phil
from dials.util import Sorry
from dials.util.options import ArgumentParser
from dials.util.version import dials_version

import dials_spread

logger = logging.getLogger("dials.spread.session")

EXPERIMENTS = (".expt", ".json")
REFLECTIONS = (".refl", ".pickle", ".mpack")


def _parse(parser: ArgumentParser, args: Sequence[str] | None):
    """Parse, with one line for whatever is wrong with a parameter."""
    try:
        return parser.parse_args(args=args, show_diff_phil=False, return_unhandled=True)
    except RuntimeError as error:  # how DIALS 3.12 refuses a value
        raise Sorry(str(error).splitlines()[0]) from None


def _sort_files(unhandled: Sequence[str]) -> tuple[list[str], list[str]]:
    expt = [f for f in unhandled if f.lower().endswith(EXPERIMENTS)]
    refl = [f for f in unhandled if f.lower().endswith(REFLECTIONS)]
    rest = [f for f in unhandled if f not in expt and f not in refl]
    if rest:
        raise Sorry(
            f"What is {rest[0]!r}? Give .expt and .refl files, phil files, and "
            "parameters as name=value"
        )
    return expt, refl


def start(
    usage: str, help_text: str, phil: libtbx.phil.scope, args: Sequence[str] | None
):
    """
    Parse the arguments of a command and set up its logging.

    Args:
        usage: One line.
        help_text: Shown by -h below the options.
        phil: The command's parameters.
        args: Arguments; those of the process by default.

    Returns:
        The parameters; names of the experiment and reflection files; the log so far, a
        StringIO that goes on filling. None where there was nothing to work on, and the
        help has been shown.

    Raises:
        Sorry: A parameter or a file cannot be understood.
    """
    parser = ArgumentParser(usage=usage, phil=phil, epilog=help_text)
    params, options, unhandled = _parse(parser, args)
    if not unhandled:
        parser.print_help()
        return None
    files = _sort_files(unhandled)
    dials.util.log.config(verbosity=options.verbose)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setLevel(logging.DEBUG if options.verbose > 1 else logging.INFO)
    root = logging.getLogger("dials")
    # A second call in one process must not fill the log of the first.
    for old in [h for h in root.handlers if getattr(h, "of_session", False)]:
        root.removeHandler(old)
    handler.of_session = True
    root.addHandler(handler)
    logger.info("%s, dials_spread %s", dials_version(), dials_spread.__version__)
    changed = parser.diff_phil.as_str()
    if changed:
        logger.info("The following parameters have been modified:\n\n%s", changed)
    return params, files, log


def leaves(scope_extract) -> dict:
    """Give the parameters of one phil scope by name."""
    return {
        name: value
        for name, value in vars(scope_extract).items()
        if not name.startswith("_")
    }


def parameters(phil: libtbx.phil.scope, params) -> dict:
    """
    List all parameters as they were used.

    Args:
        phil: The scope.
        params: Extracted from it.

    Returns:
        Values by full name, as phil writes them.
    """
    used = phil.format(params)
    return {
        definition.path: " ".join(word.value for word in definition.object.words)
        for definition in used.all_definitions()
    }


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
    problems, seen = [], {}
    for name, value in leaves(output).items():
        if not isinstance(value, str) or name.endswith("format"):
            continue
        path = os.path.realpath(value)
        if path in inputs:
            problems.append(f"output.{name}={value} would overwrite an input")
        elif path in seen:
            problems.append(f"output.{name} and output.{seen[path]} are both {value}")
        elif not os.path.isdir(os.path.dirname(path)):
            problems.append(f"output.{name}={value}: no such folder")
        elif not os.access(os.path.dirname(path), os.W_OK):
            problems.append(f"output.{name}={value}: the folder cannot be written to")
        elif os.path.isdir(path) and name != "figures":
            problems.append(f"output.{name}={value} is a folder")
        seen[path] = name
    if problems:
        raise ValueError("\n".join(problems))


def read_reference(filename: str | None, command: str) -> dict | None:
    """
    Read the JSON document of an earlier run.

    Args:
        filename: None where there is none.
        command: The command that must have written it.

    Returns:
        The document, or None.

    Raises:
        ValueError: It is not what the command writes.
    """
    if filename is None:
        return None
    try:
        document = json.loads(Path(filename).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{filename}: cannot be read ({error})") from None
    if not isinstance(document, dict) or document.get("command") != command:
        raise ValueError(f"{filename}: not a JSON file of {command}")
    return document


def write_bytes(filename: str | Path, content: bytes) -> None:
    """
    Write a file whole or not at all.

    Args:
        filename: Its name; what stood there is replaced.
        content: All of it.
    """
    path = Path(filename)
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
