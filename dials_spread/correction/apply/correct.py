"""
The entry point of the correction: experiments and reflections in, results out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.correction.apply.against_reference import (
    Amplitudes,
    ReferenceCheck,
    compare_with_truth,
    find_reference,
)
from dials_spread.correction.apply.changes import (
    Change,
    EquivalentAgreement,
    describe_agreement,
    describe_changes,
    fourth_moments,
)
from dials_spread.correction.apply.estimates import (
    CorrectedAmplitudes,
    Factors,
    estimate,
)
from dials_spread.correction.apply.expected_r1 import ExpectedR1, expected_r1
from dials_spread.correction.apply.file_by_file import let_go
from dials_spread.correction.apply.one_table import check_crystals_uncorrected
from dials_spread.correction.apply.subject import (
    Beyond,
    Subject,
    Within,
    doubts_of_merged,
    lorentz_check,
    odd_crystals,
    with_counting_errors,
    within_limit,
)
from dials_spread.correction.apply.table_errors import (
    common_errors,
    factors_with_errors,
    merged_errors,
)
from dials_spread.correction.apply.taken_in import (
    LEAST_STRENGTH,
    rejected_warning,
    without_gross,
    without_taken_in,
)
from dials_spread.correction.model.model_file import Model
from dials_spread.freed_memory import give_back
from dials_spread.observations import Observations, build_observations
from dials_spread.observations.builder import intensities_before_scaling
from dials_spread.observations.crystals import check_crystals
from dials_spread.observations.error_model import counting_errors
from dials_spread.observations.rejected import rejected_in_scaling
from dials_spread.prepare.geometry import add_geometry
from dials_spread.prepare.measurement import measurement_of
from dials_spread.prepare.prepared import prepare
from dials_spread.prepare.suitability import check_suitable
from dials_spread.reference import Reference
from dials_spread.rfactor import amplitudes

logger = logging.getLogger("dials.spread.correct")


@dataclass(frozen=True)
class CorrectionResult:
    """
    A correction of many crystals of one compound.

    Attributes:
        subject: The data.
        model: The model file; None where weights alone were used.
        estimate: Corrected amplitudes at full strength.
        strength: How much of the correction was applied: 0, nothing, to 1.
        by_evidence: Whether the data decided how much.
        factors: Of intensities on one scale; scale and Lorentz factor are not in them.
        column: Shape (n,), of the intensities in the tables: all of it.
        offset: Shape (n,), what is added to their products, as Observations has them.
        uncertainty: Shape (n,), standard deviation of it; None where not known.
        common: Shape (n,), the error that all observations of a reflection share, in units
            of their σ after the correction; None likewise.
        merged_sigma: Shape (u,), of the corrected intensities, merged with weights 1/σ².
        expected: R1 to be expected of what is written; None where nothing says it.
        F: Shape (u,), amplitudes when the corrected table is merged, with weights 1/σ².
        F_before: Shape (u,), likewise of the table that was given, damage and all, without
            what dials.scale had rejected.
        changes: What was changed, and where.
        agreement: Of equivalents, before and after.
        fourth_moments: ⟨E⁴⟩/⟨E²⟩² before and after.
        truth: Against a reference; None without.
        warnings: Sentences for the user.
    """

    subject: Subject
    model: Model | None
    estimate: CorrectedAmplitudes
    strength: float
    factors: Factors
    column: np.ndarray
    offset: np.ndarray
    F: np.ndarray
    F_before: np.ndarray
    changes: dict[str, list[Change]]
    agreement: tuple[EquivalentAgreement, EquivalentAgreement]
    fourth_moments: tuple[float, float]
    truth: ReferenceCheck | None
    warnings: tuple[str, ...]
    uncertainty: np.ndarray | None = None
    by_evidence: bool = False
    common: np.ndarray | None = None
    merged_sigma: np.ndarray | None = None
    expected: ExpectedR1 | None = None

    @property
    def measured(self) -> Observations:
        """The observations with their geometry, before they were put on one scale."""
        return self.subject.prepared.measured

    @property
    def beyond(self) -> Beyond | None:
        """What lies beyond the resolution limit, and is not corrected."""
        return self.subject.beyond

    @property
    def taken_in(self) -> np.ndarray | None:
        """Shape (n,), bool: outliers of dials.scale that count now; None for none."""
        return self.subject.taken_in if self.strength > 0 else None

    @property
    def inflation(self) -> np.ndarray | None:
        """
        Shape (n,), of variances beyond the square of the factor: see table_errors.

        None where nothing was corrected.
        """
        return self.factors.inflation if self.strength > 0 else None


def get_subject(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    dataset: Sequence[int] | None = None,
    *,
    lorentz: str = "auto",
    force: bool = False,
    experiment: str = "auto",
    precession_angle: float | None = None,
    without_experiment: int = 0,
    nproc: int | None = None,
    d_min: float | str | None = "auto",
    emptied: bool = False,
    keep_outliers: bool | str = "auto",
    **choices,
) -> Subject:
    """
    Prepare data for a correction.

    Args:
        experiments, tables: One each a crystal, of one space group and similar cells.
        dataset: The number of the input list of each experiment.
        lorentz: Whether the Lorentz factor is in the intensities, see add_geometry.
        force: Correct even what should not be.
        experiment, precession_angle: How the data were measured, see measurement_of.
        without_experiment: Reflections whose experiment was not given, to be counted.
        nproc: Threads; all cores by default.
        d_min: Resolution limit [Å], see within_limit. Observations beyond have no say.
        emptied: Empty the tables (file_by_file.let_go); else they are not changed.
        keep_outliers: Let outliers count; "auto" for those of dials.scale that are not gross.
        choices: About observations, see observations.Choices.

    Raises:
        ValueError: The crystals differ, or the data should not be corrected.
    """
    check_crystals(experiments)
    check_crystals_uncorrected(tables)
    how = measurement_of(experiments, tables, experiment, precession_angle)
    choices["keep_outliers"] = bool(keep_outliers)
    given = (experiments, tables)
    observations = build_observations(*given, dataset, without_experiment, **choices)
    warnings = check_suitable(observations, force, how)
    measured = add_geometry(observations, *given, lorentz, how)
    if keep_outliers == "auto":
        observations, measured = without_gross(observations, measured, tables)
    told = [] if keep_outliers else rejected_warning(observations)
    within = within_limit(observations, measured, d_min, nproc, keep_outliers is True)
    if within.beyond is not None:
        warnings = check_suitable(within.observations, force, how)
    of_lorentz, doubts = lorentz_check(within)
    warnings += odd_crystals(within, observations) + told + doubts
    parts = _prepared(within, *given, emptied, nproc)
    warnings += doubts_of_merged(parts["prepared"])
    return Subject(
        within.observations,
        **parts,
        **of_lorentz,
        warnings=tuple(warnings),
        measurement=how,
    )


def _prepared(
    within: Within,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    emptied: bool,
    nproc: int | None,
) -> dict[str, Any]:
    """Take the last out of the tables, and prepare: attributes of Subject by name."""
    observations, before = within.observations, None
    if observations.scaled:  # else they are those of observations
        before = intensities_before_scaling(observations, tables, within.lorentz)
    counting = counting_errors(observations, experiments, tables)
    taken_in = rejected_in_scaling(observations, tables)
    if emptied:
        let_go(tables)
    prepared = prepare(within.measured, nproc, within.scales, within.groups)
    give_back()
    counted = with_counting_errors(prepared, observations, counting)
    names = ("lorentz", "limit", "beyond", "outsiders", "n_gross")
    return {
        "prepared": prepared,
        "counted": counted,
        "before_scaling": before,
        "taken_in": taken_in,
        **{name: getattr(within, name) for name in names},
    }


def correct_intensities(
    subject: Subject,
    model: Model | None = None,
    strength: float | None = None,
    reference: str | Reference | None = None,
    column: str | None = None,
    seed: int = 0,
    nproc: int | None = None,
    ready: CorrectedAmplitudes | None = None,
    block: str | None = None,
) -> CorrectionResult:
    """
    Correct intensities for multiple scattering.

    Args:
        subject: The data, from get_subject.
        model: From choose_model; None for weights alone.
        strength: Power to which factors are raised, 0 for none of the correction; None
            for what the data bear out (model.evidence), 1 where they tell nothing.
        reference: Taken for the truth, to compare with, or the name of its file.
        column, block: Of a reference: label of its column, data block of a CIF of several.
        seed, nproc: For the control of the reference; threads, all cores by default.
        ready: Amplitudes that were estimated elsewhere.

    Raises:
        ValueError: The model or the reference cannot be used.
    """
    if isinstance(reference, str):
        reference = find_reference(subject.observations, reference, column, block)
    found = ready
    if found is None:
        subject, found = estimated(subject, model, strength, nproc)
    by_evidence = strength is None and found.evidence is not None
    prepared, strength = subject.prepared, _strength(strength, found)
    before = prepared.scaled
    factors = _factors(subject, found, nproc).weakened(strength)
    after = before.with_intensity(*factors.apply(before.intensity, before.sigma))
    F_scaled, F = map(_merged_amplitudes, (before, after))
    whole = _whole_factor(subject, factors.factor, strength)
    merged = merged_errors(after)
    result = CorrectionResult(
        subject=subject,
        model=model,
        estimate=found,
        strength=strength,
        factors=factors,
        column=whole,
        offset=_whole_offset(subject, factors, whole),
        F=F,
        F_before=_merged_amplitudes(prepared.with_damage.select(subject.accepted)),
        changes=describe_changes(prepared, F_scaled, F, after, found.error_F),
        agreement=(describe_agreement(before), describe_agreement(after)),
        fourth_moments=fourth_moments(prepared, F_scaled, F),
        truth=_compare(subject, factors, found, reference, seed),
        warnings=subject.warnings,
        by_evidence=by_evidence,
        common=_common(found, after, merged, strength),
        merged_sigma=merged,
    )
    return _with_errors(result)


def estimated(
    subject: Subject,
    model: Model | None,
    strength: float | None = None,
    nproc: int | None = None,
) -> tuple[Subject, CorrectedAmplitudes]:
    """
    Estimate amplitudes; where little is corrected, of what dials.scale had accepted.

    Args:
        subject: The data.
        model: From choose_model; None for weights alone.
        strength: As for correct_intensities.
        nproc: Threads; all cores by default.

    Returns:
        The data that the amplitudes are of, and these.
    """
    if strength is not None and strength < LEAST_STRENGTH:
        subject = without_taken_in(subject, nproc)
    found = estimate(subject.counted, model, nproc)
    if _strength(strength, found) >= LEAST_STRENGTH:
        return subject, found
    fewer = without_taken_in(subject, nproc)
    if fewer is subject:
        return subject, found
    return fewer, estimate(fewer.counted, model, nproc)


def _with_errors(result: CorrectionResult) -> CorrectionResult:
    """Add what is uncertain of factors and amplitudes."""
    # A part of the correction by the data tells more than one that a user wants.
    strength = result.strength if result.by_evidence else 1.0
    told = expected_r1(result.estimate, strength, result.subject)
    return replace(result, uncertainty=_uncertainty(result), expected=told)


def _strength(strength: float | None, found: CorrectedAmplitudes) -> float:
    if strength is not None:
        return strength
    return 1.0 if found.evidence is None else found.evidence.strength


def _factors(
    subject: Subject, found: CorrectedAmplitudes, nproc: int | None
) -> Factors:
    """Give the factors of observations on one scale, and of their variances."""
    before = subject.prepared.scaled
    return factors_with_errors(
        before.intensity,
        before.sigma,
        subject.counted.sigma,
        before.unique,
        before.crossings(),
        (found.F, subject.prepared.N),
        found.relative,
        nproc,
    )


def _common(
    found: CorrectedAmplitudes, after: Observations, merged: np.ndarray, strength: float
) -> np.ndarray | None:
    """Give what corrected observations of a reflection share, in units of their σ."""
    total = found.intensities()[1]
    if total is None or not strength > 0:
        return None
    return strength * common_errors(after.sigma, after.unique, total, merged)


def _merged_amplitudes(observations: Observations) -> np.ndarray:
    """Give amplitudes of intensities merged as dials.merge does, shape (u,)."""
    merged = observations.merged(weights=1 / observations.variance)
    return np.where(np.isfinite(merged), amplitudes(merged), 0.0)


def _whole_factor(subject: Subject, factor: np.ndarray, strength: float) -> np.ndarray:
    """
    Add what the intensities of the tables lack to be on the scale of the factors.

    The Lorentz factor where it was missing. And the scale: factors lead to F² where
    intensities were divided by it. Of unscaled crystals only how it varies within each,
    which dials.scale with few parameters cannot follow; it finds the rest. Damage is taken
    out of all that is corrected, to whatever strength. At strength 0 nothing but the Lorentz
    factor is left.
    """
    prepared, decay = subject.prepared, subject.prepared.scales.decay
    crystal, scale = prepared.measured.crystal, np.log(prepared.scales.scale)
    exponent = strength * scale
    if strength > 0 and decay is not None and decay.is_taken_out:
        exponent += (1 - strength) * (scale - np.log(decay.scale_with))
    if not subject.observations.scaled:
        n = np.bincount(crystal)
        exponent -= (np.bincount(crystal, exponent) / np.maximum(n, 1))[crystal]
    return factor * subject.lorentz * np.exp(-exponent)


def _whole_offset(
    subject: Subject, factors: Factors, whole_factor: np.ndarray
) -> np.ndarray:
    """Bring offsets to where the whole factor brings the products: see _whole_factor."""
    to_observations = subject.observations.sigma / subject.prepared.sigma
    return factors.offset * to_observations * whole_factor / factors.factor


def _uncertainty(result: CorrectionResult) -> np.ndarray | None:
    """Give σ of the factors, from dc/c = 2 dF/F, bounded by 100 %."""
    sigma_F = result.estimate.sigma_F
    if sigma_F is None:
        return None
    relative = np.minimum(2 * sigma_F / np.maximum(result.estimate.F, 1e-30), 1.0)
    unique = result.subject.prepared.measured.unique
    return result.column * result.strength * relative[unique]


def _compare(
    subject: Subject,
    factors: Factors,
    found: CorrectedAmplitudes,
    reference: Reference | None,
    seed: int,
) -> ReferenceCheck | None:
    if reference is None:
        return None
    return compare_with_truth(
        subject.observations,
        subject.prepared,
        subject.accepted,
        Amplitudes(factors, subject.integrated, found.F, found.sigma_F),
        reference,
        np.random.default_rng(seed),
    )
