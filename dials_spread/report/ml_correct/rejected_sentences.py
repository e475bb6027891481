"""
What became of observations that dials.scale had rejected as outliers, and of gross ones.

Functions:
    rejected_sentences: how many were taken in, and how many stay out
    gross_sentences: how many of integrated data have no say
"""

from __future__ import annotations

import numpy as np

from dials_spread.correction import CorrectionResult
from dials_spread.observations.rejected import REASON
from dials_spread.prepare.gross import FEWEST, FURTHEST, LEAST, LEAST_CUT
from dials_spread.report.page.labels import counted


def rejected_sentences(result: CorrectionResult) -> list[str]:
    """
    Say how many outliers of dials.scale were taken in, and how many stay out.

    Args:
        result: The correction.

    Returns:
        One sentence or more in one string; nothing where dials.scale rejected nothing.
    """
    observations, taken_in = result.subject.observations, result.taken_in
    out = observations.dropped.get(REASON, 0)
    n = 0 if taken_in is None else int(np.count_nonzero(taken_in))
    if not n + out:
        return []
    share = 100 * (n + out) / (len(observations) + out)
    text = (
        f"dials.scale had rejected {counted(n + out, 'observation')} as outliers "
        f"({share:.1f} %)"
    )
    if not n:
        return [f"{text}; {'it stays' if out == 1 else 'they stay'} out."]
    text += (
        f". As multiple scattering makes outliers, {n:,} {'was' if n == 1 else 'were'} taken "
        "in and corrected. In the corrected table they are outliers no more, so that "
        "dials.merge and dials.export count them. "
    )
    if out:
        text += (
            f"{out:,} {'stays' if out == 1 else 'stay'} out, without any equivalent, "
            f"further from the mean of the others than {FURTHEST:g} times that mean and "
            f"{FURTHEST:g} times the mean intensity at this resolution, or below "
            f"{LEAST:g} of that mean where it is not weak. "
        )
    return [
        f"{text}R1 before the correction is without any of them, merging statistics before "
        "it hold those that were taken in. keep_outliers=False leaves all out."
    ]


def gross_sentences(result: CorrectionResult) -> list[str]:
    """
    Say how many observations of integrated data are gross outliers.

    Args:
        result: The correction.
    """
    n = result.subject.n_gross
    if not n:
        return []
    one = n == 1
    table = (
        f"In the corrected table {'its' if one else 'their'} σ is as large as the intensity, "
        "or as that median."
        if result.strength > 0
        else f"In the table {'it stays' if one else 'they stay'}."
    )
    return [
        f"{counted(n, 'gross outlier')} of {n + len(result.subject.observations):,} "
        f"observations {'has' if one else 'have'} no say: further from the median of at least "
        f"{FEWEST} equivalents than {FURTHEST:g} times that median and {FURTHEST:g} times the "
        f"mean intensity at this resolution, or below {LEAST:g} of that median where it is "
        f"not weak; and {LEAST_CUT:g} or more times as far as usual in these data. {table} "
        f"keep_outliers=True lets {'it' if one else 'them'} count."
    ]
