"""How a pixel counts electrons: Poisson statistics and dead time."""

from __future__ import annotations

import numpy as np

# Share of lost counts below which pixels are taken to lose none.
_NO_LOSS = 1e-4


def record(
    rng: np.random.Generator,
    expected: np.ndarray,
    dead_time: float = 0.0,
    counting: bool = True,
) -> np.ndarray:
    """
    Draw the counts of pixels.

    After each electron a pixel is blind for a time that further ones do not prolong. Of
    N expected electrons N / (1 + N τ) are counted on average, with the variance
    N / (1 + N τ)³ (Müller (1973), Nucl. Instrum. Methods 112, 47). A binomial number
    with this mean and this variance is drawn, which for τ = 0 is Poisson's.

    Args:
        rng: Source of all random numbers.
        expected: Electrons that arrive, of any shape.
        dead_time: τ, as a fraction of the exposure.
        counting: Draw at random. Without it the expected counts are rounded.

    Returns:
        Integers of the same shape.
    """
    if not dead_time >= 0:
        raise ValueError(f"A dead time of {dead_time} exposures is negative.")
    loss = expected * dead_time
    mean = expected / (1 + loss)
    if not counting:
        return np.rint(mean).astype(np.int64)
    counts = rng.poisson(mean)
    blind = loss > _NO_LOSS
    if np.any(blind):
        kept = 1 / (1 + loss[blind]) ** 2  # variance over mean
        trials = np.maximum(np.rint(mean[blind] / (1 - kept)), 1)
        chance = np.minimum(mean[blind] / trials, 1.0)
        counts[blind] = rng.binomial(trials.astype(np.int64), chance)
    return counts
