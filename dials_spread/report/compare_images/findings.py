"""
What was found, in plain words, for a person who reads nothing else.

Functions:
    spread_findings: how large the spread is, where it comes from, whether matches beat
        chance
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.report.page.labels import counted, digits
from dials_spread.significance import Significance
from dials_spread.spread.analysis import SWITCHED_OFF, SpreadAnalysis
from dials_spread.spread.size.size import SpreadSize
from dials_spread.spread.sources.components import SOURCES, Component, Components
from dials_spread.spread.sources.normality import Normality

SOURCE_WORDS = {
    "image": "is a factor common to each image (beam, exposure, volume)",
    "crystal": "is a factor common to each crystal",
    "orientation": "depends on the orientation of the crystal",
    "noise": "is counting noise",
    "rest": "is the rest, which differs even at one orientation",
}


def percent(value: float, low: float = np.nan, high: float = np.nan) -> str:
    """
    Write a share with its interval.

    Args:
        value: 0 to 1, or more.
        low: End of the 95 % interval; nan without one.
        high: The other end.

    Returns:
        Such as ``54 % (95 %: 21 to 78 %)``.
    """
    text = f"{_round(100 * value)} %"
    if np.isfinite(low):
        text += f" (95 %: {_round(100 * low)} to {_round(100 * high)} %)"
    return text


def _round(value: float) -> str:
    """No digits after the point from ten, one below."""
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}"


def describe_size(size: SpreadSize) -> str:
    """
    Say how large the spread is.

    Args:
        size: The size.

    Returns:
        A paragraph.
    """
    whole = size.overall
    behind = (
        f"({counted(int(whole.n[0]), 'observation')} of "
        f"{counted(size.n_reflections, 'reflection')}, "
        f"{counted(int(whole.crystals[0]), 'crystal')})"
    )
    if not size.s > 0:
        return (
            "Repeated measurements of one reflection differ by no more than their "
            f"counting errors explain {behind}."
        )
    low, high = float(whole.s_low[0]), float(whole.s_high[0])
    text = (
        "How large is the spread? Repeated measurements of one reflection differ by s = "
        f"{percent(size.s, low, high)} of its intensity, beyond what their counting "
        f"errors explain {behind}. A robust estimate, which a few wild observations do "
        f"not move, gives {percent(float(whole.s_robust[0]))}. No I/σ above "
        f"{digits(1 / size.s, 2)} is to be trusted"
    )
    if np.isfinite(size.scaling_limit):
        text += f"; dials.scale found {digits(size.scaling_limit)} for the same data"
    if size.reason:
        text += f". {size.reason[:-1]}"
    return text + "."


def _share(part: Component) -> str:
    return percent(part.share, part.share_low, part.share_high)


def describe_sources(components: Components, radiation: str) -> list[str]:
    """
    Say where the spread comes from.

    Args:
        components: The sources.
        radiation: Of the data.

    Returns:
        Paragraphs.
    """
    parts = {s: getattr(components, s) for s in SOURCES}
    known = {s: p for s, p in parts.items() if np.isfinite(p.share)}
    if not known:
        return ["Where does it come from? The spread is too small to be divided."]
    order = sorted(known, key=lambda s: -known[s].share)
    told = "; ".join(f"{_share(known[s])} {SOURCE_WORDS[s]}" for s in order)
    text = (
        f"Where does it come from? Of the variance of a single measurement, {told} "
        f"({counted(components.n_crystals, 'crystal')}, "
        f"{counted(components.n_images, 'image')}, "
        f"{counted(components.n_pairs, 'pair')} of observations)."
    )
    return [text, *_about_orientation(parts["orientation"], radiation)]


def _about_orientation(part: Component, radiation: str) -> list[str]:
    if part.reason:
        return [f"Whether it depends on the orientation is not known: {part.reason}"]
    if not np.isfinite(part.share_low):
        return []
    if part.share_low > 0:
        cause = (
            ", as multiple scattering does, and no scale factor removes it"
            if radiation == "electrons"
            else ", which is not expected of X-rays: look for absorption or overlaps"
        )
        return [
            "The disagreement grows with the angle between the beams in the crystal"
            f"{cause}."
        ]
    return [
        "A dependence on the orientation is not shown: its interval begins at zero."
    ]


def describe_chance(
    significance: Significance,
    normality: Normality | None,
    same: np.ndarray,
    repeated: bool = False,
) -> str:
    """
    Say whether matched pairs agree better than chance.

    Args:
        significance: Of the pairs.
        normality: Of the residuals.
        same: Shape (pairs,), bool: pairs of the same orientation.
        repeated: Whether neighbouring images share measurements.

    Returns:
        A paragraph.
    """
    q = significance.q_value
    tested = np.isfinite(q)
    accepted, near = q <= 0.05, tested & same
    text = (
        "Do images of one orientation agree better than chance? Of "
        f"{counted(significance.n_tested, 'matched pair')} of images that were tested, "
        f"{significance.n_accepted:,} do at a false discovery rate of 5 %"
    )
    if near.any():
        low = int((significance.p_value[near] <= 0.05).sum())
        text += (
            f"; of the {int(near.sum()):,} of the same orientation "
            f"{int((accepted & near).sum()):,} do, and {low:,} have p ≤ 0.05 each on its "
            f"own, where chance gives {digits(0.05 * near.sum(), 2)}"
        )
    text += f" (up to {significance.permutations:,} permutations a pair)."
    if repeated:
        text += (
            " Neighbouring images list the same passages again here, so that they agree "
            "for that reason, too."
        )
    return text + _about_normality(normality)


def _about_normality(normality: Normality | None) -> str:
    if normality is None or normality.gaussian is None:
        return ""
    if normality.gaussian:
        return (
            " The residuals are Gaussian, so that likelihood ratios can be quoted too."
        )
    return (
        " The residuals are not Gaussian (excess kurtosis "
        f"{digits(normality.excess_kurtosis[0], 2)}): quote these permutation p-values, "
        "not the likelihood ratios."
    )


def spread_findings(
    observations: Observations,
    spread: SpreadAnalysis,
    significance: Significance,
    same: np.ndarray,
) -> list[str]:
    """
    Say how large the spread is, where it comes from and whether matches beat chance.

    Args:
        observations: Of all crystals.
        spread: The results.
        significance: Of the matched pairs.
        same: Shape (pairs,), bool: pairs of the same orientation.

    Returns:
        Paragraphs; where a part could not be computed, one sentence why.
    """
    told = []
    if spread.size:
        told.append(describe_size(spread.size))
    elif _is_missing(spread, "spread"):
        told.append(f"The spread could not be measured: {spread.reasons['spread']}")
    if spread.components:
        told += describe_sources(spread.components, observations.radiation)
    if significance.n_tested:
        repeated = observations.often_repeated
        told.append(describe_chance(significance, spread.normality, same, repeated))
    elif significance.reason and significance.reason != SWITCHED_OFF:
        told.append(f"Matched pairs were not tested: {significance.reason}")
    return told


def _is_missing(spread: SpreadAnalysis, key: str) -> bool:
    return spread.reasons.get(key, SWITCHED_OFF) != SWITCHED_OFF
