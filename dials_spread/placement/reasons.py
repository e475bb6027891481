"""
Where branches differ, and what dials.scale makes of it.

What dials.scale can call scale, absorption or decay, it takes out of intensities; what it
cannot, its error model takes for an error, and what it takes for outliers it rejects.
Before the correction, multiple scattering is among all three.

Functions:
    error_model_table: a, b and 1/(ab) of each branch
    scale_changes: how scale factors differ between branches
    lost: what each branch rejected
    most_different: reflections on which two branches differ most
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from dials_spread.placement.common_set import CommonSet
from dials_spread.rfactor import amplitudes

NOT_FITTED = (1.0, 0.02)
"""a and b that the error model of dials.scale begins with."""


@dataclass(frozen=True)
class ScalingSummary:
    """
    What dials.scale made of one branch.

    Attributes:
        a, b: Of the error model σ'² = a²(σ² + (bI)²); nan where unknown.
        isa: 1/(ab), the I/σ that no reflection exceeds; nan where no error model was
            fitted.
        n_observations: Used.
        n_outliers: Rejected by dials.scale, and not taken in by a correction since.
        n_excluded: Left out for other reasons.
        log_scale_sd: Standard deviation of ln(scale factor) over observations.
    """

    a: float
    b: float
    isa: float
    n_observations: int
    n_outliers: int
    n_excluded: int
    log_scale_sd: float

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def scaling_summary(common: CommonSet, branch: str) -> ScalingSummary:
    """
    Summarise what dials.scale made of a branch.

    Args:
        common: All branches.
        branch: Its name.
    """
    own = common.data[branch]
    a, b = own.error_model or (np.nan, np.nan)
    # With too few reflections dials.scale fits no error model and keeps its first values.
    fitted = (a, b) != NOT_FITTED and a * b > 1e-6
    dropped = own.observations.dropped
    outliers = dropped.get("outlier in scaling", 0)
    scale = np.log(_scale_factors(common, branch))
    return ScalingSummary(
        a=float(a),
        b=float(b),
        isa=float(1 / (a * b)) if fitted else float("nan"),
        n_observations=len(own.observations),
        n_outliers=int(outliers),
        n_excluded=int(sum(dropped.values()) - outliers),
        log_scale_sd=float(np.nanstd(scale)),
    )


def _scale_factors(common: CommonSet, branch: str) -> np.ndarray:
    """Give inverse scale factors of the observations of a branch."""
    own = common.data[branch]
    found = np.full(len(own.observations), np.nan)
    for k, table in enumerate(own.tables):
        mine = own.observations.crystal == k
        values = table["inverse_scale_factor"].as_numpy_array()
        found[mine] = values[own.observations.row[mine]]
    return np.where(found > 0, found, np.nan)


@dataclass(frozen=True)
class DifferentReflection:
    """
    One reflection on which two branches differ.

    Attributes:
        miller_index: In the asymmetric unit.
        d: [Å].
        f: Amplitude of each of the two branches, and of the structure, on the scale of
            the structure; nan where there is none.
    """

    miller_index: tuple[int, int, int]
    d: float
    f: tuple[float, float, float]

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def most_different(
    common: CommonSet,
    one: str,
    other: str,
    f_calc: np.ndarray,
    n: int = 10,
) -> list[DifferentReflection]:
    """
    List the reflections whose amplitudes differ most between two branches.

    Args:
        common: All branches.
        one, other: Names of branches.
        f_calc: Shape (u,), of the structure.
        n: How many.

    Returns:
        The largest absolute difference first, amplitudes on the scale of the structure.
    """
    used = common.in_all & np.isfinite(f_calc)
    f = []
    for name in (one, other):
        own = amplitudes(common.merged[name].intensity)
        f.append(own * np.sum(f_calc[used]) / np.sum(own[used]))
    apart = np.where(used, np.abs(f[0] - f[1]), -1.0)
    order = np.argsort(-apart, kind="stable")[: min(n, int(used.sum()))]
    return [
        DifferentReflection(
            (int(h), int(k), int(l)),
            float(common.d_spacing[i]),
            (float(f[0][i]), float(f[1][i]), float(f_calc[i])),
        )
        for i in order
        for h, k, l in [common.unique_index[i]]
    ]
