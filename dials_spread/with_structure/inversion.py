"""
Amplitudes of all reflections from all observations, by weighted least squares.

Around amplitudes F, the intensity of observation i is I_i + Σ_v J_iv δ_v. The changes δ
minimise

    Σ_i w_i (y_i - I_i - J_i δ)² + Σ_v (F_v + δ_v - F⁰_v)² / (c σ⁰_v)²,

F⁰ and σ⁰ being the estimate of the first correction and its error. An observation that
hardly depends on its |F| counts little, and a reflection that no observation determines
keeps its first estimate, with its large error. c says how far observations are followed: part
of σ⁰ is what all observations of a reflection are wrong by, and which they cannot mend. It is
found from observations that are left out (cross_validation).

1/w_i is made of the counting error and of what the calculation is wrong by, which is found
from the residuals: e² = 4 E² s² + 2 s⁴ with s² = a² + b² E², of normalised intensities, as
in correction.apply.table_errors. What is wrong with the calculation is partly the same for
all observations of a reflection (phases, missing atoms, thickness), so that n of them are
worth n / (1 + ρ (n - 1)) independent ones, with the intraclass correlation ρ (Kish (1965),
Survey Sampling, section 5.4).

How much of it is the same for all, no residual tells: what is the same has become part of the
amplitude, in every crystal. So ρ is only used for weights. Errors of amplitudes take all of e
for common to the observations of a reflection, and to its first estimate, which comes from
the same intensities; counting errors alone become smaller with the number of observations.
With A the normal matrix, g_v = Σ w_i e_i J_i over the observations of reflection v plus
s_v / (c σ⁰_v)² in its own place, and σ⁰² - s² for σ⁰², errors are the diagonal of

    A⁻¹ (σ⁰²/(c σ⁰)⁴ + Σ_i w_i² (k σ_i)² J_i J_iᵀ + Σ_v g_v g_vᵀ) A⁻¹

(White (1982), Econometrica 50, 1, of clusters, with the errors of the law in place of
residuals).

Classes:
    FirstEstimate: what is known before
    LinearisedObservations: what observations are around some amplitudes
    ResidualLaw: of observations
    InversionStep: a solution
    WeighedObservations: what they say, whatever is believed of the first estimate

Functions:
    fit_residual_law: from residuals
    solve: one linear step
    weigh: observations for it
    step_of: its amplitudes alone
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from scipy import linalg, optimize

from dials_spread.stages import stage
from dials_spread.statistics import ONE_SIGMA

INTRACLASS = 0.25
"""Part of the variance of errors that observations of a reflection share: measured on
simulated compounds with 15 % of the atoms left out (benchmarks/with_structure.py)."""

ROBUST = 2.0
"""Standard deviations beyond which a residual counts by its size, not its square."""

LARGEST_STEP = 0.6
"""Of an amplitude in one step, relative to it or to SMALL of the expected one."""

SMALL, LEAST = 0.3, 0.02
"""Of the expected amplitude: below the first, relative steps say nothing; no amplitude
becomes less than the second."""

BOUNDS = ((0.0, np.log(5.0)), (np.log(1e-3), np.log(2.0)), (np.log(1e-3), np.log(2.0)))
"""Of the logarithms of k, a and b."""


@dataclass(frozen=True)
class FirstEstimate:
    """
    What is known of amplitudes before; arrays of shape (u,), on the scale of F [Å].

    Attributes:
        F: First estimate.
        sigma: Its standard deviation.
        expected: √⟨F²⟩ at the resolution of each.
        width: c, how many of its errors an amplitude may move for one standard deviation
            of the observations.
    """

    F: np.ndarray
    sigma: np.ndarray
    expected: np.ndarray
    width: float = 1.0

    @property
    def precision(self) -> np.ndarray:
        """Its weight, shape (u,) [1/Å²]."""
        return 1 / (self.width * self.sigma) ** 2


@dataclass(frozen=True)
class LinearisedObservations:
    """
    Observations, and what they are around some amplitudes; n of them, of u reflections.

    Attributes:
        intensity, counted: Shape (n,), measured intensities and their counting errors, on
            the scale of the calculated ones [Å²].
        calculated: Shape (n,), intensities with amplitudes F [Å²]; nan where unknown.
        jacobian: Shape (n, u), derivatives of these with respect to F.
        unique: Shape (n,), the reflection of each.
        F: Shape (u,) [Å].
    """

    intensity: np.ndarray
    counted: np.ndarray
    calculated: np.ndarray
    jacobian: scipy.sparse.csr_matrix
    unique: np.ndarray
    F: np.ndarray

    @property
    def own_response(self) -> np.ndarray:
        """Shape (n,), the derivative of each with respect to its own |F|."""
        rows = np.arange(len(self.unique))
        return np.asarray(self.jacobian[rows, np.array(self.unique)]).ravel()

    def predict(self, new: np.ndarray) -> np.ndarray:
        """
        Predict intensities with other amplitudes.

        Args:
            new: Shape (u,), the other amplitudes.

        Returns:
            Shape (n,): to first order, and to second in the amplitude of the reflection
            itself, to which an intensity is quadratic in single scattering.
        """
        change, unique = new - self.F, np.array(self.unique)
        second = self.own_response * change[unique] ** 2 / (2 * self.F[unique])
        return self.calculated + self.jacobian @ change + second


@dataclass(frozen=True)
class ResidualLaw:
    """
    Errors of observations.

    Attributes:
        k: By which counting errors are too small.
        a, b: Of the calculation, see above.
    """

    k: float
    a: float
    b: float

    def amplitude(self, E: np.ndarray) -> np.ndarray:
        """Errors of normalised amplitudes, s, any shape."""
        return np.hypot(self.a, self.b * E)

    def sigma(self, E: np.ndarray, counted: np.ndarray) -> np.ndarray:
        """Standard deviations of normalised intensities, all of shape (n,)."""
        s_sq = self.amplitude(E) ** 2
        return np.sqrt((self.k * counted) ** 2 + 4 * E**2 * s_sq + 2 * s_sq**2 + 1e-12)

    def as_dict(self) -> dict[str, float]:
        """Give what goes into a JSON file."""
        return {"k": self.k, "a": self.a, "b": self.b}


@dataclass(frozen=True)
class InversionStep:
    """
    A solution.

    Attributes:
        F: Shape (u,) [Å].
        sigma: Shape (u,), its standard deviations, errors of the calculation being taken
            for common to all observations of a reflection.
        law: Errors of observations.
        information: Shape (u,), the part of each amplitude that the observations have
            decided, 0 to 1; the rest is the first estimate.
        width: c, of the first estimate.
    """

    F: np.ndarray
    sigma: np.ndarray
    law: ResidualLaw
    information: np.ndarray
    width: float = 1.0

    @property
    def undetermined(self) -> np.ndarray:
        """Shape (u,), bool: observations say less than the first estimate with error σ⁰."""
        return self.information < self.width**2 * (1 - self.information)


def fit_residual_law(
    off: np.ndarray, counted: np.ndarray, E: np.ndarray
) -> ResidualLaw:
    """
    Find the errors of observations from residuals.

    Args:
        off: Shape (n,), residuals of normalised intensities.
        counted: Shape (n,), their counting errors.
        E: Shape (n,), calculated normalised amplitudes.

    Returns:
        Such that 68 % of the residuals lie within one standard deviation. Errors have
        heavy tails: the likelihood is that of Laplace's distribution.
    """

    def law(p: np.ndarray) -> ResidualLaw:
        return ResidualLaw(*(float(x) for x in np.exp(p)))

    def minus(p: np.ndarray) -> float:
        width = law(p).sigma(E, counted)
        return float(np.mean(np.log(width) + np.sqrt(2) * np.abs(off) / width))

    start = np.log([1.2, 0.05, 0.1])
    found = law(optimize.minimize(minus, start, method="L-BFGS-B", bounds=BOUNDS).x)
    stretch = np.quantile(np.abs(off) / found.sigma(E, counted), ONE_SIGMA)
    low = max(float(stretch), 0.2)
    return ResidualLaw(max(found.k * low, 1.0), found.a * low, found.b * low)


@stage("Least squares of amplitudes")
def solve(
    observations: LinearisedObservations,
    prior: FirstEstimate,
    use: np.ndarray,
    intraclass: float = INTRACLASS,
    law_from: np.ndarray | None = None,
) -> InversionStep:
    """
    Improve amplitudes by one linear step.

    Args:
        observations: n of them, linearised.
        prior: What is known before.
        use: Shape (n,), which observations count.
        intraclass: ρ.
        law_from: Shape (n,), observations from whose residuals their errors are found:
            those that F was not fitted to. All that count by default.
    """
    weighed = weigh(observations, prior, use, intraclass, law_from)
    normal, right = _equations(weighed, observations.F, prior)
    inverse = linalg.inv(normal)
    new = _moved(observations.F, inverse @ right, prior)
    share = np.clip(1 - np.diag(inverse) * prior.precision, 0.0, 1.0)
    law, weight, counting = weighed.law, weighed.weight, weighed.counting
    calculation = np.sqrt(np.maximum(weighed.sigma**2 - counting**2, 0))
    of_first = law.amplitude(new / prior.expected) * prior.expected
    told = _errors(
        inverse, weighed.jacobian, weighed.unique, prior, weight * counting,
        weight * calculation, of_first,
    )  # fmt: skip
    return InversionStep(new, told, law, share, prior.width)


@dataclass(frozen=True)
class WeighedObservations:
    """
    Observations with their weights, m of them, of u reflections.

    Attributes:
        unique: Shape (m,).
        jacobian: Derivatives, shape (m, u).
        law: Errors of observations.
        sigma, counting: Shape (m,), all of their errors and those of counting [Å²].
        weight: Shape (m,) [1/Å⁴].
        normal, right: Σ w J Jᵀ, shape (u, u), and Σ w (y - I) J, shape (u,).
    """

    unique: np.ndarray
    jacobian: scipy.sparse.csr_matrix
    law: ResidualLaw
    sigma: np.ndarray
    counting: np.ndarray
    weight: np.ndarray
    normal: np.ndarray
    right: np.ndarray


def weigh(
    observations: LinearisedObservations,
    prior: FirstEstimate,
    use: np.ndarray,
    intraclass: float = INTRACLASS,
    law_from: np.ndarray | None = None,
) -> WeighedObservations:
    """Give what observations say, whatever is believed of the first estimate; see solve."""
    law = _law(observations, prior, use if law_from is None else law_from)
    rows = np.flatnonzero(use & np.isfinite(observations.calculated))
    own, J = observations.unique[rows], observations.jacobian[rows]
    I, counted = observations.calculated[rows], observations.counted[rows]
    off, N = observations.intensity[rows] - I, prior.expected[own] ** 2
    sigma = law.sigma(np.sqrt(np.maximum(I, 0) / N), counted / N) * N
    n = np.bincount(own, minlength=len(observations.F))[own]
    z = np.abs(off) / sigma
    weight = np.minimum(1.0, ROBUST / np.maximum(z, 1e-9)) / sigma**2
    weight /= 1 + intraclass * (n - 1)
    return WeighedObservations(
        own, J, law, sigma, law.k * counted, weight, _squares(J, weight),
        J.T @ (weight * off),
    )  # fmt: skip


def step_of(
    weighed: WeighedObservations, F: np.ndarray, prior: FirstEstimate
) -> np.ndarray:
    """Give the amplitudes of solve alone, shape (u,) [Å]: much faster than with errors."""
    normal, right = _equations(weighed, F, prior)
    return _moved(F, linalg.solve(normal, right, assume_a="pos"), prior)


def _equations(
    weighed: WeighedObservations, F: np.ndarray, prior: FirstEstimate
) -> tuple[np.ndarray, np.ndarray]:
    """Give normal matrix and right side, the first estimate included."""
    normal = weighed.normal.copy()
    normal[np.diag_indices_from(normal)] += prior.precision
    return normal, weighed.right - (F - prior.F) * prior.precision


def _moved(F: np.ndarray, change: np.ndarray, prior: FirstEstimate) -> np.ndarray:
    """Give amplitudes after a step, not too long and not negative."""
    limit = LARGEST_STEP * np.maximum(F, SMALL * prior.expected)
    return np.maximum(F + np.clip(change, -limit, limit), LEAST * prior.expected)


def _law(
    observations: LinearisedObservations, prior: FirstEstimate, use: np.ndarray
) -> ResidualLaw:
    """Find the errors of some observations."""
    rows = np.flatnonzero(use & np.isfinite(observations.calculated))
    y, I = observations.intensity[rows], observations.calculated[rows]
    N = prior.expected[observations.unique[rows]] ** 2
    E = np.sqrt(np.maximum(I, 0) / N)
    return fit_residual_law((y - I) / N, observations.counted[rows] / N, E)


def _errors(
    inverse: np.ndarray,
    J: scipy.sparse.csr_matrix,
    unique: np.ndarray,
    prior: FirstEstimate,
    counting: np.ndarray,
    calculation: np.ndarray,
    of_first: np.ndarray,
) -> np.ndarray:
    """
    Give errors of amplitudes, see above.

    Args:
        inverse: A⁻¹, shape (u, u).
        J, unique: Derivatives and reflection of each observation.
        prior: What is known before.
        counting, calculation: Shape (n,), errors of observations times their weights.
        of_first: Shape (u,), error of the calculation in the first estimate.
    """
    noise = _squares(J, counting**2)
    of_first = np.minimum(of_first, prior.sigma)
    own = (prior.sigma**2 - of_first**2) * prior.precision**2
    noise[np.diag_indices_from(noise)] += own
    n, u = J.shape
    of = scipy.sparse.csr_matrix((calculation, (np.arange(n), unique)), (n, u))
    shared = np.asarray((J.T @ of).todense())
    shared[np.diag_indices_from(shared)] += of_first * prior.precision
    variance = np.sum((inverse @ noise) * inverse, axis=1)
    return np.sqrt(variance + np.sum((inverse @ shared) ** 2, axis=1))


def _squares(J: scipy.sparse.csr_matrix, weight: np.ndarray) -> np.ndarray:
    """Give Σ weight J Jᵀ over observations, shape (u, u)."""
    return np.asarray((J.T @ scipy.sparse.diags(weight) @ J).todense())
