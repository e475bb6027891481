"""
To which resolution there is signal.

As dials.estimate_resolution finds it: CC½ in shells of resolution, the curve
``(1 - tanh((s² - s0)/r))/2`` through them, s² = 1/d², and where it falls to 0.3. CC½ is by the
σ-τ method, and each crossing of the Ewald sphere counts once: overlapping frames that list it
several times agree with one another whatever they hold. Where too little was measured twice
for that, ⟨I/σ⟩ of merged intensities stands for it.

Beyond the limit there is noise. It would have a say in the normalisation of all reflections,
and be taken for other beams that are excited with them.

Source of the curve: Evans & Murshudov (2013), Acta Cryst. D69, 1204.

Functions:
    resolution_limit: found from the data, or as given
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass

import numpy as np
from scipy import optimize

from dials_spread.observations import Observations
from dials_spread.rfactor.merging import cc_half
from dials_spread.rfactor.merging_statistics import mean_i_over_sigma
from dials_spread.rfactor.shells import resolution_shells
from dials_spread.stages import stage

LOW_CC_HALF = 0.3
"""As the default of dials.estimate_resolution."""

LOW_I_OVER_SIGMA = 1.0
"""Of merged intensities, where CC½ cannot be told."""

PER_SHELL = 40
"""Unique reflections of a shell, at least."""

SHELLS = (5, 20)
"""Fewest that tell anything, and most."""

FEWEST_REPEATED = 20
"""Reflections measured twice that CC½ needs."""


@dataclass(frozen=True)
class ResolutionLimit:
    """
    To which resolution there is signal.

    Attributes:
        d_min: [Å]; None where there is signal to the end of the data.
        by: What it was found from: "CC½", "⟨I/σ⟩", or "d_min" where it was given.
        d_end: Where the data end [Å].
        cc_half: Of what lies beyond; nan where that is not known.
        i_over_sigma: Mean of merged intensities beyond; likewise.
        n_observations: That lie beyond.
    """

    d_min: float | None
    by: str
    d_end: float
    cc_half: float = float("nan")
    i_over_sigma: float = float("nan")
    n_observations: int = 0

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


@stage("Resolution limit")
def resolution_limit(
    scaled: Observations, given: float | None = None
) -> ResolutionLimit:
    """
    Find the resolution limit, or say what is beyond one that was given.

    Args:
        scaled: On one scale, with their geometry.
        given: The limit [Å] that the user wants; None to find it.
    """
    d_end = float(1 / np.sqrt(scaled.d_star_sq.max()))
    joined = scaled.without_repeats()[0]
    d_min, by = (given, "d_min") if given is not None else _found(joined)
    if d_min is None or not d_min > d_end:
        return ResolutionLimit(None, by, d_end)
    beyond = ~joined.within(d_min)
    cc, ratio = _signal(joined, beyond)
    limit = ResolutionLimit(
        d_min, by, d_end, cc, ratio, int(np.count_nonzero(~scaled.within(d_min)))
    )
    there = {"CC½": cc < LOW_CC_HALF, "⟨I/σ⟩": ratio < LOW_I_OVER_SIGMA}
    # A curve may fall below the limit where the data themselves do not.
    return limit if there.get(by, True) else ResolutionLimit(None, by, d_end)


def _signal(joined: Observations, own: np.ndarray) -> tuple[float, float]:
    """Give CC½ and ⟨I/σ⟩ of some observations; nan where they do not tell."""
    if not own.any():
        return float("nan"), float("nan")
    unique = np.unique(joined.unique[own], return_inverse=True)[1].ravel()
    ratio = mean_i_over_sigma(joined.intensity[own], joined.sigma[own], unique)
    repeated = np.count_nonzero(np.bincount(unique) > 1)
    if repeated < FEWEST_REPEATED:
        return float("nan"), ratio
    return float(cc_half(unique, joined.intensity[own])), ratio


def _found(joined: Observations) -> tuple[float | None, str]:
    """Give the limit, None where there is none, and what tells it."""
    n_shells = min(joined.n_unique // PER_SHELL, SHELLS[1])
    if n_shells < SHELLS[0]:
        return None, "CC½"
    shells = resolution_shells(1 / np.sqrt(joined.d_star_sq), n_shells)
    shell = shells.shell[joined.unique]
    told = np.array([_signal(joined, shell == k) for k in range(len(shells))])
    place, (cc, ratio) = (1 / shells.d_max**2 + 1 / shells.d_min**2) / 2, told.T
    if np.isfinite(cc).mean() > 0.5:
        n = np.bincount(shells.shell, minlength=len(shells))
        at, by = _where_curve_falls(place, cc, n), "CC½"
    else:
        below = np.append(ratio < LOW_I_OVER_SIGMA, True)
        # Of the last shell that has signal.
        last = int(np.argmax(below)) - 1
        at = 1 / shells.d_min[last] ** 2 if 0 <= last < len(ratio) - 1 else None
        by = "⟨I/σ⟩"
    return (None if at is None else float(1 / np.sqrt(at))), by


def _where_curve_falls(x: np.ndarray, y: np.ndarray, n: np.ndarray) -> float | None:
    """
    Fit (1 - tanh((x - s0)/r))/2, and say where it is 0.3; None where it is not in x.

    Args:
        x: Shape (shells,), 1/d² [Å⁻²], increasing.
        y: Shape (shells,), CC½; nan where it is not known.
        n: Shape (shells,), reflections: the error of a correlation is 1/√(n - 3).
    """
    known = np.isfinite(y)
    if known.sum() < SHELLS[0] or y[known].min() > LOW_CC_HALF:
        return None

    def curve(s, r, s0):
        return 0.5 * (1 - np.tanh((s - s0) / r))

    start = (0.3 * x.max(), 0.8 * x.max())
    error = 1 / np.sqrt(n[known] - 3.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optimize.OptimizeWarning)
            (r, s0), _ = optimize.curve_fit(curve, x[known], y[known], start, error)
    except RuntimeError:
        return None
    at = s0 + r * np.arctanh(1 - 2 * LOW_CC_HALF)
    return float(at) if r > 0 and 0 < at < x.max() else None
