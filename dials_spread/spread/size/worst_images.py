"""
Images whose observations spread more than those of all images together.

Functions:
    worst_images: which they are
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from dials_spread.observations import Observations
from dials_spread.spread.size.size import SpreadSize
from dials_spread.statistics.false_discovery import benjamini_hochberg

RATE = 0.05
"""False discovery rate."""


@dataclass(frozen=True)
class WorstImages:
    """
    Images whose s is above that of all data; arrays of length n, the largest s first.

    Attributes:
        image: Their numbers.
        s: Relative error not covered by σ, of each.
        q_value: False discovery rate at which each would just be in the list.
        n: Observations of each.
        n_tested: How many images have an s.
    """

    image: np.ndarray
    s: np.ndarray
    q_value: np.ndarray
    n: np.ndarray
    n_tested: int


def worst_images(observations: Observations, size: SpreadSize) -> WorstImages:
    """
    Find the images whose s is significantly above that of all data.

    s of an image, or log s where that says less, is taken as normal about that of all data,
    with the standard error that its 95 % likelihood interval has on its lower side (near
    zero the likelihood falls more slowly than that of a normal log s); that is enlarged where
    neighbouring images list the same crossings again, because then there are fewer
    independent observations than the likelihood counts. The p-values are one-sided and
    corrected for the number of images (Benjamini and Hochberg).

    Args:
        observations: With the images.
        size: The spread; s of each image and of all.

    Returns:
        The images; none where s of all data is zero.
    """
    images = size.by_image
    repeats = max(len(observations) / max(observations.n_passages, 1), 1.0)
    known = np.isfinite(images.s)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_logarithm = np.log(images.s / size.s) / np.log(images.s / images.s_low)
        plain = (images.s - size.s) / (images.s - images.s_low)
    errors = np.where(images.s > size.s, np.fmin(by_logarithm, plain), by_logarithm)
    z = errors * stats.norm.ppf(0.975) / np.sqrt(repeats)
    # An interval that reaches down to zero says nothing of this kind: p near a half.
    p = np.where(known & (size.s > 0), stats.norm.sf(np.nan_to_num(z, nan=0.0)), np.nan)
    q = benjamini_hochberg(p)
    chosen = np.flatnonzero(q <= RATE)
    chosen = chosen[np.argsort(-images.s[chosen], kind="stable")]
    return WorstImages(
        image=images.number[chosen],
        s=images.s[chosen],
        q_value=q[chosen],
        n=images.n[chosen],
        n_tested=int(known.sum()),
    )
