"""
R1 of branches against a structure, and whether a difference is more than chance.

R1 is taken with a scale and an overall B refined, since neither a wrong scale nor an
isotropic falloff keeps a structure from refining. Crystals are drawn by weights: the sums
behind each merged intensity are kept by crystal, so that a draw merges anew without
reading or scaling anything.

Functions:
    scaled_r1: R1 with scale and overall B
    group_sums_of: the sums by crystal
    resampled_r1: R1 of all branches for all draws
    differences: between branches, with intervals
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dials_spread.placement.common_set import CommonSet, ResamplingGroups
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.shells import resolution_shells
from dials_spread.statistics.bootstrap import DRAWS, interval

GRID_STEP = 1.0
GRID = np.arange(-12.0, 12.0 + GRID_STEP, GRID_STEP)
"""Overall B tried first [Å²]."""

SECTIONS = 12
"""Golden sections: B to 0.01 Å², where R1 is flat."""

N_SHELLS = 10


@dataclass(frozen=True)
class ScaledR1:
    """
    Agreement of amplitudes with a structure.

    Attributes:
        r1: Σ|k exp(-B s²/4) F_o - F_c| / ΣF_c, s = 1/d.
        scale: k.
        B: [Å²], that the amplitudes lack.
        n: Reflections.
    """

    r1: float
    scale: float
    B: float
    n: int

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def scaled_r1(f_o: np.ndarray, f_c: np.ndarray, d_star_sq: np.ndarray) -> ScaledR1:
    """
    Give R1 with the scale and overall B that make it least.

    Args:
        f_o: Shape (u,), nan where missing.
        f_c: Shape (u,), nan where missing.
        d_star_sq: Shape (u,) [Å⁻²].

    Returns:
        nan where fewer than three reflections have both.
    """
    kept = np.isfinite(f_o) & np.isfinite(f_c)
    if kept.sum() < 3:
        nan = float("nan")
        return ScaledR1(nan, nan, nan, int(kept.sum()))
    r1, k, B = _least_r1(f_o[None, kept], f_c[kept], d_star_sq[kept])
    return ScaledR1(float(r1[0]), float(k[0]), float(B[0]), int(kept.sum()))


def _r1_at(
    f_o: np.ndarray, f_c: np.ndarray, d_star_sq: np.ndarray, B: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give R1 and the best scale of each row of f_o with a given B, shape (rows,)."""
    f = f_o * np.exp(-0.25 * B[:, None] * d_star_sq)
    # Σ|k f - F_c| has its corners at the ratios, and its least value at their median
    # with weights f.
    with np.errstate(divide="ignore"):
        ratio = f_c / f
    order = np.argsort(ratio, axis=1)
    weight = np.cumsum(np.take_along_axis(f, order, axis=1), axis=1)
    middle = np.argmax(weight >= 0.5 * weight[:, -1:], axis=1)
    rows = np.arange(len(f))
    k = ratio[rows, order[rows, middle]]
    return np.abs(k[:, None] * f - f_c).sum(1) / f_c.sum(), k


def _least_r1(
    f_o: np.ndarray, f_c: np.ndarray, d_star_sq: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Give the least R1 of each row of f_o, with the scale and B that reach it.

    The first row is searched on a grid of B; the others, the same data with other
    weights, have their least value near it. Golden section from there (Kiefer (1953),
    Proc. Am. Math. Soc. 4, 502).
    """
    grid = [_r1_at(f_o[:1], f_c, d_star_sq, np.array([B]))[0][0] for B in GRID]
    best = GRID[int(np.argmin(grid))]
    low, high = (np.full(len(f_o), best + side * GRID_STEP) for side in (-1, 1))
    golden = 0.5 * (np.sqrt(5) - 1)
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = (_r1_at(f_o, f_c, d_star_sq, B)[0] for B in (left, right))
    for _ in range(SECTIONS):
        down = at_left < at_right
        low, high = np.where(down, low, left), np.where(down, right, high)
        fresh = np.where(
            down, high - golden * (high - low), low + golden * (high - low)
        )
        found = _r1_at(f_o, f_c, d_star_sq, fresh)[0]
        left, right, at_left, at_right = (
            np.where(down, fresh, right),
            np.where(down, left, fresh),
            np.where(down, found, at_right),
            np.where(down, at_left, found),
        )
    B = 0.5 * (low + high)
    r1, k = _r1_at(f_o, f_c, d_star_sq, B)
    return r1, k, B


def r1_by_shell(
    f_o: np.ndarray, f_c: np.ndarray, d_star_sq: np.ndarray, found: ScaledR1
) -> list[dict]:
    """
    Give R1 in resolution shells, on the scale and B of all reflections.

    Args:
        f_o, f_c, d_star_sq: As for scaled_r1.
        found: Of all.
    """
    kept = np.isfinite(f_o) & np.isfinite(f_c)
    f_o, f_c, d_star_sq = f_o[kept], f_c[kept], d_star_sq[kept]
    shells = resolution_shells(1 / np.sqrt(d_star_sq), N_SHELLS)
    on_scale = found.scale * f_o * np.exp(-0.25 * found.B * d_star_sq)
    rows = []
    for k, (d_max, d_min) in enumerate(zip(shells.d_max, shells.d_min)):
        own = shells.shell == k
        r1 = np.abs(on_scale[own] - f_c[own]).sum() / f_c[own].sum()
        rows.append(
            {"d_max": float(d_max), "d_min": float(d_min), "n": int(own.sum()),
             "r1": float(r1)}
        )  # fmt: skip
    return rows


@dataclass(frozen=True)
class GroupSums:
    """
    Sums behind merged intensities, by group.

    Attributes:
        weighted: Shape (groups, u), Σ I/σ².
        weight: Shape (groups, u), Σ 1/σ².
    """

    weighted: np.ndarray
    weight: np.ndarray

    def merged(self, draws: np.ndarray) -> np.ndarray:
        """
        Merge with weights of groups.

        Args:
            draws: Shape (draws, groups).

        Returns:
            Shape (draws, u), nan where a draw has no observation.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return (draws @ self.weighted) / (draws @ self.weight)


def group_sums_of(common: CommonSet, groups: ResamplingGroups) -> dict[str, GroupSums]:
    """
    Sum by group and reflection.

    Args:
        common: All branches.
        groups: What is drawn.
    """
    found, u = {}, len(common.unique_index)
    for name, own in common.data.items():
        weight = 1 / own.observations.variance
        place = groups.of[name] * u + common.unique[name]
        shape = (groups.n, u)
        found[name] = GroupSums(
            np.bincount(
                place, weight * own.observations.intensity, groups.n * u
            ).reshape(shape),
            np.bincount(place, weight, groups.n * u).reshape(shape),
        )
    return found


def draw_weights(n: int, rng: np.random.Generator, n_draws: int = DRAWS) -> np.ndarray:
    """Give weights of groups, shape (1 + draws, n): all once, then of mean one."""
    drawn = rng.exponential(size=(n_draws, n))
    drawn /= drawn.mean(axis=1, keepdims=True)
    return np.concatenate([np.ones((1, n)), drawn])


def resampled_r1(
    sums: Mapping[str, GroupSums],
    draws: np.ndarray,
    f_c: np.ndarray,
    d_star_sq: np.ndarray,
    used: np.ndarray,
) -> dict[str, np.ndarray]:
    """
    Give R1 of all branches for all draws.

    Args:
        sums: By branch.
        draws: Shape (draws, groups).
        f_c: Shape (u,).
        d_star_sq: Shape (u,) [Å⁻²].
        used: Shape (u,), bool: reflections that all branches have.

    Returns:
        By branch, shape (draws,).
    """
    kept = used & np.isfinite(f_c)
    f_c, s_sq = f_c[kept], d_star_sq[kept]
    found = {}
    for name, own in sums.items():
        part = GroupSums(own.weighted[:, kept], own.weight[:, kept])
        f_o = amplitudes(part.merged(draws))
        found[name] = _least_r1(f_o, f_c, s_sq)[0]
    return found


@dataclass(frozen=True)
class Difference:
    """
    How two branches differ in one figure.

    Attributes:
        better, worse: Names; "better" has the lower figure.
        figure: What it is of: "r1" against the structure.
        value: Of "worse" less that of "better", not negative.
        low, high: 95 % interval; nan where there is none.
    """

    better: str
    worse: str
    figure: str
    value: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves no doubt about the sign."""
        return bool(self.low > 0)

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {**asdict(self), "certain": self.certain}


def differences(
    drawn: Mapping[str, np.ndarray], n_groups: int, figure: str = "r1"
) -> list[Difference]:
    """
    Compare all pairs of branches.

    Args:
        drawn: By branch, shape (1 + draws,), the first of all groups.
        n_groups: Number of groups drawn.
        figure: What was drawn; the lower the better.
    """
    names: Sequence[str] = sorted(drawn, key=lambda name: drawn[name][0])
    found = []
    for i, better in enumerate(names):
        for worse in names[i + 1 :]:
            values = drawn[worse] - drawn[better]
            low, high = _signed_interval(values, n_groups)
            found.append(Difference(better, worse, figure, float(values[0]), low, high))
    return found


def _signed_interval(values: np.ndarray, n_groups: int) -> tuple[float, float]:
    """Give the interval on the linear scale: a difference may have either sign."""
    # A shift puts zero out of reach of the logarithmic scale and is taken off again.
    shift = 10 * np.ptp(values[np.isfinite(values)]) + 1 if len(values) else 1.0
    low, high = interval(values - shift, n_groups)
    return low + shift, high + shift
