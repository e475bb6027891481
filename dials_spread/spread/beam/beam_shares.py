"""
How much of the image component of unscaled data an indicator of the beam explains.

Both are logarithms, taken relative to their mean over the crystal: the scale of a
crystal is another matter. The slope comes from other crystals than those that it is
tried on; within a single crystal, from other blocks of consecutive images.

Both drift along a scan, and two drifts are alike by chance in half of all cases. Where crystals
are too few for an interval, what both change by from one block of images to the next is
compared, which of drifts is independent, and held against these changes in any other
order (Granger and Newbold (1974), J. Econometrics 2, 111, on spurious regression).

Functions:
    explained_share: the cross-validated R²
    reliability: what a perfect indicator would explain
    centred: relative to the mean of each crystal
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.statistics.bootstrap import group_crystals, interval

BLOCKS = 5
"""Of consecutive images, where there is one crystal."""

FEWEST_IMAGES = 8

CHANGES = 12
"""Blocks of images along a scan whose means are compared."""

ORDERS = 199
"""Random ones, of the changes."""

LARGEST_SIGMA = 0.3
"""Of a factor, relative: images whose factor is less certain have no say."""


@dataclass(frozen=True)
class Explained:
    """
    How much of the image component of unscaled data an indicator explains.

    Attributes:
        r_squared: Cross-validated share of the variance of log k within crystals; below
            zero where the prediction is worse than none. nan with too few images.
        low, high: 95 % interval over crystals; nan with too few.
        p_value: That both change along the scans as much alike by chance, where there is
            no interval; nan otherwise.
        slope: Of log k against the logarithm of the indicator; 1 if k is proportional.
        correlation: Pearson's, of the two.
        with_dials_scale: Correlation with the scale of dials.scale instead; nan without.
        n_images, n_crystals: What it rests on.
        validation: "crystals", or "blocks of images" within the only crystal.
        reason: Why there is nothing, in a sentence.
    """

    r_squared: float
    low: float
    high: float
    slope: float
    correlation: float
    with_dials_scale: float
    n_images: int
    n_crystals: int
    validation: str
    reason: str = ""
    p_value: float = np.nan

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return dict(vars(self))


def centred(x: np.ndarray, group: np.ndarray) -> np.ndarray:
    """
    Take the mean of each group off.

    Args:
        x: Shape (n,); nan values stay and have no say.
        group: Shape (n,), int.

    Returns:
        Shape (n,).
    """
    good = np.isfinite(x)
    size = int(group.max(initial=-1)) + 1
    n = np.maximum(np.bincount(group[good], minlength=size), 1)
    return x - (np.bincount(group[good], x[good], size) / n)[group]


def reliability(half_a: np.ndarray, half_b: np.ndarray, crystal: np.ndarray) -> float:
    """
    Give the share of the variance of log k that is not noise.

    Args:
        half_a, half_b: Shape (images,), k from two halves of the reflections.
        crystal: Shape (images,).

    Returns:
        By Spearman and Brown's formula 2 r / (1 + r); nan with too few images.
    """
    use = np.isfinite(half_a) & np.isfinite(half_b)
    if use.sum() < FEWEST_IMAGES:
        return np.nan
    a, b = (centred(np.log(x[use]), crystal[use]) for x in (half_a, half_b))
    r = _correlation(a, b)
    return float(max(2 * r / (1 + r), 0.0)) if np.isfinite(r) else np.nan


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    norm = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / norm) if norm > 0 else np.nan


def _with_logarithm(scale: np.ndarray, x: np.ndarray, group: np.ndarray) -> float:
    """Correlation within crystals of the logarithm of a scale with x."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(scale)
    known = np.isfinite(logs)
    return _correlation(
        centred(logs[known], group[known]), centred(x[known], group[known])
    )


def _nothing(reason: str, n_images: int, n_crystals: int) -> Explained:
    return Explained(
        r_squared=np.nan,
        low=np.nan,
        high=np.nan,
        slope=np.nan,
        correlation=np.nan,
        with_dials_scale=np.nan,
        n_images=n_images,
        n_crystals=n_crystals,
        validation="",
        reason=reason,
    )


def _held_out(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Squared errors of predictions with the slope of other folds, and without any."""
    errors, n = np.empty((2, len(x))), int(fold.max()) + 1
    xy, xx = np.bincount(fold, x * y, n), np.bincount(fold, x * x, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.nan_to_num((xy.sum() - xy) / (xx.sum() - xx))
    errors[0] = (y - slope[fold] * x) ** 2
    errors[1] = y**2
    return errors


def _held_out_blocks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same for blocks of one crystal: means are of the other blocks, too."""
    errors = np.empty((2, len(x)))
    for block in np.array_split(np.arange(len(x)), BLOCKS):
        rest = np.setdiff1d(np.arange(len(x)), block)
        mean_x, mean_y = x[rest].mean(), y[rest].mean()
        dx, dy = x[rest] - mean_x, y[rest] - mean_y
        slope = np.sum(dx * dy) / max(np.sum(dx * dx), 1e-300)
        errors[0, block] = (y[block] - mean_y - slope * (x[block] - mean_x)) ** 2
        errors[1, block] = (y[block] - mean_y) ** 2
    return errors


def _interval(
    errors: np.ndarray, crystal: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Of R² over crystals, from that of 1 - R², which is not negative."""
    groups = group_crystals(crystal, int(crystal.max()) + 1, rng)
    group = groups.of_crystal[crystal]
    sums = np.array([np.bincount(group, e, groups.n) for e in errors])
    left, all_of_it = sums @ groups.draws(rng).T
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = interval(left / all_of_it, groups.n)
    return 1 - high, 1 - low


def _errors(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Squared errors with and without the indicator, shape (2, images)."""
    return _held_out(x, y, group) if group.any() else _held_out_blocks(x, y)


def _share(errors: np.ndarray) -> float:
    return float(1 - errors[0].sum() / errors[1].sum())


def _by_changes(
    x: np.ndarray, y: np.ndarray, group: np.ndarray, rng: np.random.Generator
) -> float:
    """Part of random orders in which changes along the scans are as much alike."""
    changes: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for number in range(int(group.max()) + 1):
        own = np.flatnonzero(group == number)
        for column, value in zip(changes, (x, y)):
            blocks = np.array_split(value[own], min(CHANGES, len(own)))
            column.append(np.diff([block.mean() for block in blocks]))
    dx, dy = (np.concatenate(column) for column in changes)
    as_much = sum(rng.permutation(dx) @ dy >= dx @ dy for _ in range(ORDERS))
    return float((1 + as_much) / (1 + ORDERS))


def explained_share(
    k: np.ndarray,
    relative_sigma: np.ndarray,
    indicator: np.ndarray,
    crystal: np.ndarray,
    dials_scale: np.ndarray | None,
    rng: np.random.Generator,
) -> Explained:
    """
    Say how much of the image component an indicator explains.

    Args:
        k: Shape (images,), the component; nan where unknown.
        relative_sigma: Shape (images,), of k.
        indicator: Shape (images,), positive; nan where unknown.
        crystal: Shape (images,).
        dials_scale: Shape (images,), to compare the indicator with, or None.
        rng: For the interval.

    Returns:
        The share, with what it rests on.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = np.log(indicator), np.log(k)
    use = np.isfinite(x) & np.isfinite(y) & (relative_sigma < LARGEST_SIGMA)
    numbers, group = np.unique(crystal[use], return_inverse=True)
    group, n = group.ravel(), len(numbers)
    if not np.isfinite(x).any():
        return _nothing("It is not positive on any image.", 0, 0)
    if use.sum() < FEWEST_IMAGES:
        return _nothing(
            f"{use.sum()} images have both enough spots and this indicator: too few, "
            f"{FEWEST_IMAGES} are needed.",
            int(use.sum()),
            n,
        )
    x, y = centred(x[use], group), centred(y[use], group)
    if not np.sum(x * x) > 0 or not np.sum(y * y) > 0:
        return _nothing("It is the same on all images.", int(use.sum()), n)
    errors = _errors(x, y, group)
    low, high = _interval(errors, group, rng)
    with_scale = np.nan
    if dials_scale is not None:
        with_scale = _with_logarithm(dials_scale[use], x, group)
    return Explained(
        r_squared=_share(errors),
        low=low,
        high=high,
        slope=float(np.sum(x * y) / np.sum(x * x)),
        correlation=_correlation(x, y),
        with_dials_scale=with_scale,
        n_images=int(use.sum()),
        n_crystals=n,
        validation="crystals" if n > 1 else "blocks of images",
        p_value=np.nan if np.isfinite(low) else _by_changes(x, y, group, rng),
    )
