"""The second correction of dials.ml_correct, with a provisional structure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dials_spread.correction.apply.estimates import estimate
from dials_spread.correction.apply.subject import Subject
from dials_spread.correction.model.model_file import Model
from dials_spread.input_files import Input
from dials_spread.report.ml_correct.with_structure_report import StructureReport
from dials_spread.structures.structure_files import read_structure
from dials_spread.with_structure import (
    StructureInput,
    correct_with_structure,
    lay_on_data,
    refuse_others,
)

__all__ = ["refuse_others", "second_correction"]


def second_correction(
    params, part: Input, subject: Subject, model: Model | None, nproc: int | None
) -> tuple[Subject, StructureReport | None]:
    """
    Correct with a structure, where one is given.

    Args:
        params: Those of the command: structure is the name of its file, or a built-in one.
        part: The crystals that are corrected.
        subject: The same, prepared.
        model: Of the first correction.
        nproc: Threads; all cores by default.

    Returns:
        The data with further warnings, and what was found.

    Raises:
        ValueError: The structure is of another compound, or cannot be used.
    """
    source, seed = params.structure, params.seed
    if source is None:
        return subject, None
    rng = np.random.default_rng(seed)
    laid = lay_on_data(read_structure(source), source, subject, rng)
    first = estimate(subject.counted, model, nproc)
    if first.sigma_F is None:
        raise ValueError(
            "structure= starts from amplitudes with expected errors, which this model does "
            "not give; leave out model= and method="
        )
    given = StructureInput(
        subject, first, laid.structure, laid.choice, part.experiments, part.tables,
        seed=seed, nproc=nproc,
    )  # fmt: skip
    found = correct_with_structure(given)
    report = StructureReport(source, found, laid.match.f_calc, subject.prepared.merged)
    return replace(subject, warnings=(*subject.warnings, *laid.warnings)), report
