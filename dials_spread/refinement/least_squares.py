"""
Full-matrix least squares on F² with smtbx.

Weights depend on Fc² and so on what is refined. They are kept while some cycles are made,
then renewed, until nothing moves: what SHELXL ends at too, which renews them each cycle.
A cycle is one of Gauss and Newton with the diagonal raised by 0.07 % (as DAMP 0.7 of
SHELXL does); where that does not lower the sum, by ten times more, and so on (Levenberg
and Marquardt). Where parameters are so correlated that it makes progress slow, with weights
that are steady, it is raised by less.

Functions:
    minimise: refine a model against intensities
    count_parameters: what would be refined
    calculated_intensities: Fc²
    position_uncertainties: of the sites, from the covariance matrix
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex
from smtbx.refinement import least_squares
from smtbx.refinement.constraints import InvalidConstraint

from dials_spread.refinement.against_reference import polar_directions
from dials_spread.refinement.hydrogen import RidingGroup, parametrise
from dials_spread.refinement.model import (
    hydrogen_atoms,
    mean_square_displacements,
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

# Largest shift over its standard uncertainty at which a refinement has converged.
CONVERGED = 0.05

DAMPING, MORE_DAMPING, MOST_DAMPING = 7e-4, 10.0, 1e7

# What damping may fall to. Along a direction whose eigenvalue (of the correlation matrix)
# is below the damping, a shift is made by its ratio to the damping only, cycle after cycle.
LEAST_DAMPING = 1e-8

# Below this sum of squares, over that of the observations, a fit is perfect.
PERFECT = 1e-18
TINY = np.finfo(float).tiny

# A step that moves an atom farther than this [Å] is no step of refinement: an atom without
# density, whose place means nothing, would go anywhere.
LARGEST_SHIFT = 1.0

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


def count_parameters(model: xray.structure, groups: list[RidingGroup]) -> int:
    """
    Count what would be refined, the scale included.

    Args:
        model: With the displacements it is to have.
        groups: Of hydrogen that rides.
    """
    set_flags(model, groups, set())
    # The origin floats along polar axes and determines nothing.
    floating = len(polar_directions(model.space_group()))
    return parametrise(model, groups).n_independents + 1 - floating


def set_flags(model: xray.structure, groups: list[RidingGroup], held: set[int]) -> None:
    """
    Say which parameters are refined.

    Args:
        model: Changed in place.
        groups: Of hydrogen that rides; other hydrogen is left as it is.
        held: Numbers of atoms whose U is not refined.
    """
    rides = {h for group in groups for h in group.hydrogen}
    hydrogen = hydrogen_atoms(model)
    xray.set_scatterer_grad_flags(scatterers=model.scatterers())
    for i, scatterer in enumerate(model.scatterers()):
        # Fc² depends on a parent also through its hydrogen, so that counts too.
        refined = i in rides or not hydrogen[i]
        isotropic = scatterer.flags.use_u_iso()
        scatterer.flags.set_grad_site(refined)
        scatterer.flags.set_grad_u_iso(refined and isotropic and i not in held)
        scatterer.flags.set_grad_u_aniso(refined and not isotropic)


class Problem:
    """The normal equations of a model with given weights."""

    def __init__(self, fit: Fit, groups: list[RidingGroup]):
        set_flags(fit.model, groups, fit.at_floor)
        parameters = parametrise(fit.model, groups)
        floating = len(polar_directions(fit.model.space_group()))
        self.n_parameters = parameters.n_independents + 1 - floating
        # Weights stay as they are while smtbx takes σ² for their inverse.
        sigmas = flex.double(1 / np.sqrt(fit.weight))
        self.equations = least_squares.crystallographic_ls(
            fit.f_sq.customized_copy(sigmas=sigmas).as_xray_observations(),
            parameters,
            weighting_scheme=least_squares.sigma_weighting(),
            may_parallelise=False,
            initial_scale_factor=1.0,
        )
        self.model = fit.model
        self.damping = self.least_damping = fit.damping
        self.equations.build_up()

    def cycle(self) -> float | None:
        """
        Make one cycle.

        Returns:
            The largest shift over its standard uncertainty; None where no damping
            lowers the sum.
        """
        equations = self.equations
        before = equations.objective()
        while self.damping < MOST_DAMPING:
            matrix = equations.normal_matrix_packed_u()
            diagonal = matrix.matrix_packed_u_diagonal()
            curvature = np.array(diagonal)
            gradient = np.array(equations.opposite_of_gradient())
            matrix.matrix_packed_u_diagonal_add_in_place(self.damping * diagonal)
            try:
                equations.solve()
            except RuntimeError:  # the Cholesky decomposition of a singular matrix
                self.damping *= MORE_DAMPING
                equations.build_up()
                continue
            ratio = self._shift_over_su(curvature, gradient, before)
            after = self._after_step()
            # At the minimum the sum cannot be lowered beyond rounding.
            if np.isfinite(after) and after <= before * (1 + 1e-12):
                self.damping = max(self.damping / MORE_DAMPING, self.least_damping)
                return ratio
            equations.step_backward()
            equations.build_up()
            if ratio < CONVERGED:
                return ratio
            self.damping *= MORE_DAMPING
        return None

    def _after_step(self) -> float:
        """Make a step; the sum after it, infinite where it leads nowhere."""
        sites = np.array(self.model.sites_cart())
        self.equations.step_forward()
        moved = np.array(self.model.sites_cart()) - sites
        # Not finite ones count as far, too.
        if not np.linalg.norm(moved, axis=1).max() < LARGEST_SHIFT:
            return np.inf
        try:
            self.equations.build_up()
            return self.equations.objective()
        except RuntimeError:  # displacements beyond what cctbx computes
            return np.inf

    def _shift_over_su(
        self, curvature: np.ndarray, gradient: np.ndarray, objective: float
    ) -> float:
        """The largest, from uncertainties of each parameter alone, or a bound of it."""
        if objective < PERFECT:
            return 0.0
        step = np.array(self.equations.step())
        freedom = max(self.equations.n_equations - len(step), 1)
        variance = 2 * objective / freedom
        # Correlations are left out: uncertainties are too small, if anything.
        su = np.sqrt(variance / np.maximum(curvature, TINY))
        largest = float(np.max(np.abs(step) / su, initial=0.0))
        if self.damping > LEAST_DAMPING:
            return largest
        # Without damping no shift over its uncertainty, correlations and all, is more
        # than the length of the step in the metric of the normal matrix.
        return min(largest, float(np.sqrt(max(step @ gradient, 0.0) / variance)))


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
            problem = Problem(fit, groups)
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
        problem = Problem(fit, groups)
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
