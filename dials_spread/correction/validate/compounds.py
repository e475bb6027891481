"""
Which data are of which compound, where several are given.

A reference belongs to the data whose cell and Laue group fit its own; intensities are not
looked at, so that two references of one cell are refused rather than guessed.

Functions:
    sort_compounds: the data sets of each reference
    find_sources: these, prepared to be learnt from
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cctbx import crystal
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.validate.train_on_data import Source
from dials_spread.observations.builder import reference_cell
from dials_spread.observations.crystals import check_crystals
from dials_spread.reference import Reference, read_reference
from dials_spread.reference.files import holds_block
from dials_spread.reindexing import reindexing_choices

logger = logging.getLogger("dials.spread.compounds")


@dataclass(frozen=True)
class CompoundData:
    """
    The data of one compound.

    Attributes:
        reference: Its amplitudes.
        experiments: Numbers of its experiments in the input.
    """

    reference: Reference
    experiments: tuple[int, ...]


def sort_compounds(
    experiments: Sequence[Experiment],
    dataset: Sequence[int],
    references: Sequence[str],
    column: str | None = None,
    blocks: Sequence[str] = (),
) -> list[CompoundData]:
    """
    Find the reference of each data set.

    Args:
        experiments: Of all data sets.
        dataset: Shape (experiments,), number of the data set of each, from 0.
        references: Names of files. A single one is that of all data; whether it fits is
            found when its indices are matched.
        column: Label of the column of lists.
        blocks: Data blocks of CIFs that hold several structures or lists; each reference
            takes the one that it holds.

    Returns:
        The compounds, in the order of the references.

    Raises:
        ValueError: A reference cannot be read, a data set fits none or more than one, or
            a reference fits no data set: one line each.
    """
    if len(references) == 1:
        block = next(iter(blocks), None)
        return [_one_compound(experiments, references[0], column, block)]
    twice = sorted({name for name in references if references.count(name) > 1})
    problems = [f"reference={name} is given twice" for name in twice]
    read, wrong = _read_all(references, column, blocks)
    problems += wrong
    if problems:
        raise ValueError("\n".join(problems))
    numbers = np.asarray(dataset)
    found: dict[int, list[int]] = {k: [] for k in range(len(read))}
    for k in np.unique(numbers).tolist():
        own = np.flatnonzero(numbers == k).tolist()
        try:
            found[_reference_of([experiments[n] for n in own], read)] += own
        except ValueError as error:
            problems.append(f"Data set {k + 1}: {error}")
    if not problems:
        problems = [
            f"reference={read[k].source} ({_told(read[k].symmetry)}) is of none of the "
            f"{len(np.unique(numbers))} data sets"
            for k, own in found.items()
            if not own
        ]
    if problems:
        raise ValueError("\n".join(problems))
    for k, own in found.items():
        told = "1 crystal" if len(own) == 1 else f"{len(own)} crystals"
        logger.info("%s: %s.", read[k].source, told)
    return [CompoundData(read[k], tuple(own)) for k, own in found.items()]


def _read_all(
    references: Sequence[str], column: str | None, blocks: Sequence[str]
) -> tuple[list[Reference], list[str]]:
    """Read references, and say in a line each what is wrong with others."""
    read, problems = [], []
    for name in references:
        try:
            block = next((b for b in blocks if holds_block(name, b)), None)
            # Lists without a cell of their own would fit everything.
            own = crystal.symmetry()
            read.append(read_reference(name, own, column=column, block=block))
        except ValueError as error:
            problems.append(str(error))
    return read, problems


def find_sources(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    dataset: Sequence[int],
    references: Sequence[str],
    column: str | None = None,
    blocks: Sequence[str] = (),
    **choices,
) -> list[Source]:
    """
    Prepare the data of all compounds.

    Args:
        experiments: Of all data sets.
        tables: The reflections of each.
        dataset: Shape (experiments,), number of the data set of each, from 0.
        references: Names of files, one for each compound.
        column: Label of the column of lists.
        blocks: Data blocks, as for sort_compounds.
        choices: Those of get_subject.

    Returns:
        What can be learnt from, in the order of the references.

    Raises:
        ValueError: Data and references do not fit, or some data should not be learnt
            from: one line each.
    """
    found, problems = [], []
    compounds = sort_compounds(experiments, dataset, references, column, blocks)
    if len(compounds) > 1:
        choices["without_experiment"] = 0  # whose they are is not known
    for compound in compounds:
        numbers = compound.experiments
        own, own_tables = (
            [experiments[n] for n in numbers],
            [tables[n] for n in numbers],
        )
        try:
            subject = get_subject(
                own, own_tables, [dataset[n] for n in numbers], **choices
            )
        except ValueError as error:
            name = f"{compound.reference.source}: " if len(compounds) > 1 else ""
            problems += [f"{name}{line}" for line in str(error).splitlines()]
            continue
        found.append(Source(subject, compound.reference, numbers))
    if problems:
        raise ValueError("\n".join(dict.fromkeys(problems)))
    return found


def _one_compound(
    experiments: Sequence[Experiment],
    reference: str,
    column: str | None,
    block: str | None,
) -> CompoundData:
    check_crystals(experiments)
    symmetry = _symmetry(experiments)
    found = read_reference(reference, symmetry, column=column, block=block)
    return CompoundData(found, tuple(range(len(experiments))))


def _symmetry(experiments: Sequence[Experiment]) -> crystal.symmetry:
    group = experiments[0].crystal.get_space_group()
    return crystal.symmetry(unit_cell=reference_cell(experiments), space_group=group)


def _reference_of(
    experiments: Sequence[Experiment], references: Sequence[Reference]
) -> int:
    """Give the number of the reference of one data set."""
    check_crystals(experiments)
    symmetry = _symmetry(experiments)
    same_cell, same_symmetry = [], []
    for k, reference in enumerate(references):
        try:
            choices = reindexing_choices(symmetry, reference.symmetry)
        except ValueError:
            continue
        same_cell.append(k)
        if any(c.symmetric for c in choices) and _same_order(symmetry, reference):
            same_symmetry.append(k)
    fitting = same_symmetry or same_cell
    if len(fitting) == 1:
        return fitting[0]
    told = f"its cell ({_told(symmetry)})"
    if not fitting:
        each = "; ".join(f"{r.source} ({_told(r.symmetry)})" for r in references)
        raise ValueError(f"{told} fits no reference: {each}")
    which = " and ".join(references[k].source for k in fitting)
    raise ValueError(f"{told} fits more than one reference: {which}. Give one of them")


def _same_order(symmetry: crystal.symmetry, reference: Reference) -> bool:
    """Say whether the Laue groups are equally large."""
    orders = [
        s.space_group().build_derived_laue_group().order_p()
        for s in (symmetry, reference.symmetry)
    ]
    return orders[0] == orders[1]


def _told(symmetry: crystal.symmetry) -> str:
    cell = ", ".join(f"{p:.4g}" for p in symmetry.unit_cell().parameters())
    return f"{cell}, {symmetry.space_group_info()}"
