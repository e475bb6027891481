"""
How much of the spread a simulation of multiple scattering explains.

The model of the spread is Var(I) = σ² + s²μ², μ being the mean of the other observations
of the reflection. With a simulation, an observation is expected where the others and the
simulated ratio put it,

    m_i = d_i Σ_j I_j / Σ_j d_j,    j over the other observations of the reflection,

d being the simulated intensity on the scale of the crystal's observations. Without
(d = 1) that is μ. s is fitted to both, relative to the same μ, so that 1 - s²_after /
s²_before is the share of the spread's variance that is explained. Equivalent reflections
have one kinematic intensity, so dividing it out of d changes nothing.

The simulation has been fitted to these intensities by one thickness, and one scale, a
crystal. As a control the simulated intensities are dealt out anew among the observations
of each reflection: what they explain then is chance.

Functions:
    explained_spread: of bare columns
    on_scale, expected_deviations: its steps
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from dials_spread.spread.size.residuals import Residuals, residuals_of_arrays
from dials_spread.statistics.bootstrap import group_crystals, interval, too_few
from dials_spread.statistics.excess_spread import (
    Deviations,
    likelihood_table,
    most_likely,
    most_likely_near,
)
from dials_spread.statistics.random_numbers import next_random
from dials_spread.threads import run_blocks

# Random deals of the control.
N_CONTROLS = 20

# Observations from which a crystal's simulated intensities are put on its scale.
FEWEST = 10


@dataclass(frozen=True)
class ExplainedSpread:
    """
    The spread before and after a simulation is taken into account.

    Attributes:
        n: Observations of reflections that were observed more than once.
        n_unique: Of these reflections.
        n_crystals: Crystals that have them.
        noise: Median σ/μ.
        before: s of the intensities as they are.
        before_interval: 95 % over crystals; nan where they are too few.
        after: s about what the simulation expects.
        after_interval: Likewise.
        share: 1 - after² / before².
        share_interval: Likewise.
        control: Mean share with the simulated intensities dealt out anew.
        control_sd: Standard deviation of these.
        note: Why there is no interval, or nothing at all; empty otherwise.
    """

    n: int
    n_unique: int
    n_crystals: int
    noise: float
    before: float
    before_interval: tuple[float, float]
    after: float
    after_interval: tuple[float, float]
    share: float
    share_interval: tuple[float, float]
    control: float
    control_sd: float
    note: str

    def as_dict(self) -> dict:
        """For JSON; what is not known becomes None."""
        return {
            "observations": self.n,
            "unique": self.n_unique,
            "crystals": self.n_crystals,
            "noise": _number(self.noise),
            "spread_before": _number(self.before),
            "spread_before_interval": [_number(x) for x in self.before_interval],
            "spread_after": _number(self.after),
            "spread_after_interval": [_number(x) for x in self.after_interval],
            "explained_share": _number(self.share),
            "explained_share_interval": [_number(x) for x in self.share_interval],
            "control_share": _number(self.control),
            "control_sd": _number(self.control_sd),
            "note": self.note,
        }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def explained_spread(
    unique: np.ndarray,
    crystal: np.ndarray,
    intensity: np.ndarray,
    variance: np.ndarray,
    simulated: np.ndarray,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> ExplainedSpread:
    """
    Compare the spread about the mean with that about a simulation.

    Args:
        unique: Shape (n,), number of the unique reflection, from 0.
        crystal: Shape (n,), from 0.
        intensity: Shape (n,), all crystals on one scale.
        variance: Shape (n,), positive.
        simulated: Shape (n,), intensities with multiple scattering, on any scale of
            each crystal; observations without a positive one are left out.
        rng: For the bootstrap over crystals and the control.
        nproc: Threads; all cores by default.

    Returns:
        The spread before and after, all nan where no reflection was observed twice.
    """
    own = np.flatnonzero(np.isfinite(simulated) & (simulated > 0))
    residuals = residuals_of_arrays(
        unique[own], crystal[own], np.zeros_like(own), intensity[own], variance[own]
    )
    if not len(residuals):
        return _nothing()
    d = on_scale(residuals, simulated[own][residuals.observation])
    groups = group_crystals(residuals.crystal, residuals.n_crystals, rng)
    weights = groups.draws(rng)

    def spreads(template: np.ndarray) -> np.ndarray:
        data = expected_deviations(residuals, template, nproc)
        cell = groups.of_crystal[residuals.crystal]
        return most_likely(weights @ likelihood_table(data, cell, groups.n, nproc))

    before, after = spreads(np.ones(len(residuals))), spreads(d)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(before > 0, after**2 / before**2, np.nan)
    low, high = interval(left, groups.n)
    controls = _controls(residuals, d, before[0], rng, nproc)
    return ExplainedSpread(
        n=len(residuals),
        n_unique=len(residuals.start) - 1,
        n_crystals=groups.n_crystals,
        noise=float(np.median(residuals.relative_sigma)),
        before=float(before[0]),
        before_interval=interval(before, groups.n),
        after=float(after[0]),
        after_interval=interval(after, groups.n),
        share=float(1 - left[0]),
        share_interval=(1 - high, 1 - low),
        control=float(np.mean(controls)),
        control_sd=float(np.std(controls)),
        note=too_few(groups.n_crystals),
    )


def _nothing() -> ExplainedSpread:
    none = (np.nan, np.nan)
    return ExplainedSpread(
        n=0,
        n_unique=0,
        n_crystals=0,
        noise=np.nan,
        before=np.nan,
        before_interval=none,
        after=np.nan,
        after_interval=none,
        share=np.nan,
        share_interval=none,
        control=np.nan,
        control_sd=np.nan,
        note="No reflection that is strong enough was observed and simulated twice.",
    )


def on_scale(residuals: Residuals, simulated: np.ndarray) -> np.ndarray:
    """
    Put simulated intensities on the scale of each crystal's observations.

    The scale of the observations was found without knowing how much multiple scattering
    takes from the strong reflections of a thick crystal.

    Args:
        residuals: n observations.
        simulated: Shape (n,), positive.

    Returns:
        Shape (n,): multiplied by ΣI / Σd of the crystal, over all crystals where it has
        few observations or ΣI is not positive.
    """
    n = residuals.n_crystals
    sums = [
        np.bincount(residuals.crystal, x, minlength=n)
        for x in (residuals.intensity, simulated, np.ones(len(simulated)))
    ]
    overall = sums[0].sum() / sums[1].sum()
    usable = (sums[0] > 0) & (sums[2] >= FEWEST)
    scale = np.where(usable, sums[0] / np.where(usable, sums[1], 1.0), overall)
    return simulated * scale[residuals.crystal]


def expected_deviations(
    residuals: Residuals, template: np.ndarray, nproc: int | None = None
) -> Deviations:
    """
    Squared deviations from m_i, and what is known of their variances.

    Var(I_i - m_i) = σ_i² + f² Σ_j σ_j² + s²μ² (1 + n f²) with n others and
    f = d_i / Σ_j d_j, which is 1/n without a simulation.

    Args:
        residuals: n observations, sorted by unique reflection.
        template: Shape (n,), d, positive.
        nproc: Threads; all cores by default.
    """
    start, template = residuals.start, np.ascontiguousarray(template, dtype=np.float64)
    names = ("intensity", "variance", "mean", "mean_variance", "level")
    columns = tuple(getattr(residuals, name) for name in names)
    found = np.empty((5, len(residuals)))

    def fill(first: int, stop: int) -> None:
        _expected(first, stop, start, template, columns, residuals.number, found)

    run_blocks(fill, len(start) - 1, max(1, len(start) // 16), nproc)
    return Deviations(*found)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _expected(first, stop, start, template, columns, number, found):
    """Fill the columns of Deviations of reflections first … stop - 1."""
    intensity, variance, mean, mean_variance, level = columns
    for u in range(first, stop):
        total = 0.0
        for i in range(start[u], start[u + 1]):
            total += template[i]
        for i in range(start[u], start[u + 1]):
            d, n, square = template[i], number[i], level[i] * level[i]
            # One observation next to nothing may not be expected from others that are
            # nothing.
            f = d / max(max(total - d, 0.0), 1e-6 * d)
            known_others = n * n * mean_variance[i]
            apart = intensity[i] - f * n * mean[i]
            found[0, i] = apart * apart
            found[1, i] = variance[i] + f * f * known_others
            found[2, i] = square * (1 + n * f * f)
            found[3, i] = (variance[i] + known_others) / (n + 1) / square
            found[4, i] = n + 1.0


@nb.njit(cache=True, nogil=True)
def _deal(first, stop, start, seed, dealt):
    """Let the values of reflections first … stop - 1 change places at random."""
    for u in range(first, stop):
        state = np.uint64(seed) + np.uint64(u) * np.uint64(0xD1342543DE82EF95)
        for i in range(start[u + 1] - start[u] - 1, 0, -1):
            state, value = next_random(state)
            j = start[u] + np.int64(value % np.uint64(i + 1))
            dealt[start[u] + i], dealt[j] = dealt[j], dealt[start[u] + i]


def _controls(
    residuals: Residuals,
    d: np.ndarray,
    before: float,
    rng: np.random.Generator,
    nproc: int | None,
) -> np.ndarray:
    """Shares explained by simulated intensities dealt out anew within reflections."""
    shares, s, start, dealt = [], before, residuals.start, d.copy()
    for seed in rng.integers(2**62, size=N_CONTROLS):

        def deal(first: int, stop: int, seed: int = seed) -> None:
            _deal(first, stop, start, seed, dealt)

        run_blocks(deal, len(start) - 1, max(1, len(start) // 16), nproc)
        s = most_likely_near(expected_deviations(residuals, dealt, nproc), s, nproc)
        shares.append(1 - s**2 / before**2 if before > 0 else np.nan)
    return np.array(shares)
