"""
What pairs of the same orientation and all other pairs have in common, once they are summed.

The formulas of same_orientation, for observations that one process holds (there) and for
sums that come from many (in_blocks.contrast).

Classes:
    ReflectionParts: what each reflection counts with

Functions:
    weights_of_reflections: how much each counts
    deviations: of observations, without the mean of each image
    half_squares: of common spots
    parts_of_reflections: what each reflection counts with
    spreads: within pairs and between the others
    shared_interval: of the part that pairs share beyond others
    with_ratio: their ratio, with its interval
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dials_spread.statistics.bootstrap import FEWEST_CRYSTALS, interval
from dials_spread.statistics.groups import group_means

FEWEST_SPOTS = 20
"""Common spots that a comparison takes."""

TOO_FEW = (
    "common spots of reflections that are strong enough and on a third image, of which "
    f"there are {{n_spots}}, have to be {FEWEST_SPOTS} at least."
)
COVERED = "the standard uncertainties cover their differences."
NO_PAIR = "it takes images of different crystals, and none of these pairs is of two."

LEVEL = 0.01
"""p up to which images of the same orientation are said to agree better."""

NORMAL = 1.96
"""Standard errors on either side of an estimate in a 95 % interval."""

POWER = 3.2
"""Standard errors at which 80 % of data sets have p of at most `LEVEL`."""


@dataclass(frozen=True)
class OrientationContrast:
    """
    Pairs of the same orientation against all other pairs of the same reflections.

    Attributes:
        s_within: Root mean square s within pairs; 0 where its square is negative, nan
            without data, as all that follows.
        s_others: Between the other images.
        ratio: The first over the second, with its 95 % interval over crystals.
        ratio_low, ratio_high: nan without an interval.
        p_value: Of as large a difference, where pairs share nothing; one-sided.
        pairs_needed: Pairs like these that would show the ratio found in 80 % of data
            sets; nan where within is not below others.
        ratio_seen: Ratio below which 80 % of data sets like this one would show it.
        n_pairs, n_spots, n_crystals: What it rests on.
        n_signs: Random sets of signs.
        reason: Why there is nothing, in one sentence, or nothing.
    """

    s_within: float = np.nan
    s_others: float = np.nan
    ratio: float = np.nan
    ratio_low: float = np.nan
    ratio_high: float = np.nan
    p_value: float = np.nan
    pairs_needed: float = np.nan
    ratio_seen: float = np.nan
    n_pairs: int = 0
    n_spots: int = 0
    n_crystals: int = 0
    n_signs: int = 0
    reason: str = ""

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return dict(vars(self))

    @property
    def shown(self) -> bool:
        """Whether images of the same orientation are shown to agree better."""
        return self.n_crystals >= FEWEST_CRYSTALS and self.p_value <= LEVEL


@dataclass(frozen=True)
class ReflectionParts:
    """
    What each reflection counts with; arrays of length u.

    Attributes:
        use: bool.
        of_same, of_all: What products of pairs, and of all cells, are multiplied by.
        of_others: Mean product of pairs that are not of the same orientation.
    """

    use: np.ndarray
    of_same: np.ndarray
    of_all: np.ndarray
    of_others: np.ndarray


def weights_of_reflections(
    number: np.ndarray, total: np.ndarray, variance: np.ndarray, s: float
) -> tuple[np.ndarray, np.ndarray]:
    """
    Say how much each reflection counts.

    Args:
        number, total, variance: Shape (u,): observations, sums of their intensities and of
            their variances.
        s: Relative spread of all.

    Returns:
        Weights, 0 where a reflection is too weak or has fewer than three observations, and
        means; shape (u,) each.
    """
    filled = np.maximum(number, 1)
    mean, noise = total / filled, variance / filled
    use = (number > 2) & (mean > 0) & (mean**2 >= noise)
    expected = np.where(use, noise + (s * mean) ** 2, 1.0)
    return np.where(use, 1 / expected, 0.0), mean


def deviations(
    intensity: np.ndarray,
    image: np.ndarray,
    unique: np.ndarray,
    weight: np.ndarray,
    mean: np.ndarray,
) -> np.ndarray:
    """
    Give deviations over their expected size, without the mean of each image.

    Args:
        intensity, image, unique: Shape (n,).
        weight, mean: Shape (u,), from weights_of_reflections.

    Returns:
        Shape (n,); 0 where the reflection does not count.
    """
    use = weight[unique] > 0
    z = (intensity - mean[unique]) * np.sqrt(weight)[unique]
    n_images = int(image.max(initial=-1)) + 1
    return (z - group_means(z, image, n_images, use.astype(float))[image]) * use


def half_squares(
    z: np.ndarray,
    variance: np.ndarray,
    weight: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    """
    Give ½(e_a² + e_b²) - ½(σ_a² + σ_b²) of common spots, weighted.

    Args:
        z, variance: Shape (n,), of observations.
        weight: Shape (m,), of the reflection of each spot.
        a, b: Shape (m,), numbers of the two observations of each.
    """
    square = 0.5 * (z[a] ** 2 + z[b] ** 2)
    square -= 0.5 * weight * (variance[a] + variance[b])
    return square


def parts_of_reflections(
    weight: np.ndarray,
    n_all: np.ndarray,
    product_all: np.ndarray,
    n_same: np.ndarray,
    product_same: np.ndarray,
) -> ReflectionParts:
    """
    Say what each reflection counts with.

    Args:
        weight: Shape (u,).
        n_all, product_all: Shape (u,), pairs of observations on two crystals, and the sum
            of their products.
        n_same, product_same: Shape (u,), the same of common spots.
    """
    n_others = n_all - n_same
    use = (weight > 0) & (n_same > 0) & (n_others > 0)
    per = np.where(use, n_others, 1.0)
    return ReflectionParts(
        use=use,
        of_same=np.where(use, n_all / per, 0.0),
        of_all=np.where(use, n_same / per, 0.0),
        of_others=np.where(use, (product_all - product_same) / per, 0.0),
    )


def spreads(
    level: float,
    found: float,
    of_others: float,
    n_pairs: int,
    n_spots: int,
    n_crystals: int,
) -> OrientationContrast:
    """
    Give both spreads.

    Args:
        level: Sum of squared means, weighted.
        found: What pairs share beyond others.
        of_others: What others differ by.
        n_pairs, n_spots, n_crystals: What they rest on.
    """
    return OrientationContrast(
        s_within=_root((of_others - found) / level),
        s_others=_root(of_others / level),
        n_pairs=n_pairs,
        n_spots=n_spots,
        n_crystals=n_crystals,
    )


def shared_interval(
    tables: Sequence[np.ndarray], draws: np.ndarray, error: float
) -> tuple[float, float]:
    """
    Give the interval of the part that pairs share beyond others, over crystals.

    A pair of crystals has the product of their weights, as in pairs.summary. With a few
    crystals that can miss what single reflections make uncertain, so that the interval
    is no narrower than by the standard error that changing signs gives the difference.

    Args:
        tables: Two of shape (groups, groups): what pairs share, and what others differ by.
        draws: Shape (draws, groups), the first of all.
        error: That standard error; nan where it is not known.
    """
    drawn = [np.einsum("da,ab,db->d", draws, table, draws) for table in tables]
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = np.where(drawn[1] > 0, drawn[0] / drawn[1], np.nan)
    low, high = interval(shared, draws.shape[1])
    if error > 0:
        half = NORMAL * error / drawn[1][0]
        low, high = min(low, shared[0] - half), max(high, shared[0] + half)
    return low, high


def with_ratio(
    result: OrientationContrast,
    found: float,
    of_others: float,
    ends: tuple[float, float],
    error: float,
) -> OrientationContrast:
    """
    Add the ratio of both spreads.

    Args:
        result: From spreads.
        found, of_others: As for spreads; the second above 0.
        ends: From shared_interval.
        error: As for shared_interval.
    """
    low, high = ends
    needed = result.n_pairs * (POWER * error / found) ** 2 if found > 0 else np.nan
    return replace(
        result,
        ratio=_root(1 - found / of_others),
        ratio_low=_root(1 - high),
        ratio_high=_root(1 - low),
        pairs_needed=float(needed),
        ratio_seen=_root(1 - POWER * error / of_others),
    )


def _root(square: float) -> float:
    return float(np.sqrt(max(square, 0.0)))
