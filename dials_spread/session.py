"""
What every command does before its work: arguments, log, what it shall compare with.

Bad input must leave nothing behind, so the log is kept in memory until there are results
to be written.

Functions:
    start: parse arguments, set up logging
    gather: do several things, and tell all that goes wrong with them
    read_reference: the JSON document of an earlier run
"""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import dials.util.log
import libtbx.phil
from dials.util import Sorry
from dials.util.options import ArgumentParser
from dials.util.version import dials_version
from libtbx import Auto

import dials_spread

logger = logging.getLogger("dials.spread.session")

EXPERIMENTS = (".expt", ".json")
REFLECTIONS = (".refl", ".pickle", ".mpack")


def _parse(parser: ArgumentParser, args: Sequence[str] | None):
    """Parse, with one line for whatever is wrong with a parameter."""
    try:
        return parser.parse_args(args=args, show_diff_phil=False, return_unhandled=True)
    except (RuntimeError, Sorry) as error:  # RuntimeError: how DIALS 3.12 refuses one
        raise Sorry(" ".join(str(error).split())) from None


def _sort_files(unhandled: Sequence[str]) -> tuple[list[str], list[str]]:
    expt = [f for f in unhandled if f.lower().endswith(EXPERIMENTS)]
    refl = [f for f in unhandled if f.lower().endswith(REFLECTIONS)]
    rest = [f for f in unhandled if f not in expt and f not in refl]
    if rest:
        raise Sorry("\n".join(map(_refuse, rest)))
    return expt, refl


def _refuse(argument: str) -> str:
    """Say what is wrong with an argument that nothing can be made of."""
    name, equals, value = argument.partition("=")
    if equals and value:
        return f"{argument}: no parameter, or more than one, is called {name}"
    if equals:
        return f"{argument}: a value is missing"
    if argument.endswith(".phil"):
        found = Path(argument).is_file()
        return f"{argument}: {'not understood as phil' if found else 'no such file'}"
    return (
        f"{argument}: what is this? Give .expt and .refl files, phil files, and "
        "parameters as name=value"
    )


def _check_values(phil: libtbx.phil.scope, params) -> None:
    """Refuse None, Auto, nan and inf where a parameter needs a value; phil does not."""
    problems = []
    for definition in phil.all_definitions():
        kind = definition.object.type.phil_type
        if kind not in ("int", "float", "bool", "choice"):
            continue
        value = params
        for part in definition.path.split("."):
            value = getattr(value, part)
        if definition.object.extract() not in (None, Auto) and value in (None, Auto):
            problems.append(f"{definition.path} cannot be {value}")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{definition.path} cannot be {value}")
    if problems:
        raise Sorry("\n".join(problems))


class _LogOfSession(logging.StreamHandler):
    """Keeps the log of one call for its report."""


def start(
    usage: str,
    help_text: str,
    phil: libtbx.phil.scope,
    args: Sequence[str] | None,
    needs_files: bool = True,
):
    """
    Parse the arguments of a command and set up its logging.

    Args:
        usage: One line.
        help_text: Shown by -h below the options.
        phil: The command's parameters.
        args: Arguments; those of the process by default.
        needs_files: The command cannot do without .expt and .refl files.

    Returns:
        The parameters; names of the experiment and reflection files; the log so far, a
        StringIO that goes on filling.

    Raises:
        Sorry: There are no files, or an argument cannot be understood.
    """
    parser = ArgumentParser(usage=usage, phil=phil, epilog=help_text)
    params, options, unhandled = _parse(parser, args)
    if needs_files and not unhandled:
        raise Sorry("no files given. Give .expt and .refl files; -h shows examples")
    files = _sort_files(unhandled)
    _check_values(phil, params)
    dials.util.log.config(verbosity=options.verbose)
    log = io.StringIO()
    handler = _LogOfSession(log)
    handler.setLevel(logging.DEBUG if options.verbose > 1 else logging.INFO)
    root = logging.getLogger("dials")
    # A second call in one process must not fill the log of the first.
    for old in [h for h in root.handlers if isinstance(h, _LogOfSession)]:
        root.removeHandler(old)
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
        Values by full name, as phil writes them; a list of them for a parameter that may
        be given more than once.
    """
    used: dict[str, str | list[str]] = {}
    repeated: dict[str, list[str]] = {}
    for definition in phil.format(params).all_definitions():
        value = " ".join(word.value for word in definition.object.words)
        if not definition.object.multiple:
            used[definition.path] = value
            continue
        values = repeated.setdefault(definition.path, [])
        used[definition.path] = values
        if value != "None":
            values.append(value)
    return used


def gather(*calls: Callable[[], object]) -> list:
    """
    Call one function after the other, and raise in the end for all that failed.

    Args:
        calls: Without arguments.

    Returns:
        What they return.

    Raises:
        ValueError: One line for each thing that is wrong with what was given.
    """
    results, problems = [], []
    for call in calls:
        try:
            results.append(call())
        except (ValueError, OSError) as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return results


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
    except OSError as error:
        raise ValueError(f"{filename}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{filename}: not a JSON file") from None
    if not isinstance(document, dict) or document.get("command") != command:
        raise ValueError(f"{filename}: not a JSON file of {command}")
    return document
