"""
The parameters of xia2.multiplex_corrected, and the arguments that follow from them.

What xia2.multiplex takes is left as it is; the scope ``correct`` is added.

Functions:
    correct_scope: the scope ``correct``
    with_correction: the parameters of xia2.multiplex and these
    read_plan, make_plan: what was chosen
    in_words_of_xia2: a message of dials.ml_correct with the names that options have here
    absolute_arguments: arguments that mean the same in another folder
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import iotbx.phil
import libtbx.phil
from dials.util import Sorry
from dials.util.options import ArgumentParser
from libtbx import Auto

from dials_spread import cluster
from dials_spread.arguments import PHIL_FILES
from dials_spread.correction.apply.parameters import PHIL
from dials_spread.observations import right_factors
from dials_spread.solution.composition import parse_composition
from dials_spread.valid_input.reading import PHIL as READING

PLACEMENT = """
correct
  .caption = "Correction for multiple scattering"
{
  placement = *before after none both
    .type = choice
    .help = "Where the intensities are corrected for multiple scattering. before: once,"
            "the integrated intensities of all data sets together, when they have one"
            "indexing (dials.cosym) and are not scaled yet. after: the scaled"
            "intensities, after each run of dials.scale, of all data, of each cluster"
            "and of what filtering leaves. none: xia2.multiplex as it is. both: two"
            "runs, in the folders before and after, and their statistics side by side."
}
"""

NOT_PASSED = {
    # The step corrects, under names of xia2; it neither trains nor takes back.
    *("undo", "mode", "features", "train", "test", "shap"),
}
"""Parameters of dials.ml_correct that a run inside xia2.multiplex has no use for."""

OF_OUTPUT = ("composition",)
"""Those of its files that say something; names of files are the step's."""

FILES = ("model", "structure", "reference")
"""Those that name a file, or a structure that comes with the package."""


@dataclass(frozen=True)
class CorrectionPlan:
    """
    What was chosen.

    Attributes:
        placement: "before", "after", "none" or "both".
        arguments: For dials.ml_correct, name=value.
        force: Correct data that should not be corrected.
        method: "auto", "weights" or "model".
        model: Name of a model file; None for the one that comes with the package.
        intensity: "auto", "scale", "profile" or "sum".
        nproc: Threads of the correction; None for as many as xia2.multiplex has.
    """

    placement: str = "before"
    arguments: tuple[str, ...] = ()
    force: bool = False
    method: str = "auto"
    model: str | None = None
    intensity: str = "auto"
    nproc: int | None = None


OF_CORRECTION = PHIL + right_factors.PHIL + READING + cluster.PHIL
"""All parameters of dials.ml_correct."""


def correct_scope() -> libtbx.phil.scope:
    """Give the scope ``correct``: the placement, and options of dials.ml_correct."""
    root = iotbx.phil.parse(PLACEMENT)
    for part in iotbx.phil.parse(OF_CORRECTION).objects:
        if part.name == "output":
            some = [one for one in part.objects if one.name in OF_OUTPUT]
            part = part.customized_copy(objects=some)
        if part.name not in NOT_PASSED:
            root.objects[0].adopt(part)
    return root


def with_correction(scope: libtbx.phil.scope) -> libtbx.phil.scope:
    """
    Add the scope ``correct``.

    Args:
        scope: The parameters of xia2.multiplex; they stay as they are.

    Returns:
        These and ``correct``.
    """
    joined = scope.customized_copy(objects=[*scope.objects])
    for part in correct_scope().objects:
        joined.adopt(part)
    return joined


def make_plan(correct) -> CorrectionPlan:
    """
    Say what was chosen.

    Args:
        correct: The extracted scope ``correct``. Files are looked for in the folder in
            which this is called.

    Returns:
        The plan; arguments are those that differ from the defaults.

    Raises:
        ValueError: The composition cannot be understood.
    """
    if correct.output.composition is not None:
        parse_composition(correct.output.composition)
    correct.model = _whole_path(correct.model)
    correct.structure = _whole_path(correct.structure)
    correct.reference = [_whole_path(name) for name in correct.reference if name]
    scope = correct_scope()
    chosen = scope.extract()
    chosen.correct = correct
    changed = scope.fetch_diff(scope.format(chosen)).all_definitions()
    arguments = []
    for definition in changed:
        name = definition.path.partition(".")[2]
        if name not in ("placement", "nproc"):
            arguments.append(f"{name}={_value(definition)}")
    return CorrectionPlan(
        placement=correct.placement,
        arguments=tuple(arguments),
        force=correct.force,
        method=correct.method,
        model=correct.model,
        intensity=correct.intensity,
        nproc=None if correct.nproc is Auto else correct.nproc,
    )


def in_words_of_xia2(text: str) -> str:
    """
    Give options in a message of dials.ml_correct the names that they have here.

    Args:
        text: Such as "force=True corrects them all the same".
    """
    names = "|".join(
        part.name
        for part in iotbx.phil.parse(OF_CORRECTION).objects
        if part.name not in {*NOT_PASSED, "output"}
    )
    names += "|" + "|".join(rf"output\.{name}" for name in OF_OUTPUT)
    return re.sub(rf"(?<![\w.])({names})=", r"correct.\1=", text)


def _value(definition) -> str:
    words = [word.value for word in definition.object.words]
    chosen = [word[1:] for word in words if word.startswith("*")]
    return " ".join(chosen or words)


def _whole_path(name: str | None) -> str | None:
    """Make the name of a file absolute; others, of built-in structures, stay."""
    return os.path.abspath(name) if name and os.path.isfile(name) else name


def absolute_arguments(args: Sequence[str]) -> list[str]:
    """
    Make arguments mean the same in another folder.

    Args:
        args: Of the command: files, phil files, name=value and options.

    Returns:
        The same, with whole paths of files that are there. Phil files are taken apart,
        since relative names in them would be looked for in the other folder.
    """
    found = []
    for argument in args:
        name, equals, value = argument.partition("=")
        if os.path.isfile(argument) and argument.lower().endswith(PHIL_FILES):
            content = iotbx.phil.parse(file_name=argument, process_includes=True)
            for definition in content.all_definitions():
                found.append(f"{definition.path}={_whole_path(_value(definition))}")
        elif os.path.exists(argument):
            found.append(str(Path(os.path.abspath(argument))))
        elif equals:
            found.append(f"{name}={_whole_path(value)}")
        else:
            found.append(argument)
    return found


def read_plan(
    scope: libtbx.phil.scope, args: Sequence[str], usage: str, help_text: str
) -> CorrectionPlan:
    """
    Read what was chosen from the command line; -h and -c print and leave.

    Args:
        scope: The parameters of xia2.multiplex.
        args: Of the command line.
        usage: One line.
        help_text: Shown by -h.

    Returns:
        The plan. Files of data are not read.

    Raises:
        ValueError: A parameter cannot be understood.
    """
    parser = ArgumentParser(
        usage=usage,
        phil=with_correction(scope),
        read_experiments=True,
        read_reflections=True,
        check_format=False,
        epilog=help_text,
    )
    try:
        params, _ = parser.parse_args(args=list(args) or ["-h"], quick_parse=True)
    except (RuntimeError, Sorry) as error:
        raise ValueError(" ".join(str(error).split())) from None
    return make_plan(params.correct)
