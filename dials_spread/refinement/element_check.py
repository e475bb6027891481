"""
Whether the elements of a structure scatter as much as they do in the crystal.

All atoms of one element are taken to scatter q times what the element does, with one
further displacement ΔU for all of them,

    Ic(h) = k |Σ_e q_e F_e(h) exp(-2π² ΔU_e / d²)|²,

k, q and ΔU by least squares with the weights of the refinement; the element that scatters
most has q = 1, hydrogen neither q nor ΔU. Where an element is wrong, q is near the ratio of
the form factors. Standard uncertainties hold the goodness of fit, where that is above 1.

Classes:
    ElementScattering: q of one element

Functions:
    check_elements: of all elements
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import miller
from cctbx.array_family import flex

from dials_spread.refinement.merged_data import refinable
from dials_spread.refinement.model import electron_model
from dials_spread.refinement.result import Refinement
from dials_spread.refinement.weights import shelxl_weights
from dials_spread.scattering.form_factors import parse_type

OBSERVATIONS_WANTED = 10
"""For each parameter."""

ROUNDS = 20
DONE = 1e-4
LARGEST_STEP = 0.3


@dataclass(frozen=True)
class ElementScattering:
    """
    How much one element scatters.

    Attributes:
        element: Symbol.
        n: Atoms of it.
        ratio: q, over what the element scatters.
        su: Its standard uncertainty.
        relative_to: The element whose q is 1.
    """

    element: str
    n: int
    ratio: float
    su: float
    relative_to: str

    @property
    def z(self) -> float:
        """By how many standard uncertainties q is not 1."""
        return (self.ratio - 1) / self.su


def check_elements(
    refinement: Refinement, array: miller.array
) -> tuple[ElementScattering, ...]:
    """
    Fit how much each element scatters.

    Args:
        refinement: Of the structure.
        array: The intensities that it was refined against.

    Returns:
        One for each element but hydrogen and that which scatters most; none where there is
        one alone, or too few reflections.
    """
    f_sq = refinable(refinement.reference, array).f_sq
    names, counts, parts = _parts(refinement, f_sq)
    heavy = [i for i, name in enumerate(names) if name != "H"]
    if len(heavy) < 2 or f_sq.size() < OBSERVATIONS_WANTED * 2 * len(heavy):
        return ()
    power = [np.sum(np.abs(parts[i]) ** 2) for i in heavy]
    most = heavy[int(np.argmax(power))]
    free = [i for i in heavy if i != most]
    found = _fit(f_sq, refinement, parts, heavy, free)
    if found is None:
        return ()
    q, su = found
    return tuple(
        ElementScattering(names[i], counts[i], float(a), float(b), names[most])
        for i, a, b in zip(free, q, su)
    )


def _parts(refinement: Refinement, f_sq: miller.array):
    """Elements, numbers of their atoms, and the structure factors of each."""
    structure = refinement.structure
    kinds = [parse_type(s.scattering_type)[0] for s in structure.scatterers()]
    names = sorted(set(kinds))
    parts = []
    for name in names:
        own = structure.select(flex.bool([kind == name for kind in kinds]))
        model = electron_model(own, f_sq.d_min())
        calculated = f_sq.structure_factors_from_scatterers(model, algorithm="direct")
        parts.append(np.array(calculated.f_calc().data()))
    return names, [kinds.count(name) for name in names], parts


def _fit(f_sq, refinement, parts, heavy, free):
    """q of the free elements and their uncertainties; None without a minimum."""
    d_star_sq = np.array(f_sq.d_star_sq().data())
    I = np.array(f_sq.data()) / refinement.scale
    sigma = np.array(f_sq.sigmas()) / refinement.scale
    whole = np.abs(np.sum(parts, axis=0)) ** 2
    weight = shelxl_weights(I, sigma, whole, *refinement.weights)
    root = np.sqrt(weight)
    n_q = len(free)
    p = np.concatenate([[0.0], np.ones(n_q), np.zeros(len(heavy))])
    for _ in range(ROUNDS):
        calculated, matrix = _model(p, parts, heavy, free, d_star_sq)
        wanted = root * (I - calculated)
        normal = (matrix * root[:, None]).T @ (matrix * root[:, None])
        try:
            inverse = np.linalg.inv(normal)
        except np.linalg.LinAlgError:
            return None
        step = inverse @ (matrix.T @ (root * wanted))
        if not np.all(np.isfinite(step)):
            return None
        p = p + np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if np.abs(step).max() < DONE:
            freedom = max(len(I) - len(p), 1)
            fit = max(float(np.sum(wanted**2) / freedom), 1.0)
            su = np.sqrt(np.diag(inverse) * fit)
            return p[1 : 1 + n_q], su[1 : 1 + n_q]
    return None


def _model(p, parts, heavy, free, d_star_sq):
    """Intensities, and their derivatives by ln k, q and ΔU; shape (n,) and (n, p)."""
    q = dict.fromkeys(heavy, 1.0)
    q.update(zip(free, p[1 : 1 + len(free)]))
    extra = dict(zip(heavy, p[1 + len(free) :]))
    damped = {i: parts[i] * np.exp(-2 * np.pi**2 * extra[i] * d_star_sq) for i in heavy}
    rest = [parts[i] for i in range(len(parts)) if i not in heavy]
    F = sum(q[i] * damped[i] for i in heavy) + sum(rest)
    k = np.exp(p[0])
    calculated = k * np.abs(F) ** 2

    def slope(change: np.ndarray) -> np.ndarray:
        return 2 * k * np.real(np.conj(F) * change)

    columns = [calculated]
    columns += [slope(damped[i]) for i in free]
    columns += [slope(-2 * np.pi**2 * d_star_sq * q[i] * damped[i]) for i in heavy]
    return calculated, np.column_stack(columns)
