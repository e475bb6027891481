"""
Normal equations of a structure against intensities, with given weights.

A cycle is one of Gauss and Newton with the diagonal raised by 0.07 % (as DAMP 0.7 of SHELXL
does); where that does not lower the sum, or moves an atom too far, by ten times more, and so
on (Levenberg and Marquardt).

Classes:
    Problem: the equations

Functions:
    count_parameters: what would be refined
    set_flags: say what is refined
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex
from smtbx.refinement import least_squares

from dials_spread.refinement.against_reference import polar_directions
from dials_spread.refinement.hydrogen import RidingGroup, parametrise
from dials_spread.refinement.model import hydrogen_atoms

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


def set_flags(model: xray.structure, groups: list[RidingGroup], held: Set[int]) -> None:
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

    def __init__(
        self,
        model: xray.structure,
        f_sq: miller.array,
        weight: np.ndarray,
        groups: list[RidingGroup],
        held: Set[int] = frozenset(),
        damping: float = DAMPING,
    ):
        """
        Set them up.

        Args:
            model: Changed in place by what is done with them.
            f_sq: n intensities, on the scale of Fc².
            weight: Shape (n,).
            groups: Of hydrogen that rides.
            held: Numbers of atoms whose U is not refined.
            damping: The least, by which the diagonal is raised relatively.
        """
        set_flags(model, groups, held)
        self.model, self.groups = model, groups
        # Weights stay as they are while smtbx takes σ² for their inverse.
        sigmas = flex.double(1 / np.sqrt(weight))
        self.observations = f_sq.customized_copy(sigmas=sigmas).as_xray_observations()
        self.damping = self.least_damping = damping
        self._build()

    def _build(self) -> None:
        """Make equations of the model as it is."""
        parameters = parametrise(self.model, self.groups)
        floating = len(polar_directions(self.model.space_group()))
        self.n_parameters = parameters.n_independents + 1 - floating
        self.equations = least_squares.crystallographic_ls(
            self.observations,
            parameters,
            weighting_scheme=least_squares.sigma_weighting(),
            may_parallelise=False,
            initial_scale_factor=1.0,
        )
        self.equations.build_up()

    def cycle(self) -> float | None:
        """
        Make one cycle.

        Returns:
            The largest shift over its standard uncertainty; None where no damping
            lowers the sum.
        """
        before = self.equations.objective()
        while self.damping < MOST_DAMPING:
            equations = self.equations
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
            kept = self.model.scatterers().deep_copy()
            after = self._after_step()
            # At the minimum the sum cannot be lowered beyond rounding.
            if np.isfinite(after) and after <= before * (1 + 1e-12):
                self.damping = max(self.damping / MORE_DAMPING, self.least_damping)
                return ratio
            self._restore(kept)
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

    def _restore(self, kept: flex.xray_scatterer) -> None:
        """Take a step back; step_backward of smtbx leaves a U that was cut off at its end."""
        for own, old in zip(self.model.scatterers(), kept):
            own.site, own.u_iso, own.u_star = old.site, old.u_iso, old.u_star
        self._build()

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
