"""
How far an ensemble is to be believed: less where its members differ.

Functions:
    complementary_halves: which groups each member sees
    ensemble: mean and spread of what members say
    shrunk_mean: predictions drawn towards zero, and bounded
    fit_shrinkage: by how much, from unseen data
    predict_ensemble: all of it, with the forests of a model file
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize

from dials_spread.correction.model.forest import Forest


def complementary_halves(
    n_groups: int, n_pairs: int, rng: np.random.RandomState
) -> np.ndarray:
    """
    Draw halves of the groups, each followed by what it leaves out.

    Args:
        n_groups: Number of groups, at least 2.
        n_pairs: Pairs of halves.
        rng: Source of random numbers.

    Returns:
        Shape (2 n_pairs, n_groups), bool: what each member sees.
    """
    halves = np.zeros((2 * n_pairs, n_groups), dtype=bool)
    for pair in range(n_pairs):
        halves[2 * pair, rng.permutation(n_groups)[: n_groups // 2]] = True
        halves[2 * pair + 1] = ~halves[2 * pair]
    return halves


def shrunk_mean(
    mean: np.ndarray,
    spread: np.ndarray,
    strength: float,
    width: float,
    bound: float | None,
) -> np.ndarray:
    """
    Shrink predictions towards zero where members differ, and bound them.

    Args:
        mean: Shape (n,), of the members.
        spread: Shape (n,), their standard deviation.
        strength: Of predictions on which all agree.
        width: Spread at which half of that is left.
        bound: Of the result; None for none.

    Returns:
        Shape (n,).
    """
    shrunk = mean * strength / (1.0 + (spread / width) ** 2)
    return shrunk if bound is None else np.clip(shrunk, -bound, bound)


def fit_shrinkage(
    mean: np.ndarray,
    spread: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None = None,
) -> tuple[float, float]:
    """
    Find strength and width that minimise the squared error of unseen data.

    Args:
        mean: Shape (n,), what members say of rows that they have not seen.
        spread: Shape (n,), how much they differ.
        y: Shape (n,), the truth.
        weight: Shape (n,).

    Returns:
        Strength, 0 to 1, and width.
    """
    w = np.ones(len(y)) if weight is None else weight
    typical = float(np.median(spread))
    if not typical > 0:
        return _best_strength(mean, y, w)[0], float("inf")

    def cost(log_width: float) -> float:
        return _best_strength(mean / (1 + (spread / np.exp(log_width)) ** 2), y, w)[1]

    trials = np.linspace(np.log(0.05 * typical), np.log(100 * typical), 12)
    best = trials[np.argmin([cost(t) for t in trials])]
    step = trials[1] - trials[0]
    found = optimize.minimize_scalar(
        cost, bounds=(best - step, best + step), method="bounded"
    )
    width = float(np.exp(found.x))
    return _best_strength(mean / (1 + (spread / width) ** 2), y, w)[0], width


def _best_strength(m: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Give the strength between 0 and 1 that is best, and the squared error left."""
    norm = float(np.sum(w * m * m))
    strength = float(np.clip(np.sum(w * m * y) / norm, 0, 1)) if norm > 0 else 0.0
    return strength, float(np.sum(w * (y - strength * m) ** 2))


def ensemble(
    forests: Sequence[Forest], X: np.ndarray, nproc: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Predict with all members.

    Args:
        forests: The members.
        X: Shape (n, features).
        nproc: Threads; all cores by default.

    Returns:
        Mean and standard deviation of what they say, each of shape (n,).
    """
    told = np.stack([forest.predict(X, nproc) for forest in forests])
    spread = told.std(axis=0, ddof=1) if len(told) > 1 else np.zeros(len(X))
    return told.mean(axis=0), spread


def predict_ensemble(
    forests: Mapping[str, Forest],
    settings: Mapping[str, float],
    X: np.ndarray,
    nproc: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Predict as the estimator did whose forests and settings these are.

    Args:
        forests: The members, by name; all have the same features.
        settings: "strength", and "width" and "bound" where there are such.
        X: Shape (n, features).
        nproc: Threads; all cores by default.

    Returns:
        Predictions and the spread of the members, each of shape (n,).

    Raises:
        ValueError: The settings make no sense.
    """
    strength = settings.get("strength", np.nan)
    width = settings.get("width", np.inf)
    bound = settings.get("bound")
    if not (0 <= strength <= 1 and width > 0 and (bound is None or bound > 0)):
        raise ValueError(
            f"strength={strength}, width={width} and bound={bound} do not say how far "
            "predictions are to be believed"
        )
    mean, spread = ensemble(list(forests.values()), X, nproc)
    return shrunk_mean(mean, spread, strength, width, bound), spread
