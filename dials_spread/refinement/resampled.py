"""
What a refinement would give with resampled intensities, without refining anew.

Resampled intensities differ little from those that were refined against, and so do the
parameters: one linear step of weighted least squares from the refined ones,
δ = (Aᵀ W A)⁻¹ Aᵀ W (Fo² - Fc²), with A the derivatives of Fc² and of the scale. A is
computed once for all samples.

Functions:
    refine_resampled: R1 and shifts of each sample
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import miller
from smtbx.structure_factors import direct

from dials_spread.refinement.against_reference import floating_shift
from dials_spread.refinement.agreement import r1
from dials_spread.refinement.hydrogen import parametrise
from dials_spread.refinement.model import hydrogen_atoms
from dials_spread.refinement.normal_equations import set_flags
from dials_spread.refinement.result import Refinement
from dials_spread.refinement.weights import shelxl_weights

# Singular values below this part of the largest are origins that float.
RANK = 1e-7


@dataclass(frozen=True)
class Resampled:
    """
    Figures of each sample, nan where one has fewer reflections than parameters.

    Attributes:
        r1_strong: Shape (samples,), R1 of strong reflections.
        r1_all: Shape (samples,), R1 of all.
        mean_shift: Shape (samples,), of atoms other than hydrogen from the reference
            [Å], the mean shift along polar axes taken out.
    """

    r1_strong: np.ndarray
    r1_all: np.ndarray
    mean_shift: np.ndarray


@dataclass(frozen=True)
class _Derivatives:
    """
    A refined model and its derivatives.

    Attributes:
        fc_sq: Shape (n,).
        matrix: Shape (n, p), of Fc² by each parameter, then by the scale.
        sites: Shape (a, 3, p - 1), of Cartesian sites [Å] of atoms other than hydrogen.
    """

    fc_sq: np.ndarray
    matrix: np.ndarray
    sites: np.ndarray


def refine_resampled(
    refinement: Refinement,
    points: miller.set,
    intensity: np.ndarray,
    sigma: np.ndarray,
    strong: np.ndarray,
) -> Resampled:
    """
    Say what a refinement would give with other intensities of the same reflections.

    Args:
        refinement: Against all data, converged.
        points: n reflections, in the setting of the structure.
        intensity: Shape (samples, n), on the scale of those refined against; nan where a
            sample has no observation.
        sigma: Shape (n,) or (samples, n).
        strong: Shape (n,), those of R1 for strong ones.

    Returns:
        Figures of each sample, with the weights a and b of the refinement.
    """
    derivatives = _derivatives(refinement, points)
    reference = refinement.reference
    heavy = ~hydrogen_atoms(reference)
    apart = np.array(refinement.structure.sites_cart())
    apart = (apart - np.array(reference.sites_cart()))[heavy]
    sigmas = np.broadcast_to(sigma, intensity.shape) / refinement.scale
    possible = ~np.array(points.sys_absent_flags().data())
    figures = np.full((len(intensity), 3), np.nan)
    for row, fo_sq, own in zip(figures, intensity / refinement.scale, sigmas):
        there = possible & np.isfinite(fo_sq) & np.isfinite(own) & (own > 0)
        if there.sum() < derivatives.matrix.shape[1]:
            continue
        step, fo_sq, fc_sq = _step(
            derivatives, fo_sq[there], own[there], there, refinement
        )
        moved = apart + derivatives.sites @ step
        moved = moved - floating_shift(moved, reference)
        bright = strong[there]
        row[:] = (
            r1(fo_sq[bright], fc_sq[bright]),
            r1(fo_sq, fc_sq),
            np.linalg.norm(moved, axis=1).mean() if len(moved) else np.nan,
        )
    return Resampled(*figures.T)


def _step(
    derivatives: _Derivatives,
    fo_sq: np.ndarray,
    sigma: np.ndarray,
    there: np.ndarray,
    refinement: Refinement,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The change of the parameters, and Fo² and Fc² after it, on one scale."""
    matrix, fc_sq = derivatives.matrix[there], derivatives.fc_sq[there]
    root = np.sqrt(shelxl_weights(fo_sq, sigma, fc_sq, *refinement.weights))
    weighted = matrix * root[:, None]
    # Columns of like size, so that the rank shows.
    size = np.linalg.norm(weighted, axis=0)
    size[size == 0] = 1
    wanted = root * (fo_sq - fc_sq)
    change = np.linalg.lstsq(weighted / size, wanted, rcond=RANK)[0] / size
    scale = 1 + change[-1]
    new = np.maximum(fc_sq + matrix[:, :-1] @ change[:-1], 0)
    return change[:-1], fo_sq / scale, new


def _derivatives(refinement: Refinement, points: miller.set) -> _Derivatives:
    """Fc² and its derivatives at the end of a refinement."""
    model = refinement.structure.deep_copy_scatterers()
    groups = list(refinement.groups)
    held = {
        i for i, s in enumerate(model.scatterers()) if s.label in refinement.at_floor
    }
    set_flags(model, groups, held)
    parameters = parametrise(model, groups)
    parameters.linearise()
    parameters.store()
    one = direct.f_calc_modulus_squared(model)
    values, gradients = [], []
    for hkl in points.indices():
        one.linearise(hkl)
        values.append(one.observable)
        gradients.append(np.array(one.grad_observable))
    jacobian = parameters.jacobian_transpose_matching_grad_fc().as_dense_matrix()
    dense = np.array(jacobian).reshape(parameters.n_independents, -1)
    names = parameters.component_annotations
    to_cartesian = np.reshape(model.unit_cell().orthogonalization_matrix(), (3, 3))
    starts, position = [], 0
    for scatterer, hydrogen in zip(model.scatterers(), hydrogen_atoms(model)):
        flags = scatterer.flags
        if not hydrogen:
            starts.append(position)
        position += 3 * flags.grad_site()
        position += flags.grad_u_iso() and flags.use_u_iso()
        position += 6 * (flags.grad_u_aniso() and flags.use_u_aniso())
    assert position == len(names)
    fractional = np.array([dense[:, i : i + 3].T for i in starts]).reshape(
        -1, 3, len(dense)
    )
    fc_sq = np.array(values)
    return _Derivatives(
        fc_sq=fc_sq,
        matrix=np.column_stack([np.array(gradients) @ dense.T, fc_sq]),
        sites=np.einsum("ij,ajp->aip", to_cartesian, fractional),
    )
