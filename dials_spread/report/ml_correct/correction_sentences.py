"""
What a correction did, in words and tables.

Functions:
    correction_sentences: the summary
    correction_tables: where, and by how much
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.correction.apply.changes import Change
from dials_spread.correction.apply.error_law import Coverage
from dials_spread.report.page.labels import digits
from dials_spread.report.page.tables import TextTable

MOST_CRYSTALS = 50
"""Rows of the table of crystals."""

TOO_FEW, TOO_MANY = 0.58, 0.80
"""Parts of the errors within one predicted standard deviation; beyond, it is told."""

WITHIN = "factor that two thirds are within"

NO_PROOF = (
    "Agreement is no proof: multiple scattering is common to crystals of one kind, so "
    "that wrong intensities can agree, and right ones may agree less."
)


def correction_sentences(result: CorrectionResult) -> list[str]:
    """
    Say what was done.

    Args:
        result: The correction.

    Returns:
        Sentences.
    """
    told = [_method(result), _lorentz(result), _size(result)]
    if result.estimate.predicted_r1 is not None:
        told.append(_expected(result))
    told.append(_agreement(result))
    if result.truth is not None:
        told += truth_sentences(result.truth)
    return [*told, *(f"Warning: {text}" for text in result.warnings)]


def _method(result: CorrectionResult) -> str:
    if result.estimate.method == "weights":
        how = (
            "Amplitudes are means with weights from how strongly each observation is "
            "coupled to others (no learning)"
        )
    elif result.model is None:
        how = "Amplitudes are from a model that had not seen the reflection"
    else:
        how = (
            f"Amplitudes are from the model “{result.model.card.name}” "
            f"({result.model.checksum[:12]})"
        )
    observations, passages = result.subject.observations, result.estimate.n_passages
    listed = ""
    if passages is not None and passages < len(observations):
        listed = (
            f" They are of {passages:,} passages through the Ewald sphere: what is listed "
            "on several neighbouring images is counted once."
        )
    return (
        f"{how}. {len(observations):,} observations of "
        f"{len(observations.unique_index):,} unique reflections, "
        f"{observations.n_crystals} crystal{'s'[: observations.n_crystals != 1]}, "
        f"intensity {observations.choice}, strength {result.strength:g}.{listed}"
    )


def _lorentz(result: CorrectionResult) -> str:
    if result.subject.prepared.measured.lorentz_applied_here:
        return "The Lorentz factor was missing in the intensities; it is in the factors now."
    return "The Lorentz factor is in the intensities already."


def _size(result: CorrectionResult) -> str:
    factors, change = result.factors.as_dict(), result.changes["all"][0]
    low, high = factors["quartiles"]
    return (
        f"Intensities were multiplied by {factors['median']:.3f} (quartiles {low:.3f} and "
        f"{high:.3f}); merged amplitudes changed by {100 * change.change:.1f} %, and "
        f"their sum to {change.ratio:.3f} of what it was. "
        f"To {factors['reflections_shifted']:,} of {factors['reflections']:,} reflections "
        "no factor between 0.1 and 10 gives the amplitude that was found, because they "
        "are negative when merged or far from it; their observations were shifted by "
        "what the mean lacked. ⟨E⁴⟩/⟨E²⟩² is "
        f"{result.fourth_moment:.2f} times what it was."
    )


def _expected(result: CorrectionResult) -> str:
    text = (
        f"R1 against the true amplitudes is expected to be "
        f"{result.estimate.predicted_r1:.3f} at full strength."
    )
    known = result.model.card.validation if result.model else {}
    within = [
        f"{told[WITHIN]:.2f} ({grade} measured)"
        for grade, key in (("well", "plain sets"), ("roughly", "rough sets"))
        if isinstance(told := known.get(f"predicted R1, {key}"), dict)
        and isinstance(told.get(WITHIN), (int, float))
    ]
    if within:
        text += (
            " Of compounds that the model had not seen, two thirds were within a "
            f"factor of {' or '.join(within)} of such a prediction. These were "
            "simulated: measured data, and the structures that they are compared with, "
            "have errors beyond that."
        )
    return text


def _agreement(result: CorrectionResult) -> str:
    before, after = result.agreement
    text = (
        f"R_meas of {before.n_repeated:,} reflections measured twice or more: "
        f"{digits(before.r_meas)} before, {digits(after.r_meas)} after; χ² "
        f"{digits(before.chi_square)} and {digits(after.chi_square)}."
    )
    if before.n_crystals:
        text += (
            f" Correlation of a crystal with all others (median of {before.n_crystals}): "
            f"{digits(before.cc_crystals)} before, {digits(after.cc_crystals)} after."
        )
    return f"{text} {NO_PROOF}"


def truth_sentences(truth: ReferenceCheck) -> list[str]:
    """
    Say what a reference says.

    Args:
        truth: Before and after.
    """
    before, after = truth.r1
    weighted = float(truth.before_weighted.merged.r1[0])
    source = truth.reference.source
    told = [
        f"R1 of merged amplitudes against {source}: {before:.3f} before ({weighted:.3f} "
        f"merged with weights 1/σ²), {after:.3f} after, {int(truth.after.merged.n[0]):,} "
        f"reflections; {after / before:.2f} of what it was. CC "
        f"{digits(truth.before.cc)} and {digits(truth.after.cc)}, log-likelihood "
        f"{digits(truth.before.likelihood.per_reflection)} and "
        f"{digits(truth.after.likelihood.per_reflection)} a reflection."
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
            "Single crystals, on average: R1 {:.3f} before and {:.3f} after of scaled, "
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
        f"deviation of the reference and {100 * found.within_two:.0f} % within two (68 "
        f"and 95 % of normal errors), {found.n:,} reflections; rank correlation of "
        f"predicted with true errors {found.rank_correlation:.2f}."
    )
    if found.within_one < TOO_FEW:
        text += " The predicted errors are too small."
    elif found.within_one > TOO_MANY:
        text += " The predicted errors are too large."
    return text


def _changes(title: str, first: str, changes: Sequence[Change]) -> TextTable:
    has_error = any(c.error is not None for c in changes)
    header = [first, "n", "after / before", "change"]
    rows = [
        [c.group, digits(c.n), digits(c.ratio), digits(c.change)]
        + ([digits(c.error)] if has_error else [])
        for c in changes
    ]
    return TextTable(title, header + ["expected error"] * has_error, rows)


def correction_tables(result: CorrectionResult) -> list[TextTable]:
    """
    Tell where amplitudes were changed, and what R1 is.

    Args:
        result: The correction.
    """
    titles = {
        "resolution": ("Amplitudes by resolution", "d"),
        "strength": ("Amplitudes by strength before (1 is average)", "E"),
        "crystal": ("Amplitudes by crystal", "crystal"),
    }
    tables = [
        _changes(*titles[key], result.changes[key][:MOST_CRYSTALS]) for key in titles
    ]
    return tables + ([] if result.truth is None else truth_tables(result.truth))


def truth_tables(truth: ReferenceCheck) -> list[TextTable]:
    """
    Tabulate R1.

    Args:
        truth: Before and after.
    """
    settings = [
        [s.operator, digits(s.r1), digits(s.cc), digits(s.n), "in use" * (k == 0)]
        for k, s in enumerate(truth.match.settings)
    ]
    chance = truth.match
    told = f"{chance.chance_r1:.3f} ± {chance.chance_sd:.3f}"
    settings.append(["amplitudes shuffled in shells", told, "", "", "control"])
    header = ["before", "after", "n", "before, I > 2σ", "after, I > 2σ", "n, I > 2σ"]
    tables = [
        TextTable(
            f"Settings of {truth.reference.source}",
            ["operator", "R1", "CC", "n", ""],
            settings,
        )
    ]
    shells = truth.before.shells
    names = {
        "merged": ["all"],
        "shell": [f"{a:.2f}–{b:.2f} Å" for a, b in zip(shells.d_max, shells.d_min)],
        "crystal": [str(k) for k in range(len(truth.before.crystal))],
    }
    for key, groups in names.items():
        a, b = getattr(truth.before, key), getattr(truth.after, key)
        rows = [
            [name, digits(a.r1[k]), digits(b.r1[k]), digits(int(a.n[k]))]
            + [
                digits(a.r1_strong[k]),
                digits(b.r1_strong[k]),
                digits(int(b.n_strong[k])),
            ]
            for k, name in enumerate(groups[:MOST_CRYSTALS])
        ]
        tables.append(TextTable(f"R1, {key}", [key, *header], rows))
    return tables
