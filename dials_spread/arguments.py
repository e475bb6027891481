"""
Arguments of a command that do not serve, and what to do about each.

Each argument is looked at on its own, so that all that is wrong is told at once, in the
same words whichever release of DIALS does the parsing.

Functions:
    argument_problems: one line for each argument that does not serve
    suggestions: parameters whose names resemble a misspelt one
    is_choice_auto: whether a parameter may be auto, which phil takes for its own Auto
    value_of: a parameter by its full name
"""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import shlex
from collections.abc import Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

import libtbx.phil
from dials.util import Sorry
from libtbx import Auto

EXPERIMENTS = (".expt", ".json")
REFLECTIONS = (".refl", ".pickle", ".mpack")
PHIL_FILES = (".phil", ".param", ".params", ".eff", ".def")
STRUCTURES = (".cif", ".mmcif", ".ins", ".res", ".pdb", ".ent")
STRUCTURE_FACTORS = (".mtz", ".hkl", ".fcf", ".sca")
IMAGES = (
    ".cbf", ".img", ".smv", ".tif", ".tiff", ".mrc", ".mrcs", ".mib", ".ser",
    ".h5", ".hdf5", ".nxs", ".dm3", ".dm4", ".emd", ".tvips", ".png", ".gz",
)  # fmt: skip

OF_OTHERS = {
    ".cif_pets": "a CIF of PETS2 with frames; dials.import_pets makes .expt and .refl "
    "files of it",
    ".stream": "a stream of CrystFEL, of which DIALS makes no .expt and .refl files; "
    "process the images with dials.stills_process",
    ".rodhypix": "an image of CrysAlisPro; give what dials.import (of DIALS 3.16 or "
    "later), dials.find_spots, dials.index and dials.integrate made of the images",
}
"""Files of other programs, by their endings, and what to do with them."""

RESEMBLING = 0.65
"""Names that are at least so similar, of 1, are suggested."""

MUCH_LESS = 0.15
"""Names that are so much less similar than the best one are not."""

MOST_SUGGESTED = 3

COMMANDS = (
    *("compare_images", "compare_placement", "import_pets", "ml_correct"),
    "simulate_ed",
)
"""What a parameter that this command lacks may belong to."""

NEEDED = {
    "int": "a whole number",
    "float": "a number",
    "ints": "whole numbers",
    "floats": "numbers",
    "bool": "True or False",
}
"""By type of parameter, in the words of a message."""

NUMERIC = ("int", "float", "ints", "floats")

NUMBER = re.compile(
    r"[\s\d.,;/()\[\]+-]*(?:(?:e|nan|inf|infinity|none|auto)[\s\d.,;/()\[\]+-]*)*",
    re.IGNORECASE,
)
"""What may stand for numbers: phil takes whatever Python computes, 9**9**9 as well."""

LONGEST_NUMBER = 1000
"""Characters."""

REFUSALS = (Sorry, RuntimeError, ValueError, ArithmeticError)
"""How phil refuses a value."""

WHAT_TO_GIVE = "Give .expt and .refl files, phil files, and parameters as name=value"


def argument_problems(
    phil: libtbx.phil.scope, args: Sequence[str], also_missing: bool = True
) -> list[str]:
    """
    Say what is wrong with the arguments of a command.

    Args:
        phil: The command's parameters.
        args: Names of files, and parameters as name=value; no options.
        also_missing: Where something is wrong, also name the .expt and .refl files that
            do not exist, which are otherwise told when they are read.

    Returns:
        One line for each argument that does not serve.
    """
    broken = _broken_names(args)
    problems = [
        f"{name}: a name with a space in it; put it in quotes, as '{name}'"
        for name in broken.values()
    ]
    parts = {k for start, stop in broken for k in range(start, stop)}
    for k, argument in enumerate(args):
        if k in parts:
            continue
        if argument.lower().endswith(PHIL_FILES) and "=" not in argument:
            problems += _of_phil_file(phil, argument)
        elif "=" in argument and not os.path.exists(argument):
            problems += _of_parameter(phil, argument)
        elif not argument.lower().endswith(EXPERIMENTS + REFLECTIONS):
            problems.append(_of_file(phil, argument))
        elif os.path.isfile(argument) and _command_of(argument):
            problems.append(_of_results(phil, argument))
    if problems and also_missing:
        problems += [
            f"{a}: no such file"
            for k, a in enumerate(args)
            if k not in parts
            and a.lower().endswith(EXPERIMENTS + REFLECTIONS)
            and "=" not in a
            and not os.path.exists(a)
        ]
    return problems


def _broken_names(args: Sequence[str]) -> dict[tuple[int, int], str]:
    """Find neighbouring arguments that only together, with spaces, name something."""
    found, k = {}, 0
    while k < len(args):
        stops = () if _names_something(args[k]) else range(k + 2, len(args) + 1)
        whole = {stop: " ".join(args[k:stop]) for stop in stops}
        stop = next((s for s, name in whole.items() if _names_something(name)), None)
        if stop is not None:
            found[k, stop] = whole[stop]
        k = stop or k + 1
    return found


def _names_something(argument: str) -> bool:
    """Whether an argument, or the value it gives to a parameter, is a file or folder."""
    value = argument.partition("=")[2]
    return os.path.exists(argument) or bool(value and os.path.exists(value))


def suggestions(phil: libtbx.phil.scope, name: str) -> list[str]:
    """
    Find parameters that a misspelt name may have meant.

    Args:
        phil: The command's parameters.
        name: As given.

    Returns:
        Full names, the most similar first; at most three.
    """
    leaf = name.rpartition(".")[2]

    def similarity(path: str) -> tuple[float, float]:
        own = path.rpartition(".")[2]
        pairs = ((name, path), (leaf, own)) if "." in name else ((name, own),)
        ratios = [SequenceMatcher(None, a.lower(), b).ratio() for a, b in pairs]
        return max(ratios), ratios[0]

    paths = [d.path for d in phil.all_definitions()]
    least = max([RESEMBLING, *(similarity(p)[0] - MUCH_LESS for p in paths)])
    near = [p for p in paths if similarity(p)[0] >= least]
    return sorted(near, key=similarity, reverse=True)[:MOST_SUGGESTED]


def _unknown(phil: libtbx.phil.scope, name: str) -> str:
    told = f"no parameter is called {name}"
    others = _commands_with(phil, name)
    if others:
        told += f" here, but one of {' and of '.join(others)}"
    near = suggestions(phil, name)
    if near:
        return f"{told}; did you mean {' or '.join(near)}?"
    return f"{told}; -c lists all parameters"


def _commands_with(phil: libtbx.phil.scope, name: str) -> list[str]:
    """Name our other commands that have a parameter."""
    found = []
    for command in COMMANDS:
        # By name, and only where something is wrong: the commands import this module.
        page = importlib.import_module(f"dials_spread.command_line.{command}")
        paths = [d.path for d in page.phil_scope.all_definitions()]
        if page.phil_scope is not phil and name in (
            *paths,
            *(path.rpartition(".")[2] for path in paths),
        ):
            found.append(f"dials.{command}")
    return found


def _of_parameter(phil: libtbx.phil.scope, argument: str) -> list[str]:
    """Say what is wrong with name=value, if anything."""
    name, _, value = argument.partition("=")
    if not value.strip():
        return [f"{argument}: a value is missing"]
    try:
        given = phil.command_line_argument_interpreter().process_arg(arg=argument)
    except (Sorry, RuntimeError) as error:
        lines = str(error).splitlines()
        if lines[0].startswith("Ambiguous"):
            which = ", ".join(line.strip() for line in lines[2:])
            told = f"several parameters match {name}: {which}; give the full name"
        elif lines[0].startswith("Unknown"):
            told = _unknown(phil, name)
        else:
            told = "not understood as name=value"
        return [f"{argument}: {told}"]
    return _of_values(phil, given)


def _of_values(phil: libtbx.phil.scope, given) -> list[str]:
    """Say what phil refuses, as one line, and what it should have refused."""
    if strange := _no_numbers(phil, given):
        told = [
            strange.get(d.path) or _refusal(phil, d) for d in given.all_definitions()
        ]
        return [line for line in told if line]
    try:
        params = phil.fetch(source=given).extract()
    except REFUSALS as error:
        refused = [_refusal(phil, d) for d in given.all_definitions()]
        return [line for line in refused if line] or [_in_one_line(error)]
    chosen = {definition.path for definition in given.all_definitions()}
    return [
        f"{definition.path} cannot be {value}"
        for definition in phil.all_definitions()
        if definition.path in chosen
        for value in [value_of(params, definition.path)]
        if not _serves(definition.object, value)
    ]


def _no_numbers(phil: libtbx.phil.scope, given) -> dict[str, str]:
    """Say which numbers are none, by path: phil would run what Python stands there."""
    kinds = {
        d.path: d.object.type.phil_type
        for d in phil.all_definitions()
        if d.object.type is not None
    }
    return {
        d.path: f"{d.path}={value}: {_needed(phil, d.path)}"
        for d in given.all_definitions()
        if kinds.get(d.path) in NUMERIC
        for value in [" ".join(str(word.value) for word in d.object.words)]
        if len(value) > LONGEST_NUMBER or not NUMBER.fullmatch(value)
    }


def _in_one_line(error: BaseException) -> str:
    told = " ".join(str(error).split())
    return re.sub(r" \((command line argument, |input )line 1\)", "", told)


def _refusal(phil: libtbx.phil.scope, given) -> str:
    """Say why phil refuses the value of one parameter; nothing where it does not."""
    value = " ".join(str(word) for word in given.object.words)
    alone = libtbx.phil.parse(f"{given.path} = {value}")
    try:
        phil.fetch(source=alone).extract()
    except REFUSALS as error:
        told = _in_one_line(error)
    else:
        return ""
    (declared,) = [d for d in phil.all_definitions() if d.path == given.path][:1]
    kind = declared.object.type.phil_type
    if told.startswith("Not a possible choice"):
        choices = [word.value.lstrip("*") for word in declared.object.words]
        near = get_close_matches(value, choices, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        return f"{given.path}={value}: choose {_or(choices)}{meant}"
    wrong = ("Error interpreting", "One True or False", "cannot convert")
    if kind in NEEDED and told.startswith(wrong):
        return f"{given.path}={value}: {_needed(phil, given.path)}"
    return re.sub(
        r"^Error interpreting \S+ as .*?: \w+Error: ", f"{given.path}: ", told
    )


def _needed(phil: libtbx.phil.scope, path: str) -> str:
    """Say what a parameter takes."""
    (declared,) = [d.object for d in phil.all_definitions() if d.path == path][:1]
    kind, default = declared.type.phil_type, declared.extract()
    needed = [NEEDED[kind], *(str(default) for d in (None, Auto) if default is d)]
    return f"{_or(needed)} {'are' if kind.endswith('s') else 'is'} needed"


def _or(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def value_of(params, path: str):
    """Give a parameter by its full name, scopes and all."""
    for part in path.split("."):
        params = getattr(params, part)
    return params


def _serves(definition, value) -> bool:
    """Whether a value is none of None, Auto, nan and inf where one is needed."""
    kind = definition.type.phil_type
    if kind in NUMERIC and not _finite(value):
        return False
    if kind not in (*NUMERIC, "bool", "choice") or definition.multiple:
        return True
    default = definition.extract()
    if value is Auto:
        return default is Auto or is_choice_auto(definition)
    return value is not None or default is None or default is Auto


def is_choice_auto(definition) -> bool:
    """Whether auto is one of the choices."""
    names = [word.value.lstrip("*") for word in definition.words]
    return definition.type.phil_type == "choice" and "auto" in names


def _finite(value) -> bool:
    """Whether a number, or all in a list of lists, are finite; None and Auto are."""
    if isinstance(value, (list, tuple)):
        return all(_finite(v) for v in value)
    return not isinstance(value, float) or math.isfinite(value)


def _of_phil_file(phil: libtbx.phil.scope, filename: str) -> list[str]:
    """Say what is wrong with a file of parameters, if anything."""
    if not os.path.isfile(filename):
        return [f"{filename}: no such file"]
    try:
        given = libtbx.phil.parse(file_name=filename)
        _, unused = phil.fetch(source=given, track_unused_definitions=True)
    except Exception as error:  # what phil raises depends on what it meets
        told = str(error).startswith("Not a possible choice")
        reason = f": {' '.join(str(error).split())}" if told else ""
        return [f"{filename}: not understood as phil{reason}"]
    problems = [f"{filename}: {_unknown(phil, item.path)}" for item in unused]
    return problems + [f"{filename}: {line}" for line in _of_values(phil, given)]


def _of_results(phil: libtbx.phil.scope, filename: str) -> str:
    told = f"{filename}: results of {_command_of(filename)}, not experiments"
    if any(d.path == "compare_with" for d in phil.all_definitions()):
        told += f"; compare_with={filename} shows them beside the new ones"
    return told


def _command_of(filename: str) -> str:
    """Name the command whose JSON document a file is; nothing for other files."""
    if not filename.lower().endswith(".json"):
        return ""
    try:
        document = json.loads(Path(filename).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    command = document.get("command") if isinstance(document, dict) else None
    return command if isinstance(command, str) else ""


def _of_file(phil: libtbx.phil.scope, argument: str) -> str:
    """Say what a file is that the command does not take, and what to give instead."""
    if os.path.isdir(argument):
        return f"{argument}: a folder; {_in_folder(argument)}"
    ending = Path(argument).suffix.lower()
    names = {d.path for d in phil.all_definitions()}
    as_what = "reference" if "reference" in names else "structure"
    if ending in STRUCTURES + STRUCTURE_FACTORS:
        return f"{argument}: {_of_crystallography(argument, ending, as_what, names)}"
    if ending in OF_OTHERS:
        return f"{argument}: {OF_OTHERS[ending]}"
    if ending in IMAGES:
        return (
            f"{argument}: an image; give what dials.import, dials.find_spots, "
            "dials.index and dials.integrate made of the images"
        )
    if not os.path.exists(argument):
        told = f"{argument}: no such file, and no parameter (these are name=value)"
        if "structure" in names and argument.isalnum():
            return f"{told}; did you mean structure={argument}?"
        return f"{told}. {WHAT_TO_GIVE}"
    return f"{argument}: not a file of DIALS. {WHAT_TO_GIVE}"


def _of_crystallography(
    argument: str, ending: str, as_what: str, names: set[str]
) -> str:
    if ending == ".hkl" and _is_of_xds(argument):
        told = (
            "a reflection file of XDS; dials.import_xds makes .expt and .refl files of "
            "INTEGRATE.HKL"
        )
        if as_what == "reference" and as_what in names and "INTEGRATE" not in argument:
            told += f"; to compare with it, write reference={argument}"
        return told
    if ending in STRUCTURES:
        told = "a structure"
        usable = as_what in names
    else:
        told = "a list of reflections without the geometry of the images"
        usable = as_what == "reference" and as_what in names
    if usable:
        kind = "compare with it" if as_what == "reference" else "simulate it"
        return f"{told}; to {kind}, write {as_what}={argument}"
    return (
        f"{told}, which this command does not take; give the .expt and .refl files of "
        "dials.integrate or dials.scale"
    )


def _is_of_xds(filename: str) -> bool:
    if Path(filename).name.upper() in ("INTEGRATE.HKL", "XDS_ASCII.HKL"):
        return True
    try:
        with Path(filename).open("rb") as file:
            return file.read(11) == b"!FORMAT=XDS"
    except OSError:
        return False


def _in_folder(folder: str) -> str:
    """Name the files in a folder that can be given."""
    found = sorted(
        shlex.quote(str(path))
        for path in Path(folder).iterdir()
        if path.suffix in (".expt", ".refl")
    )
    if not found:
        return "give the .expt and .refl files by name; there are none in it"
    rest = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return f"give the files by name, such as {' '.join(found[:4])}{rest}"
