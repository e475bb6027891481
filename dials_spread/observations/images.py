"""
Frames, joined frames and stills: which observation is on which image.

Image number N of a scan covers the array indices N - 1 ≤ z < N. Fine-sliced scans are
binned: consecutive frames are joined until a bin spans ``image_width`` degrees.

Functions:
    frames_per_image: how many frames are joined
    frame_ranges: the frames that each reflection counts for
    spread_entries: one entry for each reflection and image
    describe_images: orientation and beam direction of each image
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread import orientation
from dials_spread.observations.intensities import centroid_array_index
from dials_spread.versions import is_still

# A bin of frames may fall short of the width asked for by this part of a frame.
WIDTH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Images:
    """
    What is known of each image; arrays of length n, in order of crystal and frame.

    Attributes:
        crystal: Number of the experiment.
        first: Number of the first frame, counted as in the scan; 1 for a still.
        last: Number of the last frame that belongs to the image.
        z: Array index of the centre.
        setting: Shape (n, 3, 3) [Å⁻¹], the setting matrix at the centre.
        s0: Shape (n, 3) [Å⁻¹].
        beam: Shape (n, 3), unit vectors along the beam in the reference crystal.
    """

    crystal: np.ndarray
    first: np.ndarray
    last: np.ndarray
    z: np.ndarray
    setting: np.ndarray
    s0: np.ndarray
    beam: np.ndarray

    def __len__(self) -> int:
        return len(self.crystal)


def frames_per_image(experiment: Experiment, image_width: float) -> int:
    """
    Count the frames that make one image.

    Args:
        experiment: A scan or a still.
        image_width: [°]; 0 keeps frames as they are.

    Returns:
        The smallest number of frames that spans image_width, at least 1.
    """
    if image_width <= 0 or is_still(experiment):
        return 1
    width = abs(experiment.scan.get_oscillation()[1])
    return max(1, int(np.ceil(image_width / width - WIDTH_TOLERANCE)))


def frame_ranges(
    experiment: Experiment, table: flex.reflection_table, assign: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """
    Give the frames that each reflection counts for.

    Args:
        experiment: A scan or a still.
        table: n reflections of this experiment.
        assign: "centroid": the frame of the calculated centroid; "extent": all that
            the bounding box touches.

    Returns:
        First and last frame as array indices, shape (n,), inside the scan; and how many
        centroids lie beyond its ends.

    Raises:
        ValueError: The extent is wanted of a table without bounding boxes.
    """
    n = len(table)
    if is_still(experiment):
        return np.zeros(n, dtype=int), np.zeros(n, dtype=int), 0
    begin, end = experiment.scan.get_array_range()
    z = centroid_array_index(experiment, table)
    outside = int(((z < begin) | (z >= end)).sum())
    first = last = np.floor(z).astype(int)
    if assign == "extent":
        if "bbox" not in table:
            raise ValueError("assign=extent: a reflection table has no bbox")
        box = np.array(table["bbox"]).reshape(n, 6)
        first = np.minimum(first, box[:, 4])
        last = np.maximum(last, box[:, 5] - 1)
    return np.clip(first, begin, end - 1), np.clip(last, begin, end - 1), outside


def spread_entries(
    first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give an entry for each row and each bin from its first to its last.

    Args:
        first: Shape (n,), int.
        last: Shape (n,), int, not below first.

    Returns:
        Row and bin of each entry, shape (m,) with m ≥ n, by row.
    """
    counts = last - first + 1
    rows = np.repeat(np.arange(len(first)), counts)
    offset = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, first[rows] + offset


def describe_images(
    experiments: Sequence[Experiment],
    crystal: np.ndarray,
    bins: np.ndarray,
    image_width: float,
    basis: np.ndarray,
) -> Images:
    """
    Describe images by their orientation.

    Args:
        experiments: One a crystal.
        crystal: Shape (n,), the number of each image's experiment.
        bins: Shape (n,), the number of each image within its scan, from 0.
        image_width: Width [°] to which frames are joined.
        basis: Shape (3, 3) [Å⁻¹], B of the reference cell.

    Returns:
        The n images.
    """
    n = len(crystal)
    first, last = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    z, setting, s0 = np.empty(n), np.empty((n, 3, 3)), np.empty((n, 3))
    order = np.argsort(crystal, kind="stable")
    numbers, starts = np.unique(crystal[order], return_index=True)
    for number, own in zip(numbers, np.split(order, starts[1:])):
        experiment = experiments[int(number)]
        begin, end = 0, 1
        if not is_still(experiment):
            begin, end = experiment.scan.get_array_range()
        joined = frames_per_image(experiment, image_width)
        low = begin + bins[own] * joined
        high = np.minimum(low + joined, end)
        first[own], last[own], z[own] = low + 1, high, (low + high) / 2
        setting[own] = orientation.setting_matrices(experiment, z[own])
        s0[own] = orientation.incident_beams(experiment, z[own])
    return Images(
        crystal=crystal,
        first=first,
        last=last,
        z=z,
        setting=setting,
        s0=s0,
        beam=orientation.beam_direction(setting, s0, basis),
    )
