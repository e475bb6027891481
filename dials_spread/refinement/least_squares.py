"""
Full-matrix least squares on F² with smtbx.

Weights depend on Fc² and so on what is refined. They are kept while some cycles are made,
then renewed, until nothing moves: what SHELXL ends at too, which renews them each cycle.
What a cycle is: `normal_equations`. Where parameters are so correlated that its damping makes
progress slow, with weights that are steady, it is made less.

Functions:
    minimise: refine a model against intensities
    calculated_intensities: Fc²
    position_uncertainties: of the sites, from the covariance matrix
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cctbx import miller, xray
from smtbx.refinement.constraints import InvalidConstraint

from dials_spread.refinement.hydrogen import RidingGroup
from dials_spread.refinement.model import mean_square_displacements
from dials_spread.refinement.normal_equations import (
    CONVERGED,
    DAMPING,
    LEAST_DAMPING,
    MORE_DAMPING,
    Problem,
)
from dials_spread.refinement.weights import shelxl_weights, suggest_weights

# a and b of the first weights, before the model says anything about them.
FIRST_WEIGHTS = (0.2, 0.0)

# Cycles between two renewals of the weights at most; fewer where shifts fell to this part
# of the first ones. After so many renewals a and b stay.
CYCLES_WITH_WEIGHTS = 2
ENOUGH = 0.5
RENEWALS = 8

# New weights are taken as they are where they change by less than this part of the last
# change (root mean square, relative), and are steady where that is less than 0.02.
CALMER = 0.6
STEADY = 0.02

# An isotropic U that would fall below this [Å²] is held there.
FLOOR = 0.001

# Anisotropic U outside of these [Å²] is set back once, so that it does not run away.
RUNAWAY = (-0.05, 1.0)


@dataclass
class Fit:
    """
    Where a refinement stands.

    Attributes:
        model: The structure; smtbx changes it in place.
        f_sq: Intensities, on the scale of Fc².
        scale: By which measured intensities were divided.
        weights: a and b.
        weight: Shape (n,), w of each reflection.
        damping: By which the diagonal of the normal matrix is raised at first, relatively.
        fc_sq: Shape (n,).
        n_parameters: Refined, with the scale and without origins that float.
        n_cycles: Made.
        converged: Whether the last shifts were small.
        reason: Why not; empty otherwise.
        at_floor: Numbers of atoms whose U is held at its floor.
        set_back: Numbers of atoms whose U ran away once.
        covariance: Of the parameters of all atoms, in their order: site, then U; None
            where the normal matrix is singular.
    """

    model: xray.structure
    f_sq: miller.array
    scale: float = 1.0
    weights: tuple[float, float] = FIRST_WEIGHTS
    weight: np.ndarray = field(default_factory=lambda: np.empty(0))
    damping: float = DAMPING
    fc_sq: np.ndarray = field(default_factory=lambda: np.empty(0))
    n_parameters: int = 0
    n_cycles: int = 0
    converged: bool = False
    reason: str = ""
    at_floor: set[int] = field(default_factory=set)
    set_back: set[int] = field(default_factory=set)
    covariance: np.ndarray | None = None


def minimise(
    model: xray.structure,
    f_sq: miller.array,
    groups: list[RidingGroup],
    weights: tuple[float, float] | None,
    max_cycles: int,
) -> Fit:
    """
    Refine a model against intensities.

    Args:
        model: As `model.electron_model` gives it; a copy is refined.
        f_sq: With sigmas, on any scale, reflections of systematic absences left out.
        groups: Of hydrogen that rides.
        weights: a and b; None: sought.
        max_cycles: At most so many.

    Returns:
        What came out; never an exception where it does not converge.
    """
    fit = Fit(model.deep_copy_scatterers(), f_sq, weights=weights or FIRST_WEIGHTS)
    _first_scale(fit)
    renewals, moved = 0, np.inf
    while fit.n_cycles < max_cycles:
        try:
            problem = _problem(fit, groups)
            first, last = _cycles(fit, problem, max_cycles)
        except (RuntimeError, ArithmeticError, InvalidConstraint) as error:
            fit.reason = f"stopped: {' '.join(str(error).split())[:100]}"
            break
        _take(fit, problem)
        reset = _set_back(fit, groups)
        if last is None:
            fit.reason = "no step lowers the sum of squares"
            break
        if weights is None and renewals < RENEWALS:
            fit.weights = _seek_weights(fit)
        moved = _renew_weights(fit, moved)
        renewals += 1
        if first < CONVERGED and moved < STEADY and not reset:
            fit.converged = True
            break
        if moved < STEADY and not reset and last > ENOUGH * first:
            fit.damping = max(fit.damping / MORE_DAMPING, LEAST_DAMPING)
    if not fit.converged and not fit.reason:
        fit.reason = (
            f"no convergence in {fit.n_cycles} cycles" if max_cycles else "not refined"
        )
    _finish(fit, groups)
    return fit


def _problem(fit: Fit, groups: list[RidingGroup]) -> Problem:
    """The normal equations with the weights as they are."""
    return Problem(
        fit.model, fit.f_sq, fit.weight, groups, held=fit.at_floor, damping=fit.damping
    )


def _first_scale(fit: Fit) -> None:
    """Put intensities on the scale of Fc² of the start."""
    fit.fc_sq = calculated_intensities(fit.model, fit.f_sq)
    total = np.sum(np.maximum(np.array(fit.f_sq.data()), 0))
    _rescale(fit, float(total / np.sum(fit.fc_sq)) or 1.0)
    fit.weight = _weights_now(fit)


def calculated_intensities(model: xray.structure, indices: miller.set) -> np.ndarray:
    """Fc² of a model; shape (n,)."""
    f_c = indices.structure_factors_from_scatterers(model, algorithm="direct")
    return np.abs(np.array(f_c.f_calc().data())) ** 2


def _rescale(fit: Fit, scale: float) -> None:
    fit.f_sq = fit.f_sq.customized_copy(
        data=fit.f_sq.data() / scale, sigmas=fit.f_sq.sigmas() / scale
    )
    fit.scale *= scale


def _weights_now(fit: Fit) -> np.ndarray:
    fo_sq, sigma = (np.array(x) for x in (fit.f_sq.data(), fit.f_sq.sigmas()))
    return shelxl_weights(fo_sq, sigma, fit.fc_sq, *fit.weights)


def _cycles(fit: Fit, problem: Problem, max_cycles: int) -> tuple[float, float | None]:
    """Some cycles; the first and the last largest shift over uncertainty."""
    first, last = np.inf, None
    for number in range(CYCLES_WITH_WEIGHTS):
        if fit.n_cycles >= max_cycles:
            break
        fit.n_cycles += 1
        last = problem.cycle()
        first = last if number == 0 and last is not None else first
        # With weights that will change, converging far is of no use.
        if last is None or last < max(CONVERGED / 2, ENOUGH * first):
            break
    return first, last


def _take(fit: Fit, problem: Problem) -> None:
    """Take over Fc², the scale and the number of parameters."""
    equations = problem.equations
    fit.fc_sq = np.array(equations.fc_sq.data())
    scale = equations.scale_factor()
    if np.isfinite(scale) and scale > 0:
        _rescale(fit, float(scale))
    fit.n_parameters = problem.n_parameters


def _seek_weights(fit: Fit) -> tuple[float, float]:
    """a and b that suit the model as it is."""
    fo_sq, sigma = (np.array(x) for x in (fit.f_sq.data(), fit.f_sq.sigmas()))
    return suggest_weights(
        fo_sq,
        sigma,
        fit.fc_sq,
        np.array(fit.f_sq.d_star_sq().data()),
        fit.n_parameters,
        current=fit.weights,
    )


def _renew_weights(fit: Fit, last_change: float) -> float:
    """
    Renew the weights; give by how much they change, relatively.

    Where Fc² of a reflection is too high, its new weight is too low and lets Fc² fall too
    far, and so on to and fro; the mean of the old and the new weight ends that.
    """
    new = _weights_now(fit)
    change = float(np.sqrt(np.mean(np.log(new / fit.weight) ** 2)))
    calmer = change < CALMER * last_change
    fit.weight = new if calmer else np.sqrt(new * fit.weight)
    return change


def _set_back(fit: Fit, groups: list[RidingGroup]) -> bool:
    """Hold isotropic U at its floor and stop anisotropic U from running away."""
    changed = False
    rides = {h for group in groups for h in group.hydrogen}
    smallest_largest = mean_square_displacements(fit.model)
    for i, scatterer in enumerate(fit.model.scatterers()):
        low, high = smallest_largest[i]
        if i in rides:
            continue
        if scatterer.flags.use_u_iso():
            if scatterer.flags.grad_u_iso() and low < FLOOR:
                scatterer.u_iso = FLOOR
                fit.at_floor.add(i)
                changed = True
        elif (low < RUNAWAY[0] or high > RUNAWAY[1]) and i not in fit.set_back:
            fit.set_back.add(i)
            u_iso = float(
                np.clip(scatterer.u_iso_or_equiv(fit.model.unit_cell()), 0.01, 0.1)
            )
            scatterer.convert_to_isotropic(fit.model.unit_cell())
            scatterer.u_iso = u_iso
            scatterer.convert_to_anisotropic(fit.model.unit_cell())
            changed = True
    return changed


def _finish(fit: Fit, groups: list[RidingGroup]) -> None:
    """Final Fc², scale and covariances with the final weights; no more shifts."""
    fit.weight = _weights_now(fit)
    try:
        problem = _problem(fit, groups)
        _take(fit, problem)
        fit.covariance = _covariance(fit, problem)
    except (RuntimeError, ArithmeticError, InvalidConstraint) as error:
        detail = " ".join(str(error).split())[:100]
        fit.reason = fit.reason or f"the normal matrix is singular ({detail})"
        fit.converged = False


def _covariance(fit: Fit, problem: Problem) -> np.ndarray:
    equations = problem.equations
    equations.solve()
    parameters = equations.reparametrisation
    packed = equations.covariance_matrix(
        jacobian_transpose=parameters.jacobian_transpose_matching_grad_fc(),
        normalised_by_goof=False,
    )
    matrix = np.array(packed.matrix_packed_u_as_symmetric()).reshape(
        len(parameters.component_annotations), -1
    )
    # smtbx divides by its own number of degrees of freedom.
    fo_sq = np.array(fit.f_sq.data())
    chi_sq = np.sum(fit.weight * (fo_sq - fit.fc_sq) ** 2)
    freedom = max(len(fo_sq) - fit.n_parameters, 1)
    return matrix * chi_sq / freedom


def position_uncertainties(fit: Fit) -> np.ndarray:
    """
    Standard uncertainty of a coordinate of each atom.

    Returns:
        Shape (a,) [Å]: √(trace of the covariances of x, y and z, in Cartesian axes,
        over 3); nan for atoms that are not refined, and where the matrix is singular.
    """
    scatterers = fit.model.scatterers()
    found = np.full(scatterers.size(), np.nan)
    if fit.covariance is None:
        return found
    matrix = fit.covariance
    to_cartesian = np.reshape(fit.model.unit_cell().orthogonalization_matrix(), (3, 3))
    position = 0
    for i, scatterer in enumerate(scatterers):
        if scatterer.flags.grad_site():
            own = slice(position, position + 3)
            block = to_cartesian @ matrix[own, own] @ to_cartesian.T
            found[i] = np.sqrt(max(np.trace(block), 0.0) / 3)
            position += 3
        if scatterer.flags.grad_u_iso() and scatterer.flags.use_u_iso():
            position += 1
        if scatterer.flags.grad_u_aniso() and scatterer.flags.use_u_aniso():
            position += 6
    return found
