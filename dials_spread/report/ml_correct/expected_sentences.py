"""
Which R1 is to be expected, in sentences.

Functions:
    expected_sentence: what it is of, and what it rests on
"""

from __future__ import annotations

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.expected_r1 import ExpectedR1
from dials_spread.report.ml_correct.correction_verdict import EXPECTED_R1

IN_PART = 90
"""Simulated data sets that were corrected in part, by which limits of the expected R1 were
checked: benchmarks/general_model.py FOLDER --only controls undecided held_out."""

WITHIN = "factor that two thirds are within"


def expected_sentence(result: CorrectionResult, told: ExpectedR1) -> str:
    """
    Say what the expected R1 is of, and what it rests on.

    Args:
        result: The correction.
        told: Its expected R1.
    """
    if told.plain is not None:
        return _expected_in_part(told.plain, told)
    text = f"{EXPECTED_R1} is that at full strength (not a refinement R1)."
    if result.estimate.method == "structure":
        return (
            f"{text} It rests on the residuals of single observations; what the calculation is wrong "
            "by counts as common to all observations of a reflection. With complete structures "
            "R1 was 0.4 to 1.0 times the expected one in eighteen simulated compounds, and 1.0 to 1.4 "
            "times in five measured ones."
        )
    known = result.model.card.validation if result.model else {}
    within = {
        grade: f"{own[WITHIN]:.2f}"
        for grade, key in (("well", "plain sets"), ("roughly", "rough sets"))
        if isinstance(own := known.get(f"predicted R1, {key}"), dict)
        and isinstance(own.get(WITHIN), (int, float))
    }
    simulated, limits = result.estimate.simulated_r1, told.limits
    if within and simulated is not None and limits is not None:
        factors = sorted(set(within.values()))
        if len(factors) > 1:
            factors = [f"{x} ({grade} measured)" for grade, x in within.items()]
        text += (
            f" For simulated data like these the model expects {simulated:.3f}, and two "
            "thirds of held-out compounds had an R1 within a factor of "
            f"{' or '.join(factors)} of that; the rest is an allowance, in proportion to "
            "R_meas, for errors that no simulation holds. The limits "
            f"{limits[0]:.2f} and {limits[1]:.2f} held, in proportion to the expected R1, "
            "for more than 19 of 20 simulated data sets and for each of five measured "
            "compounds. Errors that all observations of a reflection share, as of a twin "
            "or a wrong structure, do not show, and make it larger."
        )
    return text


def _expected_in_part(plain: float, told: ExpectedR1) -> str:
    """Where the data leave it open whether there is multiple scattering."""
    text = (
        f"{EXPECTED_R1} (not a refinement R1): if there is no multiple scattering, the plain "
        f"merge has {plain:.3f}; if there is, all of the correction has {told.full:.3f}. "
        f"As the data do not decide, and a part is applied, {told.value:.3f} is "
        "between both in the logarithm."
    )
    if told.limits is not None:
        low, high = told.limits
        text += (
            f" The limits {low:.3f} and {high:.3f} held, in proportion to these, for all of "
            f"{IN_PART} simulated data sets that were corrected in part."
        )
    return text
