"""Agreement with structure factors: by crystal, image, resolution shell and merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.observations import Observations
from dials_spread.rfactor.merging import (
    Likelihood,
    Merged,
    correlation,
    likelihood,
    merge,
    r_meas,
)
from dials_spread.rfactor.r1 import RFactors, finite_or_none, r_factors
from dials_spread.rfactor.shells import Shells, resolution_shells

N_SHELLS = 10
"""Resolution shells of a report."""


@dataclass(frozen=True)
class Assessment:
    """
    How well intensities agree with structure factors.

    Attributes:
        merged: All unique reflections, in a single group.
        crystal: By crystal, its observations merged among themselves; one group for
            each experiment, empty ones included.
        image: By image, observation by observation.
        shell: By resolution shell, of the merged intensities with one scale a shell.
        shells: Their limits.
        cc: Correlation of merged intensities with F_c².
        likelihood: Of the merged intensities.
        r_meas: Agreement of the observations with one another.
        n_repeated: Unique reflections that r_meas rests on.
    """

    merged: RFactors
    crystal: RFactors
    image: RFactors
    shell: RFactors
    shells: Shells
    cc: float
    likelihood: Likelihood
    r_meas: float
    n_repeated: int

    def as_dict(self) -> dict:
        """Give all but the images' in numbers that JSON can hold."""
        merged = {key: value[0] for key, value in self.merged.as_dict().items()}
        names = ("cc", "r_meas", "log_likelihood", "relative_misfit", "floor")
        values = finite_or_none(
            np.array(
                [
                    self.cc,
                    self.r_meas,
                    self.likelihood.per_reflection,
                    self.likelihood.relative_misfit,
                    self.likelihood.floor,
                ]
            )
        )
        merged.update(dict(zip(names, values)), n_repeated=self.n_repeated)
        return {
            "merged": merged,
            "crystal": self.crystal.as_dict(),
            "shell": {
                "d_max": finite_or_none(self.shells.d_max),
                "d_min": finite_or_none(self.shells.d_min),
                **self.shell.as_dict(),
            },
        }


def merge_by_crystal(
    observations: Observations,
    intensity: np.ndarray,
    variance: np.ndarray,
    weight: np.ndarray | None = None,
) -> tuple[Merged, np.ndarray, np.ndarray]:
    """
    Merge each crystal's observations among themselves.

    Args:
        observations: n of them.
        intensity: Shape (n,).
        variance: Shape (n,).
        weight: Shape (n,); equal weights by default.

    Returns:
        The means; the crystal and the unique reflection of each.
    """
    span = len(observations.unique_index)
    key, number = np.unique(
        observations.crystal.astype(np.int64) * span + observations.unique,
        return_inverse=True,
    )
    merged = merge(intensity, variance, np.ravel(number), len(key), weight)
    return merged, key // span, key % span


def assess(
    observations: Observations,
    f_calc: np.ndarray,
    intensity: np.ndarray | None = None,
    variance: np.ndarray | None = None,
    n_shells: int = N_SHELLS,
    weighted: bool = False,
) -> Assessment:
    """
    Compare observations with structure factors.

    Args:
        observations: n of u unique reflections. To be merged they must be on one scale.
        f_calc: Shape (u,), reference amplitudes; nan where there is none.
        intensity: Shape (n,), instead of the observations' own: corrected or scaled.
        variance: Shape (n,), likewise.
        n_shells: Number of resolution shells.
        weighted: Merge with weights 1/σ², as dials.merge does; else with equal ones.

    Returns:
        R1 by crystal, image, shell and merged, and what stands beside it.
    """
    I = observations.intensity if intensity is None else intensity
    var = observations.variance if variance is None else variance
    n_unique = len(observations.unique_index)
    weight = 1 / var if weighted else None
    merged = merge(I, var, observations.unique, n_unique, weight)
    shells = resolution_shells(observations.d_spacing, n_shells)
    own, crystal, unique = merge_by_crystal(observations, I, var, weight)
    entry = observations.entry
    repeated, n_repeated = r_meas(I, observations.unique, n_unique)

    def compare(of: Merged, f_c: np.ndarray, group: np.ndarray, n_groups: int):
        return r_factors(of.intensity, of.sigma, f_c, group, n_groups)

    return Assessment(
        merged=compare(merged, f_calc, np.zeros(n_unique, dtype=int), 1),
        crystal=compare(own, f_calc[unique], crystal, len(observations.dataset)),
        image=r_factors(
            I[entry],
            np.sqrt(var[entry]),
            f_calc[observations.unique[entry]],
            observations.entry_image,
            len(observations.images),
        ),
        shell=compare(merged, f_calc, shells.shell, len(shells)),
        shells=shells,
        cc=correlation(merged.intensity, f_calc),
        likelihood=likelihood(merged.intensity, merged.sigma, f_calc),
        r_meas=repeated,
        n_repeated=n_repeated,
    )
