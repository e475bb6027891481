"""
One crystal's reflections: what counts, and on which images it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations.images import (
    frame_ranges,
    frames_per_image,
    spread_entries,
)
from dials_spread.observations.intensities import (
    REASONS,
    find_dropped,
    intensity_and_variance,
)
from dials_spread.versions import is_still


@dataclass(frozen=True)
class Choices:
    """
    What a user may choose about observations and images.

    Attributes:
        intensity: "auto", "scale", "profile" or "sum".
        image_width: Width [°] to which consecutive frames are joined; 0 keeps frames.
        assign: "centroid" counts an observation for the image of its calculated
            centroid, "extent" for every image that its bounding box touches.
        friedel: Take Friedel mates as equivalent.
        partiality_cutoff: Lowest partiality kept.
        keep_outliers: Keep what dials.scale rejected as outliers.
        min_zeta: Least |zeta| kept of a crystal that rotates.
    """

    intensity: str = "auto"
    image_width: float = 1.0
    assign: str = "centroid"
    friedel: bool = True
    partiality_cutoff: float = 0.4
    keep_outliers: bool = False
    min_zeta: float = 0.05


@dataclass(frozen=True)
class OneCrystal:
    """
    What counts of one crystal's reflections.

    Attributes:
        row: Shape (n,), rows of the table.
        miller_index: Shape (n, 3).
        intensity: Shape (n,).
        variance: Shape (n,).
        entry: Shape (m,), the observation of each entry.
        entry_bin: Shape (m,), the image of each entry, counted from 0 in its scan.
        reasons: Reflections left out, by intensities.REASONS.
        outside: Centroids beyond the ends of the scan.
    """

    row: np.ndarray
    miller_index: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    entry: np.ndarray
    entry_bin: np.ndarray
    reasons: np.ndarray
    outside: int


def read_crystal(
    experiment: Experiment,
    table: flex.reflection_table,
    choice: str,
    chosen: Choices,
) -> OneCrystal:
    """
    Take what counts out of one crystal's reflections.

    Args:
        experiment: The crystal.
        table: Its reflections.
        choice: The intensity in use.
        chosen: What the user chose.

    Returns:
        What is kept, and what was left out.
    """
    intensity, variance = intensity_and_variance(table, choice)
    space_group = experiment.crystal.get_space_group()
    reason = find_dropped(
        table,
        choice,
        intensity,
        variance,
        space_group,
        chosen.partiality_cutoff,
        chosen.keep_outliers,
        0.0 if is_still(experiment) else chosen.min_zeta,
    )
    kept = np.flatnonzero(reason < 0)
    table = table.select(cctbx_flex.size_t(kept.astype(np.uint64)))
    first, last, outside = frame_ranges(experiment, table, chosen.assign)
    joined = frames_per_image(experiment, chosen.image_width)
    begin = 0 if is_still(experiment) else experiment.scan.get_array_range()[0]
    entry, entry_bin = spread_entries(
        (first - begin) // joined, (last - begin) // joined
    )
    hkl = table["miller_index"].as_vec3_double().as_numpy_array()
    return OneCrystal(
        row=kept,
        miller_index=hkl.reshape(-1, 3).astype(np.int32),
        intensity=intensity[kept],
        variance=variance[kept],
        entry=entry,
        entry_bin=entry_bin,
        reasons=np.bincount(reason[reason >= 0], minlength=len(REASONS)),
        outside=outside,
    )
