"""
What a correction did, in sentences.

Functions:
    correction_sentences, sentences_by_topic: the summary below the verdict
    evidence_sentences: whether the data show multiple scattering
    size_sentence: how much was changed
    reference_sentences: what a reference says
    coverage_sentence: whether predicted errors are as large as the true ones
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.correction.apply.error_law import Coverage
from dials_spread.correction.model.evidence import FEWEST
from dials_spread.report.ml_correct.before_after import BeforeAfter
from dials_spread.report.ml_correct.correction_verdict import (
    R1_LABEL,
    RELATIVE_CHANGE,
    percent,
)
from dials_spread.report.ml_correct.damage_sentences import damage_sentences
from dials_spread.report.ml_correct.expected_sentences import expected_sentence
from dials_spread.report.ml_correct.lorentz_sentences import lorentz_sentences
from dials_spread.report.ml_correct.rejected_sentences import (
    gross_sentences,
    rejected_sentences,
)
from dials_spread.report.page.labels import counted, digits
from dials_spread.rfactor.merging_statistics import LABELS
from dials_spread.rfactor.wilson_statistics import (
    EXPECTED_ACENTRIC,
    EXPECTED_CENTRIC,
    FOURTH_MOMENT,
    mixed_moment,
)

TOO_FEW, TOO_MANY = 0.58, 0.80
"""Parts of the errors within one predicted standard deviation; beyond, it is told."""

MEDIAN_FACTOR = "Median correction factor"
"""Label of the median of Factors.factor: correction/apply/estimates.py computes them
(observation_factors)."""

CC_CRYSTALS = "CC of a crystal with all others"
"""Label of EquivalentAgreement.cc_crystals: correction/apply/changes.py computes it
(describe_agreement)."""

CHI_SQUARE = "Median χ²"
"""Label of EquivalentAgreement.chi_square: correction/apply/changes.py computes it
(describe_agreement)."""

INDEPENDENT = "Independent observations"
"""Label of n_passages: observations/table.py counts them (crossings)."""

FALL = 0.01
"""By which CC½ falls before it is told."""

RANK_CORRELATION = "rank correlation of predicted with true errors"
"""Label of Coverage.rank_correlation: correction/apply/error_law.py computes it
(coverage)."""

LOW_CC_HALF = 0.3
"""Where dials.estimate_resolution sets its limit."""

INTENSITIES = {
    "scale": "scaled intensities",
    "profile": "profile-fitted intensities",
    "sum": "summed intensities",
}

NO_PROOF = (
    "Agreement is no proof: symmetry equivalents share multi-beam contributions, so wrong "
    "intensities can agree well, and right ones may agree less."
)

OTHERWISE = (
    "dials.compare_images gives another CC½ of the same file: it divides each crystal by "
    "one number, adds no missing Lorentz factor, and merges with equal weights."
)

MERGED_HOW = (
    "Before and after are the same observations on the same scales, which this program "
    "fitted to put all crystals on one scale; means with weights 1/σ², as dials.scale and "
    "dials.merge have them; CC½ by the σ-τ method. Before dials.scale, σ has no error "
    "model and ⟨I/σ⟩ is too high; after the correction, σ holds by what observations still "
    "differ, and ⟨I/σ⟩ is lower."
)


def sentences_by_topic(
    result: CorrectionResult, pair: BeforeAfter
) -> dict[str, list[str]]:
    """
    Say what was done, below the verdict.

    Args:
        result: The correction.
        pair: The same as two data sets.

    Returns:
        Sentences under "data", "amplitudes", "merging", "distribution", "reference".
    """
    amplitudes = []
    if result.strength > 0:
        amplitudes.append(size_sentence(result))
        if result.expected is not None:
            amplitudes.append(expected_sentence(result, result.expected))
    truth = result.truth
    return {
        "data": [
            _data(result, pair),
            *limit_sentences(result),
            *rejected_sentences(result),
            *gross_sentences(result),
            _method(result),
            *evidence_sentences(result),
            *lorentz_sentences(result),
            *damage_sentences(result.subject.prepared.scales.decay, result.strength),
        ],
        "amplitudes": amplitudes,
        "merging": [_merging(result), *_fallen(pair), *_little_signal(pair)],
        "distribution": [_moments(result, pair)],
        "reference": [] if truth is None else reference_sentences(truth),
    }


def correction_sentences(result: CorrectionResult, pair: BeforeAfter) -> list[str]:
    """
    Say in one list, for the log, what its table of figures does not.

    Args:
        result: The correction.
        pair: The same as two data sets.
    """
    topics = sentences_by_topic(result, pair)
    return [
        t for topic, some in topics.items() if topic != "distribution" for t in some
    ]


def _data(result: CorrectionResult, pair: BeforeAfter) -> str:
    observations, independent = result.subject.observations, result.estimate.n_passages
    overall = pair.before.statistics.overall
    choice = INTENSITIES.get(observations.choice, observations.choice)
    mates = "merged" if pair.friedel else "kept apart"
    text = (
        f"Data: {len(observations):,} observations of "
        f"{len(observations.unique_index):,} unique reflections, "
        f"{counted(observations.n_crystals, 'crystal')}, {choice}, {pair.space_group}, "
        f"Friedel mates {mates}; {overall.d_max:.2f} to {overall.d_min:.2f} Å, "
        f"completeness {percent(overall.completeness)}, multiplicity "
        f"{overall.multiplicity:.2f}."
    )
    if independent is not None and independent < len(observations):
        text += (
            f" {INDEPENDENT} (crossings of the Ewald sphere): {independent:,}; a "
            "reflection that several neighbouring images list is counted once."
        )
    return text


def limit_sentences(result: CorrectionResult) -> list[str]:
    """
    Say to which resolution there is signal, and what became of what is beyond.

    Args:
        result: The correction.
    """
    limit = result.subject.limit
    if limit is None or limit.d_min is None:
        return []
    signal = []
    if np.isfinite(limit.cc_half):
        signal.append(f"CC½ {limit.cc_half:.2f}")
    if np.isfinite(limit.i_over_sigma):
        signal.append(f"⟨I/σ⟩ {limit.i_over_sigma:.1f}")
    beyond = f" ({', '.join(signal)})".replace("-", "−") if signal else ""
    how = "as given" if limit.by == "d_min" else f"found from {limit.by} in shells"
    text = (
        f"Resolution limit {limit.d_min:.2f} Å, {how}: "
        f"{counted(limit.n_observations, 'observation')} between it and "
        f"{limit.d_end:.2f} Å{beyond} had no say in the correction and "
        f"{'stays as it was' if limit.n_observations == 1 else 'stay as they were'}, but "
        "for a missing Lorentz factor."
    )
    if limit.by != "d_min":
        text += f" Scale with d_min={limit.d_min:.2f}, too; d_min=None corrects all."
    return [text]


def _method(result: CorrectionResult) -> str:
    if result.estimate.method == "weights":
        how = (
            "Method: means with weights from the coupling of each observation to other "
            "reflections; no model"
        )
    elif result.model is None:
        how = (
            "Method: models trained on these data, each reflection corrected by one that "
            "had not seen it (held-out)"
        )
    else:
        how = (
            f"Method: model “{result.model.card.name}” (SHA-256 "
            f"{result.model.checksum[:12]}…)"
        )
        if result.estimate.method == "structure":
            how += ", then least squares with the phases of a provisional structure"
    return f"{how}; strength {result.strength:.3g}."


def evidence_sentences(result: CorrectionResult) -> list[str]:
    """
    Say whether the data themselves show multiple scattering.

    Args:
        result: The correction.
    """
    found = result.estimate.evidence
    if found is None:
        return []
    if not np.isfinite(found.probability) and found.n >= FEWEST:
        return [
            "Whether the data show multiple scattering cannot be told: symmetry equivalents "
            "are expected to differ by it by less than a tenth of their errors."
        ]
    if not np.isfinite(found.probability):
        return [
            f"Whether the data show multiple scattering cannot be told: "
            f"{counted(found.n, 'reflection')} measured more than once."
        ]
    slope = f"{found.slope:.2f} ± {found.slope_su:.2f}".replace("-", "−")
    text = (
        f"Multiple scattering in the data: probability {found.probability:.2f}. Symmetry "
        "equivalents in different orientations differ as multiple scattering makes them "
        f"differ with slope {slope} (0 without it, 1 as in the simulations, 0.7 to 2.1 in "
        f"five measured compounds; {found.n:,} reflections)."
    )
    if result.by_evidence and 0 < result.strength < 1:
        text += (
            f" The correction is weakened accordingly, to strength {result.strength:.2f};"
            " strength=1 applies all of it."
        )
    return [text]


def size_sentence(result: CorrectionResult) -> str:
    """
    Say how much was changed.

    Args:
        result: The correction.
    """
    factors, change = result.factors.as_dict(), result.changes["all"][0]
    low, high = factors["quartiles"]
    n = counted(factors["reflections_shifted"], "reflection")
    text = (
        f"{MEDIAN_FACTOR} of intensities {factors['median']:.3f} (quartiles {low:.3f} "
        f"and {high:.3f}). Merged |F| changed by {percent(change.change)} of their sum, "
        f"{RELATIVE_CHANGE}; ΣF by {_signed(change.ratio - 1)}."
    )
    if factors["reflections_shifted"]:
        text += (
            f" {n} of {factors['reflections']:,}, weak or negative, were corrected by an "
            "additive offset instead of a factor."
        )
    return text


def _signed(part: float) -> str:
    return f"{100 * part:+.1f} %".replace("-", "−")


def _merging(result: CorrectionResult) -> str:
    old, new = result.agreement
    text = (
        f"{CHI_SQUARE} of observations about their mean, 1 where σ is right: "
        f"{digits(old.chi_square)} before and {digits(new.chi_square)} after."
    )
    measured = result.measured
    if measured.often_repeated:
        text += (
            f" It is small since {len(measured) / measured.n_passages:.1f} listings of one "
            "crossing of the Ewald sphere, in the mean, agree with each other."
        )
    if old.n_crystals:
        text = (
            f"{CC_CRYSTALS} (median of {old.n_crystals}): {digits(old.cc_crystals)} "
            f"before and {digits(new.cc_crystals)} after. {text}"
        )
    return f"{text} {NO_PROOF} {OTHERWISE}"


def _fallen(pair: BeforeAfter) -> list[str]:
    """Say where CC½ became lower."""
    before, after = pair.before.statistics, pair.after.statistics
    places = [("overall", before.overall.cc_half, after.overall.cc_half)]
    places += [
        (f"{a.d_max:.2f}–{a.d_min:.2f} Å", a.cc_half, b.cc_half)
        for a, b in zip(before.by_shell, after.by_shell)
    ]
    fallen = [(place, a, b) for place, a, b in places if b < a - FALL]
    if not fallen:
        return []
    told = ", ".join(f"{where} {a:.3f} → {b:.3f}" for where, a, b in fallen)
    return [
        f"{LABELS['cc_half']} fell: {told.replace('-', '−')}. Symmetry equivalents agree "
        "less there after the correction. Agreement alone is no proof in either "
        "direction: compare refinements against corrected and uncorrected data."
    ]


def _little_signal(pair: BeforeAfter) -> list[str]:
    """Name the shells whose CC½ is low before anything was corrected."""
    weak = [s for s in pair.before.statistics.by_shell if s.cc_half < LOW_CC_HALF]
    if not weak:
        return []
    told = ", ".join(f"{s.d_max:.2f}–{s.d_min:.2f} Å" for s in weak)
    return [
        f"{LABELS['cc_half']} before the correction is below {LOW_CC_HALF:g} at {told}: "
        "there is little signal there, and noise disturbs the correction of all "
        "reflections. d_min= leaves out what is beyond a limit."
    ]


def _moments(result: CorrectionResult, pair: BeforeAfter) -> str:
    before, after = result.fourth_moments
    part, expected = float(np.mean(pair.centric)), mixed_moment(pair.centric)
    return (
        f"{FOURTH_MOMENT} {before:.2f} before, {after:.2f} after; Wilson statistics "
        f"expect {EXPECTED_ACENTRIC:g} of acentric and {EXPECTED_CENTRIC:g} of centric "
        f"reflections, {expected:.2f} of these ({100 * part:.0f} % centric), if many equal "
        "atoms are anywhere. Few, heavy or ordered atoms make it larger, multiple scattering "
        "and noise usually smaller: whether it comes nearer to what is expected says nothing "
        "of the correction."
    )


def reference_sentences(truth: ReferenceCheck) -> list[str]:
    """
    Say what a reference says.

    Args:
        truth: Before and after.
    """
    before, after = truth.r1
    weighted = float(truth.before_weighted.merged.r1[0])
    told = [
        f"{R1_LABEL} of {Path(truth.reference.source).name}: {before:.3f} "
        f"before ({weighted:.3f} merged with weights 1/σ²), {after:.3f} after "
        f"({_signed(after / before - 1)}), {int(truth.after.merged.n[0]):,} "
        f"reflections. CC of intensities {digits(truth.before.cc)} and "
        f"{digits(truth.after.cc)}."
    ]
    crystals = truth.before.crystal.r1, truth.after.crystal.r1
    known = [(a, b) for a, b in zip(*crystals) if a == a and b == b]
    if len(known) > 1:
        better = sum(b < a for a, b in known)
        told.append(f"{better} of {len(known)} crystals have a lower R1 than before.")
    if truth.integrated is not None:
        pairs = [(truth.before.crystal, truth.after.crystal), truth.integrated]
        means = [(np.nanmean(a.r1), np.nanmean(b.r1)) for a, b in pairs]
        told.append(
            "R1 of single crystals, the mean: {:.3f} before and {:.3f} after of scaled, "
            "{:.3f} and {:.3f} of integrated intensities.".format(*means[0], *means[1])
        )
    if truth.coverage is not None:
        told.append(coverage_sentence(truth.coverage, "Corrected amplitudes"))
    return [*told, *(f"Warning: {text}" for text in truth.match.warnings)]


def coverage_sentence(found: Coverage, which: str) -> str:
    """
    Say whether predicted errors are as large as the true ones.

    Args:
        found: How many are within one and two predicted standard deviations.
        which: Reflections these are.
    """
    text = (
        f"{which}: {100 * found.within_one:.0f} % lie within one predicted standard "
        f"deviation of the reference and {100 * found.within_two:.0f} % within two "
        f"(expected of normal errors: 68 and 95 %), {found.n:,} reflections; "
        f"{RANK_CORRELATION} {digits(found.rank_correlation, 2)}."
    )
    if found.within_one < TOO_FEW:
        text += " The predicted errors are too small."
    elif found.within_one > TOO_MANY:
        text += " The predicted errors are too large."
    return text
