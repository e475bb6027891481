"""
What was given, how images were matched and how well they agree, in sentences.

Functions:
    describe_input, describe_matches, describe_agreement: of this run
    describe_contrast: against an earlier run
    wider_images: advice that is no use for stills
"""

from __future__ import annotations

import os

import numpy as np

from dials_spread import symmetry
from dials_spread.comparison import Comparison
from dials_spread.observations import Observations
from dials_spread.pairs import MedianOverPairs, SameOrientation
from dials_spread.pairs.tolerance import FEW_PAIRS
from dials_spread.report.page.intervals import with_interval
from dials_spread.report.page.labels import counted, digits
from dials_spread.spread.chance.orientation_sums import OrientationContrast
from dials_spread.statistics.bootstrap import FEWEST_CRYSTALS
from dials_spread.versions import is_still

INTENSITIES = {
    "scale": "scaled intensities (intensity.scale.value / inverse_scale_factor)",
    "profile": "profile-fitted intensities",
    "sum": "summed intensities",
}

MOST_PAIRS = 100
"""Times the pairs at hand; that more would be needed says nothing."""

LEAST_RATIO = 0.05
"""Of s within pairs to s with others: smaller ones are as good as none."""

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
        f"{_intensities(observations)}."
    ]
    without = len(observations.dataset) - n
    if without:
        sentences.append(
            f"{without} of {len(observations.dataset)} crystals have no reflection that "
            "counts."
        )
    if n == 1:
        sentences.append(
            "There is one crystal only: its own images are compared with each other, and "
            "no interval over crystals can be given. Neighbouring images may share a "
            "measurement; images related by symmetry do not."
        )
    if observations.often_repeated:
        sentences.append(
            f"Of the {len(observations):,} observations {observations.n_passages:,} are "
            "independent (crossings of the Ewald sphere): neighbouring images list the "
            "same reflection again, as overlapping virtual frames do. That neighbouring "
            "images agree is therefore no evidence."
        )
    sentences.append(_about_friedel(observations))
    return sentences


def _intensities(observations: Observations) -> str:
    """Name the intensities and the corrections that the tables have for them."""
    text = INTENSITIES[observations.choice]
    if observations.scaled:
        return text
    names = observations.corrections
    applied = " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
    text += f", with {applied} applied, unscaled" if names else ", unscaled"
    if "lp" not in names and observations.radiation == "electrons":
        text += (
            "; the Lorentz factor seems not to be applied (column lp absent or 1 "
            "throughout; dials.ml_correct applies it)"
        )
    return text


def _about_friedel(observations: Observations) -> str:
    if not observations.friedel:
        return "Friedel mates count as different reflections."
    text = "Friedel mates count as symmetry equivalents"
    if (
        observations.radiation == "electrons"
        and not observations.space_group.is_centric()
    ):
        text += (
            ", although multiple scattering makes them differ in this space group "
            "(friedel=False keeps them apart)"
        )
    return text + "."


def _median(estimate: MedianOverPairs) -> str:
    """Write a median with its interval."""
    return with_interval(estimate.median, estimate.low, estimate.high)


def describe_mixture(comparison: Comparison) -> list[str]:
    """Say that corrected and uncorrected crystals are compared, where they are."""
    if not comparison.mixture:
        return []
    return [f"{comparison.mixture} Where their images differ, that may be why."]


def describe_outliers(comparison: Comparison) -> list[str]:
    """Say that outliers of dials.scale are used, where they are."""
    used = comparison.outliers_used
    if not used:
        return []
    left = comparison.observations.dropped.get("outlier in scaling", 0)
    return [
        f"Of {counted(used + left, 'observation')} that dials.scale rejected as outliers, "
        f"{used:,} {'is' if used == 1 else 'are'} used: with the spread of these data in "
        "σ they are within 6 σ, and leaving them out would cut the distribution whose "
        "width is wanted."
    ]


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
            f"matching.min_common, {wider_images(comparison)}or add crystals."
        ]
    images = np.union1d(matches.image_a, matches.image_b)
    same = comparison.summary_same["n_background"].n_pairs
    have = "has" if len(matches) == 1 else "have"
    return [
        f"{counted(len(matches), 'pair')} of images {have} at least {least} indices in "
        f"common ({len(images):,} images of {_crystals(comparison, images)}). "
        + _about_same(same, comparison.same_orientation)
        + f" The best pair has {matches.n_common[0]} indices in common, "
        f"at {digits(matches.beam_angle[0])}°." + _about_opposites(comparison)
    ]


def wider_images(comparison: Comparison) -> str:
    """Advise to join more frames, in part of a list; nothing where all are stills."""
    stills = all(is_still(experiment) for experiment in comparison.experiments)
    return "" if stills else "widen image_width, "


def _about_same(n: int, same: SameOrientation) -> str:
    """Say how many pairs are of the same orientation, and why these."""
    beams = (
        "their beam directions in the crystal within "
        f"{digits(same.angle, 2)}° of each other ({same.reason})"
    )
    if not n:
        return f"None of them has {beams}, so that none is of the same orientation."
    if n == 1:
        return f"One of them has {beams} and counts as of the same orientation."
    told = f"{n:,} of them have {beams}: these count as the same orientation."
    if n < FEW_PAIRS:
        told += " What is said of them rests on these few pairs."
    return told


def _about_opposites(comparison: Comparison) -> str:
    """Name the pairs that look along one line from its two ends."""
    tolerance = comparison.same_orientation.angle
    n = int((comparison.matches.beam_angle >= 180 - tolerance).sum())
    if not n:
        return ""
    looks = "looks" if n == 1 else "look"
    return (
        f" {n:,} more {looks} along the same line from the opposite side (within "
        f"{digits(tolerance, 2)}° of 180°), which excites nearly the same reflections. By "
        "reciprocity single reflections agree where the beam runs against a diffracted "
        "one, not whole images: they do not count as the same orientation."
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
    observations = comparison.observations
    if observations.n_crystals == 1 and observations.often_repeated:
        return [
            f"How well images of the same orientation agree ({counted(r.n_pairs, 'pair')}) "
            "says nothing here: they list the same crossings of the Ewald sphere, so that "
            "R and s in the tables compare counts with themselves."
        ]
    told = [
        f"Images of the same orientation ({counted(r.n_pairs, 'pair')}), medians over "
        f"pairs: correlation of the intensities {_median(summary['cc'])}, R {_median(r)}, "
        f"relative error not covered by σ s = {_median(s)}."
    ]
    told.append(describe_orientation(comparison.contrast))
    told += _about_indexing(comparison.observations, summary["cc"].median)
    if 1 < r.n_crystals < FEWEST_CRYSTALS:
        told.append(
            f"These pairs are of {counted(r.n_crystals, 'crystal')}: no interval, which "
            f"takes {FEWEST_CRYSTALS} crystals."
        )
    return told


def indexed_differently(observations: Observations, cc: float) -> int:
    """
    Say whether crystals may have been indexed in different ways.

    Args:
        observations: Of all crystals.
        cc: Median correlation between images of the same orientation.

    Returns:
        The number of ways, where there are several and the correlation is low; else 0.
    """
    choices = symmetry.indexing_choices(
        observations.space_group, observations.unit_cell
    )
    if choices == 1 or observations.n_crystals == 1 or not cc < POOR_CC:
        return 0
    return choices


def _about_indexing(observations: Observations, cc: float) -> list[str]:
    """Name the commonest reason why images that should agree do not."""
    choices = indexed_differently(observations, cc)
    if not choices:
        return []
    return [
        f"The lattice can be indexed in {choices} ways in this space group, and a "
        "correlation as low as this is what crystals indexed in different ways give."
    ]


def describe_orientation(contrast: OrientationContrast) -> str:
    """
    Say whether images of the same orientation agree better than others.

    Claimed where p is at most LEVEL, of three crystals and 20 common spots or more; where
    it is larger, what the data could have shown is said, and what it would take.

    Args:
        contrast: Of pairs of the same orientation with all others.

    Returns:
        A sentence or two.
    """
    whether = (
        "Whether images of the same orientation agree better with each other than with "
        "other images cannot be told from these data"
    )
    if contrast.reason and not contrast.shown:
        return f"{whether}: {contrast.reason}"
    if contrast.n_crystals < FEWEST_CRYSTALS:
        return (
            f"{whether}, because the pairs are of {contrast.n_crystals} crystals; it "
            f"takes {FEWEST_CRYSTALS}."
        )
    numbers = _numbers(contrast)
    if contrast.shown:
        text = (
            "Images of the same orientation agree better with each other than with other "
            f"images, so that part of the spread depends on the orientation: {numbers}."
        )
        if contrast.ratio_high >= 1:
            text += (
                " The interval over crystals includes 1: more crystals would say by how "
                "much."
            )
        return text
    return f"{whether}: {numbers}. {_it_would_take(contrast)}"


def _numbers(contrast: OrientationContrast) -> str:
    """What a claim, or none, rests on."""
    tested = (
        f"p = {digits(contrast.p_value, 2)}; {counted(contrast.n_spots, 'common spot')}"
    )
    if contrast.reason:
        return f"{tested}; by how much cannot be told, because {contrast.reason[:-1]}"
    ratio = with_interval(contrast.ratio, contrast.ratio_low, contrast.ratio_high)
    return (
        f"s within pairs is {ratio} times that to other images (root mean squares, "
        f"{digits(contrast.s_within)} and {digits(contrast.s_others)}; {tested})"
    )


def _it_would_take(contrast: OrientationContrast) -> str:
    """Say what such data can show."""
    text = (
        f"In four of five data sets like this one a ratio of {digits(contrast.ratio_seen, 2)} "
        "would show"
    )
    if contrast.ratio_seen < LEAST_RATIO:
        return "Data like these would show none but the largest difference."
    worth = contrast.ratio_seen < contrast.ratio < 1
    if worth and contrast.pairs_needed < MOST_PAIRS * contrast.n_pairs:
        n = int(np.ceil(contrast.pairs_needed))
        text += f"; for the one found it would need about {counted(n, 'pair')}"
    return f"{text}."


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
