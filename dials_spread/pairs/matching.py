"""
The pairs among the best partners of every image, ranked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread import orientation
from dials_spread.incidence import Incidence
from dials_spread.observations import Observations
from dials_spread.observations.canonical_order import image_rank
from dials_spread.partners import Partners
from dials_spread.stages import stage


@dataclass(frozen=True)
class Matches:
    """
    Pairs of images, best first; arrays of length n.

    Attributes:
        image_a: Number of the one image, into Images; that of lower
            observations.canonical_order.image_rank.
        image_b: Number of the other.
        operator: Number of the operator that takes b's indices to a's.
        n_common: Indices in common under that operator.
        overlap: n_common divided by the number of indices on the poorer image.
        jaccard: n_common divided by the number of different indices on both.
        beam_angle: [°] between the beam directions in the crystal.
        misorientation: [°], the full rotation between the lattices.
        in_plane_angle: [°] by which b is turned about the beam to lie over a.
        mirrored: Whether b is mirrored (right to left) before it is turned.
    """

    image_a: np.ndarray
    image_b: np.ndarray
    operator: np.ndarray
    n_common: np.ndarray
    overlap: np.ndarray
    jaccard: np.ndarray
    beam_angle: np.ndarray
    misorientation: np.ndarray
    in_plane_angle: np.ndarray
    mirrored: np.ndarray

    def __len__(self) -> int:
        return len(self.image_a)


def check_counts(counts: np.ndarray, min_common: int) -> None:
    """
    Refuse images of which no two can have enough indices in common.

    Args:
        counts: Shape (images,), indices on each.
        min_common: How many are enough.

    Raises:
        ValueError: There are not two images with so many.
    """
    if (counts >= min_common).sum() < 2:
        raise ValueError(
            f"Fewer than two images have {min_common} reflections; the richest of "
            f"{len(counts)} has {counts.max(initial=0)}. Widen image_width or lower "
            "matching.min_common"
        )


def unordered_pairs(
    partners: Partners, inverse: np.ndarray, rank: np.ndarray
) -> tuple[np.ndarray, ...]:
    """
    List each pair once, with the operator that takes b's indices to a's.

    Image a is that of lower rank, as it would be had the files been given in another
    order.

    Args:
        partners: Of all images.
        inverse: Shape (operators,), the number of the inverse of each.
        rank: Shape (images,).

    Returns:
        Image a, image b, operator and number of common indices of each pair.
    """
    n, top = partners.image.shape
    image = np.repeat(np.arange(n), top).reshape(n, top)
    found = partners.image >= 0
    a, b = image[found], partners.image[found].astype(int)
    operator = partners.operator[found].astype(int)
    n_common = partners.n_common[found].astype(int)
    swap = rank[a] > rank[b]
    operator = np.where(swap, inverse[operator], operator)
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    # Found from both sides, a pair may have two operators that are equally good.
    order = np.lexsort((operator, b, a))
    key = (a * n + b)[order]
    first = order[np.flatnonzero(np.diff(key, prepend=-1))]
    return a[first], b[first], operator[first], n_common[first]


@stage("Ranking pairs")
def match_images(
    observations: Observations, incidence: Incidence, partners: Partners
) -> Matches:
    """
    Rank the pairs of images that are among the best partners of one another.

    Args:
        observations: The observations.
        incidence: Their incidence matrix.
        partners: The best partners of every image.

    Returns:
        Each pair once; by common indices, then overlap, then beam angle.
    """
    operators = incidence.operators
    rank = image_rank(observations)
    a, b, operator, n_common = unordered_pairs(partners, operators.inverse, rank)
    images = observations.images
    on_directions = operators.on_directions[operator]
    turned = np.einsum("nij,nj->ni", on_directions, images.beam[b])
    basis = orientation.reciprocal_basis(observations.unit_cell)
    to_laboratory = orientation.crystal_to_laboratory(images.setting, basis)
    rotation = orientation.relative_rotation(
        to_laboratory[a], to_laboratory[b], on_directions
    )
    axes = orientation.axes_across(images.s0)
    angle, mirrored = orientation.in_plane_angle(rotation, axes[a], axes[b])
    counts = incidence.counts
    matches = Matches(
        image_a=a,
        image_b=b,
        operator=operator,
        n_common=n_common,
        overlap=n_common / np.minimum(counts[a], counts[b]),
        jaccard=n_common / (counts[a] + counts[b] - n_common),
        beam_angle=orientation.angle_between(images.beam[a], turned),
        misorientation=orientation.misorientation(rotation),
        in_plane_angle=angle,
        mirrored=mirrored,
    )
    rounded = np.round(matches.beam_angle, 6)
    order = np.lexsort((rank[b], rank[a], rounded, -matches.overlap, -n_common))
    return Matches(**{name: value[order] for name, value in vars(matches).items()})
