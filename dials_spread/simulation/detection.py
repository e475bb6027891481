"""How a pixel counts electrons: Poisson statistics and dead time."""

from __future__ import annotations

import numpy as np

# Share of lost counts below which pixels are taken to lose none.
_NO_LOSS = 1e-4


def record(
    rng: np.random.Generator,
    expected: np.ndarray,
    loss: np.ndarray | float = 0.0,
    counting: bool = True,
) -> np.ndarray:
    """
    Draw the counts of pixels.

    After each electron a pixel is blind for a time τ that further ones do not prolong.
    Of N electrons that arrive at a steady rate during T, N / (1 + x) are counted on
    average, with the variance N / (1 + x)³, x = N τ / T (Müller (1973), Nucl. Instrum.
    Methods 112, 47). A binomial number with this mean and this variance is drawn, which
    for τ = 0 is Poisson's.

    Args:
        rng: Source of all random numbers.
        expected: Electrons that arrive, of any shape.
        loss: x, of the same shape or one for all.
        counting: Draw at random. Without it the expected counts are rounded.

    Returns:
        Integers of the same shape.
    """
    mean = expected / (1 + loss)
    if not counting:
        return np.rint(mean).astype(np.int64)
    counts = rng.poisson(mean)
    blind = np.broadcast_to(loss, mean.shape) > _NO_LOSS
    if np.any(blind):
        kept = (mean[blind] / expected[blind]) ** 2  # variance over mean
        trials = np.maximum(np.rint(mean[blind] / (1 - kept)), 1)
        chance = np.minimum(mean[blind] / trials, 1.0)
        counts[blind] = rng.binomial(trials.astype(np.int64), chance)
    return counts
