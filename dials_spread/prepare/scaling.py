"""
Crystals on one scale, for features only.

Model: ``I = s m`` with m the merged intensity and ``ln s`` piecewise linear in the rotation
angle plus ``-B d*²/2``, for each crystal. Merged intensities and scales are found in turn,
each by weighted least squares. dials.scale does this better and is not replaced: features
need scales that exist for every input, in a fraction of a second.

A common B is not determined: it is set by the mean of all crystals, each with the
information that its data hold, so that a crystal of a few reflections moves no other.

Observations are in groups of crystals (crystal_groups). Of each round two things are asked of
every group: sums by reflection on the scales so far, and, merged intensities known, the next
scales of its crystals. So what goes to and fro is as long as there are reflections and crystals.

Classes:
    ScaleFit: crystals on one scale, and what was needed for it

Functions:
    fit_scales: crystals on one scale
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.observations import Observations
from dials_spread.prepare import scale_groups
from dials_spread.prepare.crystal_groups import CrystalGroup, CrystalGroups, added_up
from dials_spread.prepare.scale_groups import Placed, merged_from
from dials_spread.statistics.groups import group_sums

ROUNDS = 12
"""Alternations of merging and scaling."""


@dataclass(frozen=True)
class Decay:
    """
    How far crystals were damaged along their scans; see prepare.decay.

    Attributes:
        rate: Shape (crystals,), B gained along the scan that is taken out [Å²]; 0 where
            undamaged crystals may look as this does.
        mean, uncertainty: Of those that it is taken out of, or of all [Å²]; nan where
            nothing is known.
        scale_with: Shape (n,), the scale that leaves damage in.
        own, own_su: Shape (crystals,), as found for each alone [Å²].
    """

    rate: np.ndarray
    mean: float
    uncertainty: float
    scale_with: np.ndarray
    own: np.ndarray
    own_su: np.ndarray

    @property
    def is_taken_out(self) -> bool:
        """Whether there is more than undamaged crystals show."""
        return bool(self.rate.any())

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "B_gained": [float(x) for x in self.rate],
            "mean": self.mean,
            "uncertainty": self.uncertainty,
            "found": [float(x) for x in self.own],
            "found_uncertainty": [float(x) for x in self.own_su],
        }


@dataclass(frozen=True)
class Scales:
    """
    What intensities are divided by.

    Attributes:
        scale: Shape (n,), of each observation; geometric mean 1 over observations.
        crystal_log_scale: Shape (crystals,), mean of the nodes.
        relative_B: Shape (crystals,) [Å²], relative to the mean.
        n_shared: Observations of reflections measured twice or more, which decided.
        decay: What damage there is; None where it was not looked for.
    """

    scale: np.ndarray
    crystal_log_scale: np.ndarray
    relative_B: np.ndarray
    n_shared: int
    decay: Decay | None = None

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "crystal_log_scale": [float(x) for x in self.crystal_log_scale],
            "relative_B": [float(x) for x in self.relative_B],
            "n_shared": self.n_shared,
            "decay": self.decay and self.decay.as_dict(),
        }


def _totals(
    of_shell: tuple[np.ndarray, int], observed: CrystalGroup
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Count the observations of each crystal in each shell of resolution, and add them up.

    Args:
        of_shell: The shell of each unique reflection, and how many there are.
        observed: A group of k crystals.

    Returns:
        Numbers, shape (k, shells), and sums of what is positive by crystal and by shell.
    """
    shell, n = of_shell
    own, k = shell[observed.unique], observed.n_crystals
    number = np.bincount(observed.crystal * n + own, minlength=k * n).reshape(k, n)
    positive = np.maximum(observed.intensity, 0)
    of_crystal = group_sums(positive, observed.crystal, k)
    return number, of_crystal, group_sums(positive, own, n)


def _initial_log_scales(groups: CrystalGroups) -> np.ndarray:
    """Compare each crystal's total with that of all crystals at its resolutions."""
    measured = groups.measured
    order = np.argsort(np.argsort(measured.d_star_sq, kind="stable"), kind="stable")
    n_shells = max(measured.n_unique // 50, 1)
    shell = order * n_shells // measured.n_unique
    told = groups.told(_totals, (shell, n_shells), [(o,) for o in groups.observed])
    numbers, of_crystal, of_shell = zip(*told)
    number, found = groups.of_crystals(numbers), groups.of_crystals(of_crystal)
    total, log_scale = added_up(of_shell), np.zeros(measured.n_experiments)
    for _ in range(5):
        # Not as products of matrices, whose rounding depends on the number of threads.
        level = np.einsum("cs,c->s", number, np.exp(log_scale))
        mean = total / np.maximum(level, 1e-300)
        expected = np.einsum("cs,s->c", number, mean)
        usable = (expected > 0) & (found > 0)
        log_scale[usable] = np.log(found[usable] / expected[usable])
    return log_scale


class ScaleFit:
    """
    Crystals on one scale.

    Attributes:
        groups: The observations.
        parameters: Nodes and B of the crystals of each group.
        shift: What is taken off the logarithms of scales that they give.
    """

    def __init__(self, groups: CrystalGroups) -> None:
        measured = groups.measured
        self.groups, self.shift = groups, 0.0
        self.shared = np.bincount(measured.unique, minlength=measured.n_unique) > 1
        d_star_sq = measured.d_star_sq
        of_all = -0.5 * (d_star_sq - d_star_sq.mean()), self.shared
        own = [*zip(groups.observed, groups.angles)]
        self.placed = groups.keep(scale_groups.place, of_all, own)
        self.counts = [*groups.told(_count, None, [(p,) for p in self.placed])]
        level = groups.cut_crystals(_initial_log_scales(groups))
        self.parameters = [
            np.append(np.repeat(x[:, None], n.max(), axis=1), 0 * x[:, None], axis=1)
            for x, n in zip(level, self.counts)
        ]

    def run(self, rounds: int = ROUNDS) -> None:
        """Alternate merging and scaling, where anything was measured twice."""
        groups, n = self.groups, len(self.groups.measured)
        start = [p.copy() for p in self.parameters]
        has_scale = [np.ones(k, dtype=bool) for k in groups.n_crystals]
        merged = None
        for _ in range(rounds if self.shared.any() else 0):
            if merged is None:
                merged = self._merged(None, has_scale)
            merged = self._merged(merged, has_scale)
            tasks = [*zip(self.placed, self.parameters, start)]
            steps = [*groups.told(scale_groups.step, (merged, self.shift), tasks)]
            mean_B = sum(s.known_B for s in steps) / sum(s.known for s in steps)
            self.parameters = [_less_B(s.parameters, mean_B) for s in steps]
            has_scale = [s.has_scale for s in steps]
            self.shift = sum(s.log_scale - mean_B * s.x_B for s in steps) / n

    def _merged(self, merged: np.ndarray | None, has_scale: list) -> np.ndarray:
        tasks = [*zip(self.placed, self.parameters, has_scale)]
        told = self.groups.told(scale_groups.sums, (merged, self.shift), tasks)
        sums = added_up(told)
        if merged is None:
            sums[1] = np.maximum(sums[1], 1)
        return merged_from(sums)

    def handles(self) -> list[tuple]:
        """Give what scale_groups.scales takes of each group."""
        return [*zip(self.placed, self.parameters)]

    def scales(self) -> Scales:
        """Give the scales of observations, and of crystals."""
        groups = self.groups
        told = groups.told(scale_groups.log_scales, None, self.handles())
        logarithm = groups.joined(told)
        logarithm -= self.shift
        means = [
            np.sum(p[:, :-1] * (np.arange(p.shape[1] - 1) < n[:, None]), axis=1) / n
            for p, n in zip(self.parameters, self.counts)
        ]
        return Scales(
            scale=np.exp(logarithm),
            crystal_log_scale=groups.of_crystals(means),
            relative_B=groups.of_crystals(p[:, -1] for p in self.parameters),
            n_shared=int(np.count_nonzero(self.shared[groups.measured.unique])),
        )

    def r_meas(self) -> float:
        """Give R_meas with equal weights (rfactor.merging.r_meas) on these scales."""
        groups, own = self.groups, self.handles()
        first = groups.told(scale_groups.plain_sums, self.shift, own)
        total, number = added_up(first)
        mean = total / np.maximum(number, 1)
        told = groups.told(scale_groups.misfit, (self.shift, mean, number), own)
        misfit, of_all = added_up(told)
        return float(misfit / of_all) if of_all > 0 else float("nan")


def _less_B(parameters: np.ndarray, B: float) -> np.ndarray:
    found = parameters.copy()
    found[:, -1] -= B
    return found


def _count(_, placed: Placed) -> np.ndarray:
    return placed.n_nodes


def fit_scales(
    measured: Observations,
    rounds: int = ROUNDS,
    groups: CrystalGroups | None = None,
) -> Scales:
    """
    Put all crystals, and all parts of each, on one scale.

    Args:
        measured: n observations.
        rounds: Alternations.
        groups: The same observations, where they were cut into groups before.

    Returns:
        The scales. Crystals that share nothing are scaled by their mean intensity at
        each resolution.

    Source: the alternation of Hamilton, Rollett & Sparks (1965), Acta Cryst. 18, 129.
    """
    fit = ScaleFit(groups or CrystalGroups.of(measured))
    fit.run(rounds)
    return fit.scales()
