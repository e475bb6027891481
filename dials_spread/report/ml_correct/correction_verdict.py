"""
Whether a correction made amplitudes better, as far as can be told, and what to do next.

Without a reference nobody can tell from the data alone; then the verdict says how much was
changed and what error is expected, and no more. Simulated kinematic data decide what is
too little: there the amplitudes changed by a third of the expected error, and became
slightly worse (R1 .014 before, .016 after); with multiple scattering the change was from
half of the error upwards.

Functions:
    correction_verdict: in one line, with reasons and numbers
    verdict_of: from a difference of R1 and its standard uncertainty
    next_steps: which file goes where
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.report.page.log_text import Step
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.r1 import r1_gain

R1_LABEL = "R1 against kinematic Fc"
"""Label of R1: rfactor/r1.py computes it (r_factors)."""

EXPECTED_R1 = "Expected R1 against kinematic Fc"
"""Label of ExpectedR1.value: correction/apply/expected_r1.py computes it (expected_r1)."""

RELATIVE_CHANGE = "Σ|ΔF|/ΣF"
"""Label of Change.change: correction/apply/changes.py computes it (describe_changes)."""

RATIO = "ΣF after / before"
"""Label of Change.ratio: correction/apply/changes.py computes it (describe_changes)."""

EXPECTED_ERROR = "expected error / ΣF after"
"""Label of Change.error: correction/apply/changes.py computes it (describe_changes)."""

FACTOR_OF_I = "factor of I"
"""Label of BeforeAfter.factor, the median of those of a reflection's observations:
correction/apply/estimates.py computes them (observation_factors)."""

SMALL_CHANGE = 0.5
"""Change of |F| over its expected error below which no improvement is certain."""

CERTAIN = 2.0
"""Standard uncertainties by which R1 has to differ."""

NOT_SOLVED = "The structure could not be solved here"
"""Beginning of the warning that says so."""

SOLVES = 1.1
"""Resolution [Å] from which structures of small molecules solve by charge flipping."""

NOT_REFINED = (
    f"{R1_LABEL} is not a refinement R1: the structure stays as it is, only a "
    "scale factor is fitted, and its own errors are in it."
)


@dataclass(frozen=True)
class CorrectionVerdict:
    """
    What can be said of a correction.

    Attributes:
        kind: "not corrected", "improved", "worse", "no certain improvement", or
            "not tested": corrected, with no reference to tell.
        headline: One sentence.
        reasons: Sentences.
        change: Σ|ΔF|/ΣF of merged amplitudes.
        expected_r1: Predicted by the model; None where it predicts nothing.
        r1_before, r1_after: Against kinematic Fc of the reference; None without. The
            lower one of two ways of merging before.
        weights_before: Which of them: "equal weights" or "weights 1/σ²".
        r1_gain, r1_gain_su: Their difference and its standard uncertainty.
    """

    kind: str
    headline: str
    reasons: tuple[str, ...]
    change: float
    expected_r1: float | None = None
    weights_before: str | None = None
    r1_before: float | None = None
    r1_after: float | None = None
    r1_gain: float | None = None
    r1_gain_su: float | None = None

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def percent(part: float) -> str:
    """Write a part, such as 0.0423, as 4.2 %."""
    return f"{100 * part:.1f} %"


def correction_verdict(result: CorrectionResult) -> CorrectionVerdict:
    """
    Say whether amplitudes became better, as far as can be told.

    Args:
        result: The correction.
    """
    change = result.changes["all"][0].change
    expected = _value(result)
    if result.strength == 0:
        return CorrectionVerdict("not corrected", *_not_corrected(result), change)
    if result.truth is not None:
        return _with_reference(result, result.truth, change)
    changed = f"merged |F| changed by {percent(change)} of their sum"
    if expected is None:
        told = f"CORRECTED, NOT TESTED: {changed}. {_UNTESTED}"
        return CorrectionVerdict("not tested", told, (), change)
    # The limit was found on simulated data, by what is expected of these.
    simulated = result.estimate.simulated_r1
    least = expected if simulated is None else simulated
    if change < SMALL_CHANGE * result.strength * least:
        told = (
            f"NO CERTAIN IMPROVEMENT: {changed}, less than half of the error that they "
            f"are expected to have at full strength ({percent(least)})."
        )
        reasons = (
            "So small a change is found of kinematic data as well, and does not make "
            "them better. The plain merged intensities may be as good.",
        )
        kind = "no certain improvement"
        return CorrectionVerdict(kind, told, reasons, change, expected)
    told = (
        f"CORRECTED, NOT TESTED: {changed}. {EXPECTED_R1} {expected:.3f}"
        f"{_between(result)} (not a refinement R1)."
    )
    return CorrectionVerdict("not tested", told, (_UNTESTED,), change, expected)


def _value(result: CorrectionResult) -> float | None:
    return None if result.expected is None else result.expected.value


def _between(result: CorrectionResult) -> str:
    limits = None if result.expected is None else result.expected.limits
    return "" if limits is None else f", between {limits[0]:.2f} and {limits[1]:.2f}"


_UNTESTED = (
    "Whether the amplitudes became better cannot be told without a reference; refine "
    "against both, corrected and uncorrected data, and compare."
)


def _not_corrected(result: CorrectionResult) -> tuple[str, tuple[str, ...]]:
    lorentz = result.subject.prepared.measured.lorentz_applied_here
    evidence = result.estimate.evidence
    if result.by_evidence and evidence is not None:
        told = (
            "NOT CORRECTED: no sign of multiple scattering in the data (probability "
            f"that there is some: {evidence.probability:.2f}). "
        )
        if lorentz:
            return f"{told}Only the missing Lorentz factor was applied.", ()
        return f"{told}All intensities are left as they are.", ()
    told = "NOT CORRECTED: strength=0"
    if lorentz:
        return f"{told} applies nothing but the missing Lorentz factor.", ()
    return f"{told} leaves all intensities as they are.", ()


_HEADLINES = {
    "improved": "IMPROVED",
    "worse": "WORSE THAN BEFORE",
    "no certain improvement": "NO CERTAIN IMPROVEMENT",
}


def verdict_of(gain: float, su: float) -> str:
    """
    Say whether R1 fell or rose by more than its standard uncertainty allows.

    Args:
        gain: R1 before less R1 after.
        su: Its standard uncertainty.
    """
    if gain > CERTAIN * su:
        return "improved"
    return "worse" if gain < -CERTAIN * su else "no certain improvement"


def _with_reference(
    result: CorrectionResult, truth: ReferenceCheck, change: float
) -> CorrectionVerdict:
    subject = result.subject
    plain = amplitudes(subject.prepared.with_damage.select(subject.accepted).merged())
    f_calc = truth.match.f_calc
    # Judged by the better way of merging before, so that no choice of weights counts.
    pairs = [
        (float(truth.before.merged.r1[0]), plain, "equal weights"),
        (float(truth.before_weighted.merged.r1[0]), result.F_before, "weights 1/σ²"),
    ]
    before, F_before, weights = min(pairs, key=lambda pair: pair[0])
    after = truth.r1[1]
    gain, su = r1_gain(F_before, result.F, f_calc)
    source = Path(truth.reference.source).name
    told = (
        f"{R1_LABEL} of {source} {before:.3f} before (merged with {weights}), {after:.3f} after, "
        f"difference {gain:.3f} ± {su:.3f}, {int(truth.after.merged.n[0]):,} reflections"
    ).replace(" -", " −")
    reasons: tuple[str, ...] = (NOT_REFINED,)
    kind = verdict_of(gain, su)
    if kind == "no certain improvement":
        reasons += ("The difference is within two standard uncertainties.",)
    return CorrectionVerdict(
        kind=kind,
        headline=f"{_HEADLINES[kind]}: {told}.",
        reasons=reasons,
        change=change,
        expected_r1=_value(result),
        weights_before=weights,
        r1_before=before,
        r1_after=after,
        r1_gain=gain,
        r1_gain_su=su,
    )


_ADVICE = {
    "not corrected": "Nothing was corrected; a correction takes strength=1.",
    "improved": (
        "Refine against the corrected data; a refinement against the uncorrected ones "
        "beside it shows what the correction is worth."
    ),
    "worse": "Go on with the uncorrected data; the files below are for comparison.",
    "no certain improvement": (
        "Refine against both, corrected and uncorrected data, and keep what refines "
        "better."
    ),
    "not tested": (
        "Refine against both, corrected and uncorrected data, and keep what refines "
        "better. reference=my.cif compares with a structure that is known."
    ),
}


SOLVE_NEXT = Step(
    "structure=solve, with the data that were given here, solves the structure from "
    "these amplitudes (data to 1.1 Å or better) and corrects a second time with its "
    "phases; structure=provisional.ins does that with one that you have."
)


def next_steps(
    result: CorrectionResult, output, verdict: CorrectionVerdict
) -> list[Step]:
    """
    Say which file goes where.

    Args:
        result: The correction.
        output: Names of files, as the command's ``output`` scope.
        verdict: Of the correction.
    """
    steps = [Step(_ADVICE[verdict.kind])]
    if verdict.kind == "not corrected":
        return steps
    if output.experiments and output.reflections:
        steps += _table_steps(
            f"{output.experiments} {output.reflections}",
            result.subject.observations.scaled,
        )
    return [*steps, *_merged_steps(output.merged), *_structure_steps(result)]


def _structure_steps(result: CorrectionResult) -> list[Step]:
    """Where a structure may solve, what it is good for."""
    measured = result.measured
    d_min = 1 / float(measured.d_star_sq.max()) ** 0.5
    known = result.estimate.method == "structure" or result.estimate.sigma_F is None
    tried = any(word.startswith(NOT_SOLVED) for word in result.warnings)
    if known or tried or d_min > SOLVES:
        return []
    return [SOLVE_NEXT]


def _table_steps(files: str, scaled: bool) -> list[Step]:
    both = files.replace(" ", " and ")
    if scaled:
        return [
            Step(
                f"{both} hold the corrected scaled intensities. Do not run dials.scale on "
                "them: it starts again from integrated intensities and would lose the "
                "correction. For refinement with SHELXL or Olex2:",
                f"dials.export {files} format=shelx",
            ),
            Step("Merged, as .mtz:", f"dials.merge {files}"),
        ]
    return [
        Step(
            f"{both} hold the corrected integrated intensities. The space group is taken "
            "from the input: where it was not final, run dials.symmetry (of several "
            "crystals dials.cosym) on the uncorrected data, and correct those. Scale:",
            f"dials.scale {files}",
        ),
        Step(
            "For solution and refinement with SHELXT, SHELXL or Olex2, use electron "
            "scattering factors:",
            "dials.export scaled.expt scaled.refl format=shelx",
        ),
        Step("Merged, as .mtz:", "dials.merge scaled.expt scaled.refl"),
    ]


def _merged_steps(merged: str | None) -> list[Step]:
    if not merged:
        return [
            Step(
                "output.merged=corrected.hkl (or .mtz) writes one corrected F² with its "
                "predicted σ for each reflection, ready for SHELXL."
            )
        ]
    if Path(merged).suffix.lower() == ".hkl":
        return [
            Step(
                f"{merged} is merged and needs no scaling (HKLF 4, one F² and its "
                "predicted σ for each reflection): for SHELXT, SHELXL and Olex2."
            )
        ]
    return [
        Step(
            f"{merged} holds merged intensities with predicted σ and needs no scaling: "
            "for programs of CCP4 and Phenix."
        )
    ]
