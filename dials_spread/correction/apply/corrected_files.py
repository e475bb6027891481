"""
Corrected tables of all crystals, joined and written.

Functions:
    join: tables of single crystals to one that belongs to a list of experiments
    named_apart: experiments that can be told apart
    write_corrected: experiments and their reflections, both whole or none
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import Experiment, ExperimentList

from dials_spread.observations.correction_state import correction_columns
from dials_spread.output_files import write_together
from dials_spread.valid_input.columns import holds
from dials_spread.versions import experiments_file, keep_history

logger = logging.getLogger("dials.spread.corrected_files")


def join(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    emptied: bool = False,
) -> tuple[ExperimentList, flex.reflection_table]:
    """
    Join the tables of single crystals.

    Reflections that belong to no crystal are in none of the tables, and so not in the
    result. Within a crystal the order of rows stays.

    Args:
        experiments: One a crystal; they stay as they are.
        tables: The reflections of each; they stay as they are.
        emptied: Leave nothing in these but the ids, so that no two copies are held.

    Returns:
        The experiments, and their reflections numbered in that order. Experiments whose
        identifier is empty, or that of an earlier one, get their own.
    """
    own = [ExperimentList([experiment]) for experiment in experiments]
    held = [{(k, holds(t[k])) for k in t.keys()} for t in tables if len(t)]
    columns = {name for name, _ in set.intersection(*held)}
    everything = {name for name, _ in set.union(*held)}
    left_out = sorted(everything - columns - {*correction_columns([*everything])})
    if left_out:
        logger.warning(
            "Columns that are not in all tables, or hold other things there, are left "
            "out: %s.",
            ", ".join(left_out),
        )
    # Filled as DIALS does it: without them a correction could not be taken back.
    filled = correction_columns(sorted(everything - columns))
    joined = flex.reflection_table()
    for number, table in enumerate(tables):
        part = table.select(cctbx_flex.bool(len(table), True))
        for name in {*table.keys()} - {"id"} if emptied else ():
            del table[name]
        for name in left_out:
            if name in part:
                del part[name]
        for name in filled:
            if name not in part:
                part[name] = cctbx_flex.double(len(part), 0.0)
        identifiers = part.experiment_identifiers()
        for key in list(identifiers.keys()):
            del identifiers[key]
        part["id"] = cctbx_flex.int(len(part), number)
        if len(part):
            joined.extend(part)
    result = named_apart([experiment for (experiment,) in own])
    for number, experiment in enumerate(result):
        joined.experiment_identifiers()[number] = experiment.identifier
    return result, joined


def named_apart(experiments: Sequence[Experiment]) -> ExperimentList:
    """Give experiments of which each has an identifier of its own."""
    result = ExperimentList()
    for experiment, name in zip(experiments, _identifiers(experiments)):
        result.append(_named(experiment, name))
    return result


def _identifiers(experiments: Sequence[Experiment]) -> list[str]:
    """Give each experiment an identifier of its own."""
    seen: set[str] = set()
    names = []
    for number, experiment in enumerate(experiments):
        name = experiment.identifier
        if not name or name in seen:
            name = f"{name or 'experiment'}_{number}"
            while name in seen:
                name += "_"
        seen.add(name)
        names.append(name)
    return names


def _named(experiment: Experiment, name: str) -> Experiment:
    """Copy an experiment's references under a name; its models are shared."""
    if experiment.identifier == name:
        return experiment
    named = Experiment(
        beam=experiment.beam,
        detector=experiment.detector,
        goniometer=experiment.goniometer,
        scan=experiment.scan,
        crystal=experiment.crystal,
        profile=experiment.profile,
        imageset=experiment.imageset,
        scaling_model=experiment.scaling_model,
        identifier=name,
    )
    keep_history(experiment, named)
    return named


def write_corrected(
    experiments: ExperimentList,
    table: flex.reflection_table,
    expt: str,
    refl: str,
    program: str | None = None,
) -> None:
    """
    Write experiments and their reflections.

    Args:
        experiments: The experiments.
        table: Their reflections.
        expt: Name of the file of experiments.
        refl: Name of the file of reflections.
        program: Named in the history of the experiments; by default none is.

    Raises:
        OSError: They cannot be written; old files are as they were.
    """
    write_together(
        {expt: experiments_file(experiments, program), refl: table.as_msgpack()}
    )
