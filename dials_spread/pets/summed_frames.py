"""
Parts of intensities on many frames, summed to one intensity of each crossing.

Where frames are narrower than the rocking curves of reflections, none of them has all of
an intensity, and which part it has depends on how fast the reflection crosses the Ewald
sphere. The sum over all frames of a crossing has the Lorentz factor of the rotation, as that
of a continuous scan has; so has the sum over frames with precession, since the integral of
its factor over the excitation error is the same for all reflections.

Functions:
    are_narrow: whether frames are narrower than the rocking curves
    sum_over_frames: the sums
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dials_spread.pets.cif_file import Frames, Listed
from dials_spread.pets.frame_orientations import TiltRun
from dials_spread.pets.rocking_curves import STRONG, Verdict

logger = logging.getLogger("dials.spread.pets")

OUTSIDE = 0.18
"""Frames are narrow where more than this part of the intensity is on frames in whose range
the crossing does not lie: in simulated lists 0.01 to 0.02 on virtual frames of 2°, and 0.23
to 0.34 on frames of 0.2°."""


def are_narrow(
    verdict: Verdict, crossing: np.ndarray, relative: np.ndarray, listed: Listed
) -> bool:
    """
    Say whether frames are narrower than the rocking curves of the reflections.

    Args:
        verdict: On the rocking curves.
        crossing: Shape (n,), number of the crossing of each line.
        relative: Shape (n,), excitation error over |g| sin of the semi-angle, the widest
            that the range of a frame can be.
        listed: n lines.
    """
    if not verdict.partial or verdict.kind == "precession":
        return False
    _, own = np.unique(crossing, return_inverse=True)
    own = np.ravel(own)
    total = np.bincount(own, listed.intensity)
    strong = total > STRONG * np.sqrt(np.bincount(own, listed.sigma**2))
    used = strong[own]
    outside = listed.intensity[used & (np.abs(relative) > 1)].sum()
    return bool(used.any() and outside > OUTSIDE * total[strong].sum())


def sum_over_frames(
    listed: Listed,
    crossing: np.ndarray,
    error: np.ndarray,
    frames: Frames,
    runs: Sequence[TiltRun],
    name: str,
) -> tuple[Listed, np.ndarray]:
    """
    Sum the parts of each crossing.

    Args:
        listed: n lines.
        crossing: Shape (n,), number of the crossing of each line.
        error: Shape (n,), excitation errors [Å⁻¹].
        frames: Of the file.
        runs: Of the tilt; parts count by how far their frames are apart.
        name: Of the file, for messages.

    Returns:
        The lines, where the one nearest to the Ewald sphere has the sum and its σ; and which
        lines these are, shape (n,): crossings that are cut off by an end of a run, or do
        not reach the sphere, are left out.

    Raises:
        ValueError: No crossing is whole.
    """
    weight = np.ones(len(frames.alpha))
    at_end = np.zeros(len(frames.alpha), dtype=bool)
    for run in runs:
        if len(run.frames) > 1:
            apart = np.abs(np.gradient(frames.alpha[run.frames]))
            weight[run.frames] = apart / np.median(apart)
        at_end[run.frames[[0, -1]]] = True
    number, own = np.unique(crossing, return_inverse=True)
    own, n = np.ravel(own), len(number)
    part = weight[listed.frame]
    total = np.bincount(own, part * listed.intensity, n)
    variance = np.bincount(own, (part * listed.sigma) ** 2, n)
    cut = np.bincount(own, at_end[listed.frame], n) > 0
    whole = (np.bincount(own, error > 0, n) > 0) & (np.bincount(own, error < 0, n) > 0)
    whole &= ~cut
    if not whole.any():
        raise ValueError(
            f"{name}: none of {n} crossings of the Ewald sphere is listed on both sides "
            "of it, so that nothing can be summed over frames; give sum_frames=False"
        )
    order = np.lexsort((np.abs(error), own))
    nearest = np.zeros(len(own), dtype=bool)
    nearest[order[np.unique(own[order], return_index=True)[1]]] = True
    logger.info(
        "  Intensities are summed over the frames of each crossing of the Ewald sphere: "
        "%d sums of %d parts; left out: %d crossings that are not whole",
        *(int(whole.sum()), int(whole[own].sum()), int((~whole).sum())),
    )
    sums = replace(listed, intensity=total[own], sigma=np.sqrt(variance)[own])
    return sums, nearest & whole[own]
