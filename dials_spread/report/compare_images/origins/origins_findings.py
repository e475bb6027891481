"""
Beam, special orientations and noisy spots in sentences.

Functions:
    origin_findings: paragraphs for a person who reads nothing else
    helps: whether leaving observations out helps
"""

from __future__ import annotations

import numpy as np

from dials_spread.report.compare_images.origins.plots_beam import LABELS
from dials_spread.report.page.intervals import share_with_interval
from dials_spread.report.page.labels import counted, digits
from dials_spread.spread.beam.beam_shares import Explained
from dials_spread.spread.beam.beam_sources import BeamSources
from dials_spread.spread.noisy_spots.noisy import NoisySpots
from dials_spread.spread.noisy_spots.removal import Removal
from dials_spread.spread.orientations.special import Orientations
from dials_spread.spread.origins import SCALE_FIRST, OriginAnalysis

CHANCE = 0.05

LEAST = 0.02
"""Of the variance of factors that something explains, or that is not noise."""

WORTH_A_STEP = 1e-3
"""Rise of CC½ for which spots are left out."""

MOST_LEFT_OUT = 0.05
"""Part of the observations; leaving out more costs completeness and multiplicity."""

NAMES = {
    "low_index_zone": "the nearest simple zone axis",
    "zone": "the nearest zone axis",
}


def origin_findings(origins: OriginAnalysis) -> list[str]:
    """
    Say what was found.

    Args:
        origins: The results.

    Returns:
        A paragraph for each part that has a result.
    """
    told = []
    if origins.beam is not None:
        told += _about_beam(origins.beam)
    if origins.orientations is not None:
        told += _about_orientations(origins.orientations)
    if origins.noisy_spots is not None:
        told += _about_noisy(origins.noisy_spots)
    elif origins.reasons.get("noisy_spots") == SCALE_FIRST:
        told.append(
            f"Does leaving out noisy spots help? This cannot be told: {SCALE_FIRST}"
        )
    return told


def _explains(share: Explained, ceiling: float, tried: int) -> bool:
    """
    Whether the best of some quantities is said to explain factors of images.

    It does so for more than a fiftieth, in an interval without zero (where there is none,
    if both change alike along the scans), and where not all is noise.
    """
    by_chance = share.low <= 0 or tried * share.p_value > CHANCE
    return share.r_squared > LEAST and not by_chance and not ceiling <= LEAST


def _about_beam(found: BeamSources) -> list[str]:
    measured = {
        n: e
        for n, e in found.explained.items()
        if n in ("annulus", "disc", "background") and np.isfinite(e.r_squared)
    }
    if not measured or not np.isfinite(found.spread_of_k):
        return []
    raw = {n: e for n, e in measured.items() if n != "background"} or measured
    name = max(raw, key=lambda n: raw[n].r_squared)
    share = raw[name]
    text = (
        "Does the beam explain the differences between images? Before scaling, the scale "
        "factors of the images of a crystal have a standard deviation of "
        f"{100 * found.spread_of_k:.0f} %. The {LABELS[name]} "
    )
    explains = _explains(share, found.ceiling, len(raw))
    if not explains and share.r_squared > LEAST and share.p_value > CHANCE / len(raw):
        text += (
            "is not shown to explain their variance: what it changes by along the scan "
            "would fit as well in another order "
            f"(p = {digits(min(share.p_value * len(raw), 1.0), 2)})"
        )
    elif not explains:
        text += "does not explain their variance"
    else:
        told = share_with_interval(share.r_squared, share.low, share.high)
        text += f"explains {told} of their variance"
    text += f" ({counted(share.n_images, 'image')} of {counted(share.n_crystals, 'crystal')})"
    if np.isfinite(found.ceiling):
        text += (
            f". The noise ceiling, above which nothing can explain them, is "
            f"{share_with_interval(found.ceiling)}"
        )
    return [text + "."]


def _about_orientations(found: Orientations) -> list[str]:
    tested = [a for a in found.associations if np.isfinite(a.q_value)]
    if not tested:
        return []
    best = min(tested, key=lambda a: (a.q_value, a.p_value))
    name = NAMES.get(best.angle, f"the axis {best.angle}")
    rests = (
        f"{counted(best.n_images, 'image')} of {counted(best.n_crystals, 'crystal')}"
    )
    if best.q_value >= CHANCE:
        return [
            "Do special orientations matter? It is not shown that residuals are larger "
            "near zone axes or crystal axes (smallest p, corrected for "
            f"{counted(len(tested), 'angle')}: {digits(best.q_value, 2)}; {rests})."
        ]
    direction = "near" if best.correlation < 0 else "away from"
    return [
        f"Do special orientations matter? Residuals are larger {direction} {name} "
        "than those of the same reflections elsewhere (Spearman's correlation "
        f"{digits(best.correlation, 2)}, p = {digits(best.q_value, 2)} after correction for "
        f"{counted(len(tested), 'angle')}; {rests})."
    ]


def _about_noisy(found: NoisySpots) -> list[str]:
    n = len(found.spreads)
    if not found.n_clusters:
        return []
    if found.n_clusters == 1:
        kinds = (
            f"Among {counted(n, 'reflection')} there is no separate class of noisy "
            "reflections"
        )
    else:
        share = found.mixtures[found.n_clusters - 1]
        others = np.average(share.centre[:-1], weights=share.weight[:-1])
        kinds = (
            f"{100 * share.weight[-1]:.0f} % of {counted(n, 'reflection')} form a class "
            "of noisy reflections, whose s is typically "
            f"{share_with_interval(float(np.exp(share.centre[-1])))} each (that of the "
            f"others {share_with_interval(float(np.exp(others)))})"
        )
    effects = [
        _effect(removal, what)
        for removal, what in (
            (found.remove_cluster, "Leaving that class out"),
            (found.remove_cut, "Leaving single outliers out"),
        )
        if not removal.reason
    ]
    if not effects:
        effects = [f"No observation is beyond {found.cut:g} standard deviations."]
    text = f"Does leaving out noisy spots help? {kinds}. {' '.join(effects)}"
    if found.without_factors:
        text += (
            " These intensities are not scaled; a factor of each image was taken out "
            "before."
        )
    return [text]


def helps(removal: Removal) -> bool:
    """
    Say whether leaving observations out helps more than expected by chance.

    CC½ has the say: s and R_meas fall whenever what disagrees goes. A rise that does not
    show in four digits is none.

    Args:
        removal: What was left out, and what became of the statistics.
    """
    if removal.reason:
        return False
    before, after = removal.before["cc_half"], removal.after["cc_half"]
    significant = removal.p_value["cc_half"] <= CHANCE
    return bool(
        significant
        and removal.difference["cc_half"] > 0
        and round(after, 4) > round(before, 4)
    )


def rises_enough(removal: Removal) -> bool:
    """Whether CC½ rises by as much as is worth a step."""
    return removal.after["cc_half"] - removal.before["cc_half"] >= WORTH_A_STEP


def leaves_out_few(removal: Removal) -> bool:
    """Whether completeness and multiplicity stay."""
    return removal.n_removed <= MOST_LEFT_OUT * max(removal.n_used, 1)


def _verdict(removal: Removal) -> str:
    """Say whether it helps, or what speaks against it."""
    if helps(removal):
        if not rises_enough(removal):
            return "raises CC½ a little, hardly worth a step"
        if not leaves_out_few(removal):
            part = 100 * removal.n_removed / max(removal.n_used, 1)
            return (
                f"raises CC½, but costs {part:.0f} % of the observations, and with them "
                "completeness or multiplicity"
            )
        return "helps"
    p = removal.p_value["cc_half"]
    if not p <= CHANCE:
        return "does not raise CC½ more than expected by chance"
    if removal.difference["cc_half"] > 0:
        return (
            f"raises CC½ above that of random choices (p = {digits(p, 2)}), but does not "
            "raise that of the data"
        )
    return "does not raise CC½"


def _effect(removal: Removal, what: str) -> str:
    after, control = removal.after, removal.control
    verdict = _verdict(removal)
    return (
        f"{what} ({counted(removal.n_removed, 'observation')}) {verdict}: CC½ changes "
        f"from {digits(removal.before['cc_half'], 4)} to {digits(after['cc_half'], 4)} "
        f"({digits(control['cc_half'][0], 4)} when as many are left out at random), R_meas "
        f"from {digits(removal.before['r_meas'])} to {digits(after['r_meas'])} "
        f"({digits(control['r_meas'][0])} at random)."
    )
