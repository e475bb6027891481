"""
What is said of beam damage.

Functions:
    damage_sentences: in the log, and under the data
    damage_in_short: on the first screen of the page
"""

from __future__ import annotations

from dials_spread.prepare.scaling import Decay
from dials_spread.report.page.labels import counted


def damage_sentences(decay: Decay | None, strength: float) -> list[str]:
    """
    Say how far crystals were damaged, where it was taken out.

    Args:
        decay: What was found; None where it was not looked for.
        strength: Of the correction.
    """
    if decay is None or not decay.is_taken_out:
        return []
    rate, n = decay.rate[decay.rate > 0], len(decay.rate)
    scans = f"{len(rate)} of {n} scans" if len(rate) < n else counted(n, "scan")
    each = f" ({rate.min():.1f} to {rate.max():.1f} by scan)" if len(rate) > 1 else ""
    told = (
        f"Beam damage: along {scans} intensities fall off with resolution as with a B that "
        f"grows steadily, by {decay.mean:.1f} ± {decay.uncertainty:.1f} Å² from the first "
        f"image to the last{each}."
    )
    if strength > 0:
        return [
            f"{told} Corrected intensities are taken back to the first image, so that "
            "displacement parameters (B) refined against them are smaller by about half of "
            "that; merging statistics before and after are both without it. Damage from "
            "before the first image stays, and what does not grow steadily."
        ]
    return [
        f"{told} The tables keep it, and dials.scale takes it out; merging statistics, and "
        "output.merged where it is asked for, are without it."
    ]


def damage_in_short(decay: Decay | None) -> str:
    """
    Say in one sentence what was taken out; nothing where nothing was.

    Args:
        decay: What was found; None where it was not looked for.
    """
    if decay is None or not decay.is_taken_out:
        return ""
    return (
        f"Beam damage was taken out: B had grown by {decay.mean:.1f} ± "
        f"{decay.uncertainty:.1f} Å² along the scans."
    )
