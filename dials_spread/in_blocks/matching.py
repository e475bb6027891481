"""
Which pairs of images, of whichever blocks, have most indices in common.

Of all observations the process that asks holds the number of the index alone, 4 bytes; each
worker gets these, and finds the exact best partners of some images (partners.finder).

Functions:
    match_blocks: all pairs
    bytes_of_matching: what that takes on a worker
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dials_spread import cluster
from dials_spread.in_blocks.entries import columns_of
from dials_spread.in_blocks.frame import CommonFrame
from dials_spread.observations.canonical_order import ranks
from dials_spread.orientation import angle_between, reciprocal_basis
from dials_spread.pairs.matching import check_counts, unordered_pairs
from dials_spread.partners import ImageDirections, find_partners
from dials_spread.partners.finder import forget
from dials_spread.stages import stage

TOGETHER = 500_000
"""Pairs whose angles are computed at once."""

OF_ENTRY, OF_DIRECTION = 20, 32
"""Bytes that matching takes for an entry (column, inverted list, excitation error, the column
again as it was sent, and partners), and for an image under an operator (the grid): 0.59 GB of
25 million entries on 360,000 images under eight operators, as measured."""


@dataclass(frozen=True)
class MatchedPairs:
    """
    Pairs of images; arrays of length n, by image a, then b.

    Attributes:
        image_a, image_b: Numbers of the images, a of the crystal of lower rank.
        operator: Takes b's indices to a's.
        n_common: Indices in common.
        beam_angle: [°] between the beam directions in the crystal.
        counts: Shape (images,), indices on each image.
    """

    image_a: np.ndarray
    image_b: np.ndarray
    operator: np.ndarray
    n_common: np.ndarray
    beam_angle: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.image_a)


def bytes_of_matching(frame: CommonFrame, n_entries: int) -> int:
    """
    Estimate the memory that matching takes on a worker.

    Args:
        frame: For the images.
        n_entries: Entries of all images.
    """
    directions = len(frame.images) * len(frame.operators)
    return OF_ENTRY * n_entries + OF_DIRECTION * directions


@stage("Matching images")
def match_blocks(
    frame: CommonFrame,
    blocks: Sequence[Any],
    top: int,
    min_common: int,
    exclude_same_crystal: bool,
) -> MatchedPairs:
    """
    Find the best partners of every image.

    Args:
        frame: What blocks have in common.
        blocks: Handles.
        top: Partners of each image.
        min_common: Fewest indices in common.
        exclude_same_crystal: Match images of different crystals only.

    Raises:
        ValueError: A worker may use less memory than matching takes, or no two images have
            enough indices.
    """
    parts = [*cluster.told(columns_of, None, [(block,) for block in blocks])]
    counts = np.concatenate([count for count, _ in parts])
    column = np.concatenate([own for _, own in parts])
    del parts
    check_counts(counts, min_common)
    cluster.refuse_too_little_memory(
        bytes_of_matching(frame, len(column)), "matching these images takes"
    )
    exclude = exclude_same_crystal and frame.present.sum() > 1
    partners = find_partners(
        np.append(0, np.cumsum(counts)),
        column,
        frame.permutation,
        _directions(frame),
        top=top,
        min_common=min_common,
        group=frame.images.crystal if exclude else None,
    )
    cluster.on_each_worker(forget)
    rank = ranks(frame.rank[frame.images.crystal])
    a, b, operator, n_common = unordered_pairs(partners, frame.operators.inverse, rank)
    return MatchedPairs(
        image_a=a.astype(np.int32),
        image_b=b.astype(np.int32),
        operator=operator.astype(np.int16),
        n_common=n_common.astype(np.int32),
        beam_angle=_angles(frame, a, b, operator),
        counts=counts,
    )


def _directions(frame: CommonFrame) -> ImageDirections:
    images = frame.images
    return ImageDirections(
        beam=images.beam,
        reciprocal=frame.closed @ reciprocal_basis(frame.unit_cell).T,
        on_directions=frame.operators.on_directions,
        wavelength=1 / np.median(np.linalg.norm(images.s0, axis=1)),
    )


def _angles(frame: CommonFrame, a, b, operator) -> np.ndarray:
    beam, on_directions = frame.images.beam, frame.operators.on_directions
    found = np.empty(len(a))
    for first in range(0, len(a), TOGETHER):
        own = slice(first, first + TOGETHER)
        turned = np.einsum("nij,nj->ni", on_directions[operator[own]], beam[b[own]])
        found[own] = angle_between(beam[a[own]], turned)
    return found
