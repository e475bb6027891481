"""
What every command does before its work: arguments, log, what it shall compare with.

Bad input must leave nothing behind, so the log is kept in memory until there are results
to be written.

Functions:
    command: a decorator of each command's run
    start: parse arguments, set up logging
    changed_parameters: those that are not as by default
    gather: do several things, and tell all that goes wrong with them
    read_reference: the JSON document of an earlier run
"""

from __future__ import annotations

import functools
import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import dials.util.log
import libtbx.phil
from dials.util import Sorry, show_mail_handle_errors
from dials.util.options import ArgumentParser
from dials.util.version import dials_version
from libtbx import Auto

import dials_spread
from dials_spread import stages
from dials_spread.arguments import (
    EXPERIMENTS,
    REFLECTIONS,
    argument_problems,
    is_choice_auto,
    value_of,
)
from dials_spread.compiled_cache import ready_cache
from dials_spread.interruption import whole_run
from dials_spread.threads import one_blas_thread
from dials_spread.versions import parsed_or_refused

# Commands import this module before any that has compiled functions.
ready_cache()

logger = logging.getLogger("dials.spread.session")


def command(run: Callable) -> Callable:
    """
    Let a command end well: with one line for a signal, and nothing that is left behind.

    Products of matrices keep to one thread meanwhile, and stages are shown on a terminal.

    Args:
        run: Called with a list of arguments or, as a program, with none.
    """
    handled = show_mail_handle_errors()(run)

    @functools.wraps(run)
    def limited(*args, **named):
        with one_blas_thread(), stages.shown():
            return handled(*args, **named)

    return whole_run(limited)


def _parse(parser: ArgumentParser, args: Sequence[str] | None):
    """Parse; -h and -c print and leave."""
    try:
        parsed = parsed_or_refused(
            lambda: parser.parse_args(
                args=args, show_diff_phil=False, return_unhandled=True
            )
        )
        sys.stdout.flush()
    except (RuntimeError, Sorry) as error:
        raise Sorry(" ".join(str(error).split())) from None
    except BrokenPipeError:
        leave_quietly()
    except SystemExit:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            leave_quietly()
        raise
    return parsed


def leave_quietly() -> None:
    """Leave where nobody reads on, as behind ``| head``: no traceback at the end."""
    _write_into_nothing()
    raise SystemExit(0)


def _write_into_nothing() -> None:
    # Python flushes once more on its way out, and would complain again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _go_on_unread(handler: logging.Handler) -> None:
    """Let a run write its files, without a word, when nobody reads its output any more."""
    tell = handler.handleError

    def handle(record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            _write_into_nothing()
        else:
            tell(record)

    # The handler is of DIALS: what it does with an error can only be replaced.
    handler.handleError = handle  # type: ignore[method-assign]


def _sort_files(unhandled: Sequence[str]) -> tuple[list[str], list[str]]:
    expt = [f for f in unhandled if f.lower().endswith(EXPERIMENTS)]
    refl = [f for f in unhandled if f.lower().endswith(REFLECTIONS)]
    return expt, refl


def _check_arguments(
    parser: ArgumentParser, phil: libtbx.phil.scope, args: Sequence[str] | None
) -> None:
    """Refuse all arguments that do not serve, in one message."""
    try:
        options, positional = parsed_or_refused(lambda: parser.parse_known_args(args))
    except RuntimeError as error:
        raise Sorry(f"{error}; -h lists the options") from None
    if options.help or getattr(options, "show_config", False):
        return
    unknown = [a for a in positional if a.startswith("-") and "=" not in a]
    problems = [f"{a}: no such option; -h lists them" for a in unknown]
    others = [a for a in positional if a not in unknown]
    problems += argument_problems(phil, others)
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
) -> tuple[Any, tuple[list[str], list[str]], io.StringIO]:
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
    parser.set_defaults(attributes_level=1)  # -c: parameters with their help
    _check_arguments(parser, phil, args)
    params, options, unhandled = _parse(parser, args)
    name_auto(phil, params)
    if needs_files and not unhandled:
        raise Sorry("no files given. Give .expt and .refl files; -h shows examples")
    files = _sort_files(unhandled)
    dials.util.log.config(verbosity=options.verbose)
    for old in logging.getLogger("dials").handlers:
        if getattr(old, "stream", None) is sys.stdout:
            _go_on_unread(old)
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


def name_auto(phil: libtbx.phil.scope, params) -> None:
    """
    Take auto for the choice of that name, which phil takes for its own Auto.

    Args:
        phil: The command's parameters.
        params: Extracted from it, changed in place.
    """
    for definition in phil.all_definitions():
        if definition.object.type is None or not is_choice_auto(definition.object):
            continue
        *scopes, name = definition.path.split(".")
        scope = value_of(params, ".".join(scopes)) if scopes else params
        if getattr(scope, name) is Auto:
            setattr(scope, name, "auto")


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


def changed_parameters(
    phil: libtbx.phil.scope, params, but: Sequence[str] = ()
) -> list[str]:
    """
    List parameters that differ from their defaults.

    Args:
        phil: The scope.
        params: Extracted from it.
        but: Names, or those of scopes, that are left out.

    Returns:
        As arguments, name=value.
    """
    told = []
    for definition in phil.fetch_diff(phil.format(params)).all_definitions():
        path = definition.path
        if any(path == name or path.startswith(f"{name}.") for name in but):
            continue
        value = " ".join(word.value for word in definition.object.words)
        argument = f"{path}={value}"
        told.append(f"'{argument}'" if " " in argument else argument)
    return told


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
    regular = os.path.isfile(filename) or os.path.isdir(filename)
    if os.path.exists(filename) and not regular:
        raise ValueError(f"{filename}: a pipe or device, not a file")
    try:
        document = json.loads(Path(filename).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{filename}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{filename}: not a JSON file") from None
    if not isinstance(document, dict) or document.get("command") != command:
        raise ValueError(f"{filename}: not a JSON file of {command}")
    return document
