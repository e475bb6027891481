"""
How good amplitudes are that a model found for what it had not seen.

R1 is of each compound on its own; of several the mean counts, each as much as another.

Functions:
    score: of one method under one split
    law_amplitudes: the control that is fitted to the answer itself
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dials_spread.correction.validate.controls import apply_law, fit_law
from dials_spread.correction.validate.learning import LearningData, merge_rows
from dials_spread.rfactor import amplitudes, merge, r_factor
from dials_spread.rfactor.merging import correlation, likelihood, r_meas
from dials_spread.rfactor.r1 import r1_gain


@dataclass(frozen=True)
class CompoundScore:
    """
    The score of one compound.

    Attributes:
        compound: Name of its reference.
        r1: Of merged amplitudes against the reference.
        n: Reflections compared.
        gain: R1 of no correction less this one.
        gain_su: Its standard uncertainty over reflections.
        cc: Correlation of merged intensities with those of the reference.
        log_likelihood: Of a merged intensity, the mean; all methods with the σ of the
            merged observations, so that nothing but the intensities differs.
        r_meas: Of observations; nan for a method that says nothing of single ones.
    """

    compound: str
    r1: float
    n: int
    gain: float
    gain_su: float
    cc: float
    log_likelihood: float
    r_meas: float


@dataclass(frozen=True)
class Score:
    """
    How good amplitudes by one method are under one split.

    Attributes:
        split: "crystal", "reflection" or "compound".
        method: "model", or a control: "none"; "amplitudes", the mean of signed amplitudes
            instead of intensities, without learning; "resolution", "shuffled", "law".
        r1, gain, cc, log_likelihood, r_meas: Mean over compounds.
        n: Reflections compared, of all compounds.
        gain_su: Standard uncertainty of the gain: over reflections, and not less than
            what the scatter of compounds makes of it where these are what was unseen.
        compounds: Of each.
    """

    split: str
    method: str
    r1: float
    n: int
    gain: float
    gain_su: float
    cc: float
    log_likelihood: float
    r_meas: float
    compounds: tuple[CompoundScore, ...]

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {**asdict(self), "compounds": [asdict(c) for c in self.compounds]}


def score(
    data: LearningData,
    split: str,
    method: str,
    F: np.ndarray,
    tested: np.ndarray,
    single: np.ndarray | None = None,
) -> Score:
    """
    Compare amplitudes with the truth, and with no correction.

    Args:
        data: n observations of u reflections.
        split: What had not been seen.
        method: By which the amplitudes were found.
        F: Shape (u,), amplitudes; nan where nothing was tested.
        tested: Shape (n,), bool: observations that they are from.
        single: Shape (n,), intensities of single observations, for R_meas.
    """
    variance = data.sigma**2
    merged = merge(
        data.intensity[tested],
        variance[tested],
        data.unique[tested],
        data.n_unique,
    )
    each = []
    for k, compound in enumerate(data.compounds):
        own = data.compound_of == k
        if not np.any(np.isfinite(F[own]) & np.isfinite(data.f_calc[own])):
            continue
        rows = tested & (data.compound == k)
        repeated = np.nan
        if single is not None:
            repeated = r_meas(single[rows], data.unique[rows], data.n_unique)[0]
        plain = merged.intensity[own], merged.sigma[own]
        each.append(
            _of_compound(compound.name, F[own], *plain, data.f_calc[own], repeated)
        )
    return _mean(split, method, each)


def _of_compound(
    name: str,
    F: np.ndarray,
    intensity: np.ndarray,
    sigma: np.ndarray,
    f_calc: np.ndarray,
    repeated: float,
) -> CompoundScore:
    """Compare the amplitudes of one compound."""
    plain = amplitudes(intensity)
    f_c = np.where(np.isfinite(F) & np.isfinite(plain), f_calc, np.nan)
    r1, scale, n = r_factor(F, f_c)
    plain_scale = r_factor(plain, f_c)[1]
    gain, gain_su = r1_gain(plain, F, f_c)
    # σ is on the scale of the plain intensities; amplitudes may be on another.
    on_scale = sigma * (plain_scale / scale) ** 2 if scale > 0 else sigma
    return CompoundScore(
        compound=name,
        r1=r1,
        n=n,
        gain=gain,
        gain_su=gain_su,
        cc=correlation(F**2, f_c),
        log_likelihood=likelihood(F**2, on_scale, f_c).per_reflection,
        r_meas=repeated,
    )


def _mean(split: str, method: str, each: Sequence[CompoundScore]) -> Score:
    """Average over compounds."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in each]))

    n = len(each)
    su = float(np.sqrt(np.sum([one.gain_su**2 for one in each]))) / n
    if split == "compound" and n > 1:
        scatter = np.std([one.gain for one in each], ddof=1) / np.sqrt(n)
        su = max(su, float(scatter))
    return Score(
        split=split,
        method=method,
        n=sum(one.n for one in each),
        gain_su=su,
        compounds=tuple(each),
        r1=mean("r1"),
        gain=mean("gain"),
        cc=mean("cc"),
        log_likelihood=mean("log_likelihood"),
        r_meas=mean("r_meas"),
    )


def plain_amplitudes(data: LearningData, tested: np.ndarray) -> np.ndarray:
    """
    Give amplitudes of the plain mean of intensities.

    Args:
        data: n observations of u reflections.
        tested: Shape (n,), bool: observations that are merged.

    Returns:
        Shape (u,), nan where there is none.
    """
    return amplitudes(merge_rows(data, np.where(tested, data.intensity, np.nan)))


def law_amplitudes(data: LearningData, plain: np.ndarray) -> np.ndarray:
    """
    Apply the law with two parameters, fitted to each compound's answer.

    Args:
        data: Of u reflections.
        plain: Shape (u,), amplitudes without correction; nan where there are none.

    Returns:
        Shape (u,), each compound on a scale of its own.
    """
    F = np.full(len(plain), np.nan)
    for k in range(len(data.compounds)):
        own = (data.compound_of == k) & np.isfinite(plain)
        if own.any():
            F[own] = apply_law(plain[own], fit_law(plain[own], data.f_calc[own]))
    return F
