"""
The results in plain words.
"""

from __future__ import annotations

import os

import numpy as np

from dials_spread import symmetry
from dials_spread.comparison import Comparison
from dials_spread.observations import Observations
from dials_spread.pairs import MedianOverPairs
from dials_spread.report.page.labels import counted, digits
from dials_spread.statistics.bootstrap import FEWEST_CRYSTALS

INTENSITIES = {
    "scale": "scaled intensities (intensity.scale.value / inverse_scale_factor)",
    "profile": "profile-fitted intensities, with lp and qe applied, unscaled",
    "sum": "summed intensities, with lp, qe and partiality applied, unscaled",
}

POOR_CC = 0.5
"""Images of one orientation that are indexed alike hardly ever correlate less."""


def describe_input(observations: Observations) -> list[str]:
    """
    Say what is compared.

    Args:
        observations: The observations.

    Returns:
        Sentences.
    """
    n = observations.n_crystals
    images = len(observations.images)
    sentences = [
        f"{len(observations):,} observations of {len(observations.unique_index):,} "
        f"unique reflections on {counted(images, 'image')} of {counted(n, 'crystal')} "
        f"({observations.radiation}, space group {observations.space_group.info()}). Intensity used: "
        f"{INTENSITIES[observations.choice]}."
    ]
    without = len(observations.dataset) - n
    if without:
        sentences.append(
            f"{without} of {len(observations.dataset)} crystals have no reflection that "
            "counts."
        )
    if n == 1:
        sentences.append(
            "There is one crystal only: its own images are compared with one another, "
            "and no uncertainty over crystals can be given. Neighbouring frames may "
            "share a measurement; pairs related by symmetry do not."
        )
    if observations.often_repeated:
        sentences.append(
            f"The {len(observations):,} observations are of "
            f"{observations.n_passages:,} passages through the Ewald sphere: "
            "neighbouring images list the same ones again, as overlapping virtual frames "
            "do. That neighbours agree is no evidence, and the number of independent "
            "observations is that of passages."
        )
    sentences.append(_about_friedel(observations))
    return sentences


def _about_friedel(observations: Observations) -> str:
    if not observations.friedel:
        return "Friedel mates count as different."
    text = "Friedel mates count as equivalent"
    if (
        observations.radiation == "electrons"
        and not observations.space_group.is_centric()
    ):
        text += (
            "; in this space group multiple scattering tells them apart "
            "(friedel=False keeps them separate)"
        )
    return text + "."


def with_interval(estimate: MedianOverPairs) -> str:
    """Write a median with its interval."""
    text = digits(estimate.median)
    if estimate.low == estimate.low:
        return f"{text} (95 %: {digits(estimate.low)} to {digits(estimate.high)})"
    return text


def describe_matches(comparison: Comparison) -> list[str]:
    """
    Say how many images were matched.

    Args:
        comparison: The results.

    Returns:
        Sentences.
    """
    matches, least = comparison.matches, comparison.matching.min_common
    if not len(matches):
        return [
            f"No two images have {least} indices in common: nothing to compare. Lower "
            "matching.min_common, widen image_width, or add crystals."
        ]
    images = np.union1d(matches.image_a, matches.image_b)
    same = comparison.summary_same["n_background"].n_pairs
    same_text = f"{same:,}" if same else "none"
    return [
        f"{counted(len(matches), 'pair')} of images have at least {least} indices in common "
        f"({len(images):,} images of {_crystals(comparison, images)}). In {same_text} of "
        f"them the beam directions in the crystal are within {comparison.matching.same_orientation:g}° "
        "of each other: the same orientation. The best pair shares "
        f"{matches.n_common[0]} indices, at {digits(matches.beam_angle[0])}°."
        + _about_opposites(comparison)
    ]


def _about_opposites(comparison: Comparison) -> str:
    """Name the pairs that look along one line from its two ends."""
    tolerance = comparison.matching.same_orientation
    n = int((comparison.matches.beam_angle >= 180 - tolerance).sum())
    if not n:
        return ""
    return (
        f" {n:,} more look along the same line from the opposite side (within "
        f"{tolerance:g}° of 180°): a nearly flat Ewald sphere excites the same "
        "reflections, but multiple scattering need not be the same. They are listed, "
        "and not counted as the same orientation."
    )


def _crystals(comparison: Comparison, images: np.ndarray) -> str:
    n = len(np.unique(comparison.observations.images.crystal[images]))
    return counted(n, "crystal")


def describe_agreement(comparison: Comparison) -> list[str]:
    """
    Say how well images of the same orientation agree.

    Args:
        comparison: The results.

    Returns:
        Sentences.
    """
    summary = comparison.summary_same
    r, s = summary["r_factor"], summary["excess_spread"]
    if not r.n_pairs:
        return []
    told = [
        "In the median pair of the same orientation the correlation of the intensities "
        f"is {with_interval(summary['cc'])}, R is {with_interval(r)}, and the spread "
        f"beyond the known errors, s, is {with_interval(s)} of the intensity."
    ]
    others = summary["background_spread"]
    if others.n_pairs:
        told.append(
            "The same reflections on all other images, most of them at other "
            f"orientations, differ from these by s = {with_interval(others)}"
            + _verdict(summary["spread_ratio"])
        )
    told += _about_indexing(comparison.observations, summary["cc"].median)
    if r.n_crystals < FEWEST_CRYSTALS:
        told.append(
            f"These pairs come from {counted(r.n_crystals, 'crystal')}: too few for an "
            f"interval, which takes {FEWEST_CRYSTALS}."
        )
    return told


def _about_indexing(observations: Observations, cc: float) -> list[str]:
    """Name the commonest reason why images that should agree do not."""
    choices = symmetry.indexing_choices(
        observations.space_group, observations.unit_cell
    )
    if choices == 1 or observations.n_crystals == 1 or not cc < POOR_CC:
        return []
    return [
        f"The lattice leaves {choices} ways to index a crystal in this space group, and "
        "so low a correlation is what different choices make. If the crystals were "
        "indexed on their own, bring them to one choice first (dials.cosym)."
    ]


def _verdict(ratio: MedianOverPairs) -> str:
    """Say what the ratio of the two spreads means, or that it is not known."""
    if not ratio.n_pairs:
        return "."
    text = f"; pair by pair the ratio of the two is {with_interval(ratio)}"
    if ratio.high < 1:
        return text + (
            ": images of the same orientation agree better with each other than with "
            "the rest, so part of the spread depends on the orientation."
        )
    if ratio.low == ratio.low and ratio.low <= 1:
        return text + (
            ": the interval includes 1, so that these pairs alone do not show a "
            "dependence on the orientation."
        )
    return text + "."


def describe_contrast(
    summary: dict[str, MedianOverPairs], reference: dict
) -> list[str]:
    """
    Compare with an earlier result.

    Args:
        summary: From pairs.summarise, of pairs of the same orientation.
        reference: The document of the earlier run.

    Returns:
        Sentences.
    """
    earlier = reference.get("agreement_same_orientation") or {}
    parts = []
    for name, label in (("r_factor", "R"), ("excess_spread", "s"), ("cc", "CC")):
        other, own = (earlier.get(name) or {}).get("median"), summary[name].median
        if other is None or own != own:
            continue
        part = f"{label} {digits(own)} here, {digits(other)} there"
        if name != "cc" and other > 0:
            part += f" ({digits(own / other)} ×)"
        parts.append(part)
    if not parts:
        here = summary["r_factor"].n_pairs == 0
        return [
            f"The {'present result' if here else 'result to compare with'} has no pairs "
            "of the same orientation: no comparison."
        ]
    origin = reference.get("input") or {}
    names = [os.path.basename(f) for f in origin.get("files") or ["another run"]]
    more = f" and {counted(len(names) - 1, 'more file')}" if len(names) > 1 else ""
    return [
        f"Against {names[0]}{more} "
        f"({origin.get('radiation') or 'unknown radiation'}), medians over pairs of the "
        f"same orientation: {'; '.join(parts)}."
    ]
