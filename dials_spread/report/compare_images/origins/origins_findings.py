"""
Beam, special orientations and noisy spots in plain words.

Functions:
    origin_findings: paragraphs for a person who reads nothing else
"""

from __future__ import annotations

import numpy as np

from dials_spread.report.compare_images.origins.plots_beam import LABELS
from dials_spread.report.page.labels import digits
from dials_spread.spread.beam.beam_sources import BeamSources
from dials_spread.spread.noisy_spots.noisy import NoisySpots
from dials_spread.spread.orientations.special import Orientations
from dials_spread.spread.origins import OriginAnalysis

CHANCE = 0.05

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
    return told


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
        "Does the beam explain it? Before scaling the images of a crystal differ in brightness by "
        f"{100 * found.spread_of_k:.0f} %. The {LABELS[name]} explains "
    )
    if share.r_squared <= 0.02:
        text += "nothing of it"
    else:
        text += f"{100 * share.r_squared:.0f} % of the variance"
        if np.isfinite(share.low):
            text += f" (95 %: {100 * share.low:.0f} to {100 * share.high:.0f} %)"
    text += f", from {share.n_images:,} images of {_crystals(share.n_crystals)}"
    if np.isfinite(found.ceiling):
        text += (
            f"; a perfect measure would explain {100 * found.ceiling:.0f} %, "
            "the rest being noise"
        )
    return [text + "."]


def _crystals(n: int) -> str:
    return f"{n} crystal{'' if n == 1 else 's'}"


def _about_orientations(found: Orientations) -> list[str]:
    tested = [a for a in found.associations if np.isfinite(a.q_value)]
    if not tested:
        return []
    best = min(tested, key=lambda a: (a.q_value, a.p_value))
    name = NAMES.get(best.angle, f"the axis {best.angle}")
    rests = f"{best.n_images:,} images of {_crystals(best.n_crystals)}"
    if best.q_value >= CHANCE:
        return [
            "Do special orientations matter? Residuals are not shown to be larger near "
            f"zone axes or crystal axes (the smallest p, corrected for {len(tested)} angles, is "
            f"{digits(best.q_value, 2)}, from {rests})."
        ]
    direction = "near" if best.correlation < 0 else "away from"
    return [
        f"Do special orientations matter? Residuals are larger {direction} {name} (rank "
        f"correlation {digits(best.correlation, 2)}, p = {digits(best.q_value, 2)} after correction "
        f"for {len(tested)} angles, from {rests})."
    ]


def _about_noisy(found: NoisySpots) -> list[str]:
    n = len(found.spreads)
    if not found.n_clusters:
        return []
    if found.n_clusters == 1:
        kinds = f"The {n:,} reflections are of one kind as to their spread"
    else:
        share = found.mixtures[found.n_clusters - 1]
        kinds = (
            f"Of {n:,} reflections {100 * share.weight[-1]:.0f} % form a group of their "
            f"own, with a spread of {100 * np.exp(share.centre[-1]):.0f} %"
        )
    effects = [
        _effect(removal, what)
        for removal, what in (
            (found.remove_cluster, "Leaving that group out"),
            (found.remove_cut, "Leaving single wild observations out"),
        )
        if not removal.reason
    ]
    nothing = "" if effects else " No observation is so far off that it should go."
    return [
        f"Does leaving out noisy spots help? {kinds}. {' '.join(effects)}".strip()
        + nothing
    ]


def _effect(removal, what: str) -> str:
    """CC½ has the say: s and R_meas fall whenever what disagrees goes."""
    p, difference = removal.p_value["cc_half"], removal.difference["cc_half"]
    after, control = removal.after, removal.control
    helps = p <= CHANCE and difference > 0
    verdict = "helps" if helps else "does not help more than chance"
    return (
        f"{what} ({removal.n_removed:,} observations) {verdict}: CC½ "
        f"{digits(removal.before['cc_half'], 4)} becomes {digits(after['cc_half'], 4)}, "
        f"and {digits(control['cc_half'][0], 4)} when as many go at random; R_meas "
        f"{digits(removal.before['r_meas'])} becomes {digits(after['r_meas'])} "
        f"({digits(control['r_meas'][0])} at random)."
    )
