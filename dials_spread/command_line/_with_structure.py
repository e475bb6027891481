"""The second correction of dials.ml_correct, with a provisional structure."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from cctbx import miller
from libtbx import Auto

from dials_spread.correction.apply.correct import CorrectionResult, estimated
from dials_spread.correction.apply.merged_files import MADE_BY, merged_intensities
from dials_spread.correction.apply.parameters import SOLVE
from dials_spread.correction.apply.subject import Subject
from dials_spread.correction.model.model_file import Model
from dials_spread.input_files import Input
from dials_spread.refinement import Refinement, RefinementSettings
from dials_spread.refinement.element_check import check_elements
from dials_spread.refinement.refined_cif import refined_cif
from dials_spread.refinement.refined_res import refined_res
from dials_spread.report.ml_correct.correction_verdict import NOT_SOLVED
from dials_spread.report.ml_correct.with_structure_report import StructureReport
from dials_spread.shelx import write_hkl
from dials_spread.structures.structure_files import read_structure
from dials_spread.with_structure import (
    LEAST_CHANGE,
    MOST_CYCLES,
    Cycles,
    Hands,
    LaidOnData,
    NotSolved,
    SolvedStructure,
    StructureInput,
    complete_structure,
    correct_in_cycles,
    correct_solved,
    in_right_hand,
    in_structure_setting,
    lay_on_data,
    refine_against,
    refuse_others,
    solve_structure,
)

logger = logging.getLogger("dials.spread.with_structure")

SOLVED_HERE = "the structure solved here"

__all__ = ["refuse_others", "second_correction", "with_refinement"]


def _refuse_precession(subject: Subject) -> None:
    if subject.measurement.kind == "precession":
        raise ValueError(
            "structure= simulates rotations, and these data are of single frames with "
            "precession; leave it out"
        )


def second_correction(
    params, part: Input, subject: Subject, model: Model | None
) -> tuple[Subject, StructureReport | None]:
    """
    Correct with a structure that is given, or solved here.

    Args:
        params: Those of the command: structure is the name of its file, a built-in one, or
            "solve".
        part: The crystals that are corrected.
        subject: The same, prepared.
        model: Of the first correction.

    Returns:
        The data with further warnings, and what was found; None where nothing solves.

    Raises:
        ValueError: The structure is of another compound, or cannot be used.
    """
    _refuse_precession(subject)
    nproc = None if params.nproc is Auto else params.nproc
    rng = np.random.default_rng(params.seed)
    source, laid, solved = params.structure, None, None
    if source != SOLVE:  # what is wrong with it is told before anything is computed
        laid = lay_on_data(read_structure(source), source, subject, rng)
    whole, strength = subject, None if params.strength is Auto else params.strength
    subject, first = estimated(whole, model, strength, nproc)
    if laid is not None and subject is not whole:
        laid = lay_on_data(read_structure(source), source, subject, rng)
    if first.sigma_F is None:
        raise ValueError(
            "structure= starts from amplitudes with expected errors, which this model does "
            "not give; leave out model= and method="
        )
    if laid is None:
        try:
            solved, source = _solved(params, subject, first, nproc), SOLVED_HERE
            laid = _laid_solved(solved, subject, rng)
        except NotSolved as error:
            return _without(subject, str(error), error.more_starts), None
    given = StructureInput(
        subject, first, laid.structure, laid.choice, part.experiments, part.tables,
        seed=params.seed, nproc=nproc,
    )  # fmt: skip
    try:
        cycles, solved, turned = _corrected(given, solved, params)
    except ValueError as error:  # of no crystal a thickness can be found, say
        if solved is None:
            raise
        return _without(subject, f"what was found cannot be used: {error}"), None
    found = cycles.last.correction
    calculated = np.where(np.isfinite(laid.match.f_calc), found.calculated, np.nan)
    report = StructureReport(
        source, found, calculated, subject.prepared.with_damage.merged(), cycles,
        laid.choice, solved=solved, turned=turned,
    )  # fmt: skip
    warnings = (*subject.warnings, *laid.warnings, *report.warnings())
    return replace(subject, warnings=warnings), report


def _corrected(
    given: StructureInput, solved: SolvedStructure | None, params
) -> tuple[Cycles, SolvedStructure | None, Hands | None]:
    """Correct in cycles; the last is why the mirror image was taken, see StructureReport."""
    n_cycles, least = params.cycles, 0.0
    if params.cycles is Auto:
        n_cycles, least = MOST_CYCLES, LEAST_CHANGE
    if solved is not None:
        return *correct_solved(given, solved, n_cycles, least), None
    right = in_right_hand(given)
    cycles = correct_in_cycles(
        right.given, n_cycles, _settings(params), begun=right.correction,
        least_change=least,
    )  # fmt: skip
    return cycles, None, right.turned


def _solved(params, subject, first, nproc: int | None) -> SolvedStructure:
    return solve_structure(
        subject, first, params.output.composition,
        starts=params.solution.starts, seed=params.seed, nproc=nproc,
    )  # fmt: skip


def _laid_solved(
    solved: SolvedStructure, subject: Subject, rng: np.random.Generator
) -> LaidOnData:
    """As lay_on_data; what does not fit was no solution."""
    try:
        return lay_on_data(solved.structure, SOLVED_HERE, subject, rng)
    except ValueError as error:
        raise NotSolved(
            f"what was found is no structure: {error}".rstrip(".")
        ) from None


def _without(subject: Subject, reason: str, more_starts: bool = False) -> Subject:
    """Say that there is no structure, and that the correction is without one."""
    more = ", or more solution.starts" if more_starts else ""
    told = (
        f"{NOT_SOLVED}: {reason}. The correction is that without a "
        f"structure; give structure=provisional.ins once there is one{more}."
    )
    logger.warning(told)
    return replace(subject, warnings=(*subject.warnings, told))


def with_refinement(
    second: StructureReport, result: CorrectionResult, params
) -> StructureReport:
    """
    Refine the structure against the intensities as they are written.

    Args:
        second: What was found.
        result: The correction.
        params: Those of the command.

    Returns:
        The same with the refinement and its files, or with what hinders it.
    """
    structure = second.last_structure()
    array = merged_intensities(result)
    I, sigma = (x.as_numpy_array() for x in (array.data(), array.sigmas()))
    try:
        array = in_structure_setting(
            structure, result.measured, second.choice, I, sigma
        )
        if second.solved is not None:
            how = params.output.composition, params.seed
            structure = complete_structure(structure, array, *how).structure
        refined = refine_against(structure, array, _settings(params), params.seed)
        files = _files(refined, array, _wavelength(result), params.output)
    except ValueError as error:
        return replace(second, problem=str(error))
    elements = check_elements(refined, array)
    return replace(second, refined=refined, files=files, elements=elements)


def _settings(params) -> RefinementSettings:
    chosen = params.refinement
    return RefinementSettings(
        start_shift=0.0,
        anisotropic=None if chosen.anisotropic is Auto else chosen.anisotropic,
        riding_hydrogen=chosen.riding_hydrogen,
        n_peaks=chosen.peaks,
    )


def _wavelength(result: CorrectionResult) -> float:
    s0 = result.subject.observations.images.s0
    return float(1 / np.median(np.linalg.norm(s0, axis=1)))


def _files(
    refined: Refinement, array: miller.array, wavelength: float, output
) -> dict[str, bytes]:
    """Give the content of the files that are wanted, by name."""
    contents: dict[str, bytes] = {}
    made = write_hkl(array)
    if output.refined:
        title = f"{MADE_BY} {Path(output.refined).stem}"
        text = refined_res(refined, wavelength, made.factor, title)
        contents[output.refined] = text.encode("ascii", "replace")
    if output.refined_hkl:
        contents[output.refined_hkl] = made.text.encode("ascii")
    if output.refined_cif:
        text = refined_cif(
            refined, wavelength, Path(output.refined_cif).stem,
            array.d_max_min(), "Intensities corrected for multiple scattering",
        )  # fmt: skip
        contents[output.refined_cif] = text.encode("utf-8")
    return contents
