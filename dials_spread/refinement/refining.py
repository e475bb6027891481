"""
Refinement of a structure against merged intensities, from a start beside the reference.

Functions:
    refine: a structure against intensities
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.refinement.against_reference import compare_structures
from dials_spread.refinement.agreement import find_outliers, goodness_of_fit, r1, wr2
from dials_spread.refinement.difference_map import difference_map
from dials_spread.refinement.hydrogen import (
    RidingGroup,
    bring_to_parents,
    find_parents,
    riding,
)
from dials_spread.refinement.least_squares import (
    Fit,
    calculated_intensities,
    minimise,
    position_uncertainties,
)
from dials_spread.refinement.merged_data import MergedData, refinable
from dials_spread.refinement.model import (
    electron_model,
    hydrogen_atoms,
    mean_square_displacements,
    move_atoms,
    partly_occupied,
    set_displacements,
    special_positions,
)
from dials_spread.refinement.normal_equations import count_parameters
from dials_spread.refinement.result import Refinement

logger = logging.getLogger("dials.spread.refining")

# An atom that goes farther than this [Å] from its reference has gone to another place.
ASTRAY = 0.7

# Above this R1 of strong reflections a structure is hardly better than a random one,
# which refines to 0.5 or so.
WRONG = 0.5


@dataclass(frozen=True)
class RefinementSettings:
    """
    How a structure is refined.

    Attributes:
        start_shift: How far each atom other than hydrogen that is on no special position
            is moved at first, in a random direction [Å]; 0: it starts as given.
        max_cycles: Of least squares, damped; see `least_squares`.
        weights: a and b of SHELXL's WGHT, b on the scale of F² [Å²]; None: sought so
            that the goodness of fit is flat in intensity and resolution.
        parameters_wanted: Displacements are anisotropic where there are at least so
            many observations for each parameter.
        anisotropic: True or False overrules that, so that several sets of data are
            refined alike.
        riding_hydrogen: Whether hydrogen follows its parent; otherwise it stays where
            the reference has it.
        n_peaks: Peaks of the difference map that are listed.
    """

    start_shift: float = 0.1
    max_cycles: int = 60
    weights: tuple[float, float] | None = None
    parameters_wanted: float = 8.0
    anisotropic: bool | None = None
    riding_hydrogen: bool = True
    n_peaks: int = 20


DEFAULTS = RefinementSettings()


def refine(
    structure: xray.structure,
    f_sq: miller.array,
    *,
    strong: flex.bool | np.ndarray | None = None,
    held_out: flex.bool | np.ndarray | None = None,
    settings: RefinementSettings = DEFAULTS,
    rng: np.random.Generator,
) -> Refinement:
    """
    Refine a structure against merged intensities: full matrix on F², electrons.

    Args:
        structure: The reference; a copy is refined. Charges in scattering types count.
        f_sq: Merged intensities with sigmas, n of them, in the setting of the structure.
        strong: Shape (n,), the reflections of R1 for strong ones, which sets of data to
            be compared should have in common; None: I > 2σ.
        held_out: Shape (n,), reflections that are not fitted but scored.
        settings: See there.
        rng: Random numbers, of the start.

    Returns:
        The refined structure and all figures. Where the refinement does not converge,
        `converged` is False and `reason` says why.

    Raises:
        ValueError: Intensities and structure do not fit together, there are fewer
            observations than parameters, or an atom has no electron form factor.
    """
    data = refinable(structure, f_sq, strong, held_out)
    if hydrogen_atoms(structure).all():
        raise ValueError("The structure has no atom other than hydrogen to refine.")
    fitted = data.fitted()
    reference = electron_model(structure, data.f_sq.d_min())
    bring_to_parents(reference)
    groups = riding(reference) if settings.riding_hydrogen else []
    anisotropic = choose_displacements(reference, groups, fitted.size(), settings)
    start = reference.deep_copy_scatterers()
    set_displacements(start, anisotropic)
    if settings.start_shift > 0:
        parent = find_parents(start)
        if not settings.riding_hydrogen:
            parent[hydrogen_atoms(start)] = -1
        move_atoms(start, parent, settings.start_shift, rng)
    fit = minimise(start, fitted, groups, settings.weights, settings.max_cycles)
    return _result(fit, data, reference, groups, anisotropic, settings)


def choose_displacements(
    model: xray.structure,
    groups: list[RidingGroup],
    n_observations: int,
    settings: RefinementSettings,
) -> bool:
    """
    Say whether the data allow anisotropic displacements.

    Args:
        model: As `model.electron_model` gives it.
        groups: Of hydrogen that rides.
        n_observations: Of reflections to be fitted.
        settings: With how many are wanted for each parameter.

    Raises:
        ValueError: There are fewer observations than parameters.
    """
    counts = {}
    for anisotropic in (False, True):
        trial = model.deep_copy_scatterers()
        set_displacements(trial, anisotropic)
        counts[anisotropic] = count_parameters(trial, groups)
    chosen = settings.anisotropic
    if chosen is None:
        chosen = n_observations >= settings.parameters_wanted * counts[True]
    if n_observations < counts[chosen]:
        raise ValueError(
            f"{n_observations} reflections do not determine {counts[chosen]} parameters "
            f"({'anisotropic' if chosen else 'isotropic'} displacements)."
        )
    return chosen


def _result(
    fit: Fit,
    data: MergedData,
    reference: xray.structure,
    groups: list[RidingGroup],
    anisotropic: bool,
    settings: RefinementSettings,
) -> Refinement:
    """Everything that is said of a refinement."""
    fo_sq = np.array(fit.f_sq.data())
    strong = data.strong[~data.held_out]
    outliers, deviates = find_outliers(fit.f_sq, fit.fc_sq, fit.weight)
    against = compare_structures(fit.model, reference)
    map_ = difference_map(fit.model, fit.f_sq, settings.n_peaks)
    labels = [s.label for s in reference.scatterers()]
    heavy = ~hydrogen_atoms(reference)
    smallest = mean_square_displacements(fit.model)[:, 0]
    r1_strong = r1(fo_sq[strong], fit.fc_sq[strong])
    converged, reason = _judge(fit, r1_strong, against.shifts, labels)
    free = heavy & ~special_positions(reference)
    su = position_uncertainties(fit)[free if free.any() else heavy]
    return Refinement(
        structure=fit.model,
        reference=reference,
        groups=tuple(groups),
        anisotropic=anisotropic,
        n_parameters=fit.n_parameters,
        n_observations=len(fo_sq),
        n_strong=int(strong.sum()),
        n_left_out=data.left_out,
        r1_strong=r1_strong,
        r1_all=r1(fo_sq, fit.fc_sq),
        n_held_out=int(data.held_out.sum()),
        r1_held_out=_held_out(fit, data),
        wr2=wr2(fo_sq, fit.fc_sq, fit.weight),
        goodness_of_fit=goodness_of_fit(fo_sq, fit.fc_sq, fit.weight, fit.n_parameters),
        weights=fit.weights,
        scale=fit.scale,
        converged=converged,
        reason=reason,
        n_cycles=fit.n_cycles,
        shifts={x: float(d) for x, d, h in zip(labels, against.shifts, heavy) if h},
        mean_shift=against.mean_shift(),
        largest_shift=against.largest_shift(),
        mean_su=float(su.mean()) if len(su) else float("nan"),
        bond_rms=against.bond_rms(),
        n_bonds=len(against.bonds),
        nonpositive=tuple(labels[i] for i in np.flatnonzero(heavy & ~(smallest > 0))),
        at_floor=tuple(labels[i] for i in sorted(fit.at_floor)),
        map_sigma=map_.sigma,
        highest_peak=map_.highest,
        lowest_peak=map_.lowest,
        peaks=map_.peaks,
        outliers=outliers,
        r1_without_outliers=r1(fo_sq[~deviates], fit.fc_sq[~deviates]),
        warnings=tuple(_warnings(reference, data, settings)),
        covariance=fit.covariance,
    )


def _held_out(fit: Fit, data: MergedData) -> float:
    """R1 of reflections that were not fitted, with the scale of the others."""
    if not data.held_out.any():
        return float("nan")
    own = data.f_sq.select(flex.bool([bool(x) for x in data.held_out]))
    return r1(np.array(own.data()) / fit.scale, calculated_intensities(fit.model, own))


def _judge(
    fit: Fit, r1_strong: float, shifts: np.ndarray, labels: list[str]
) -> tuple[bool, str]:
    """Whether the refinement ended well, and why not."""
    if not fit.converged:
        return False, fit.reason
    astray = [labels[i] for i in np.flatnonzero(shifts > ASTRAY)]
    if astray:
        some = ", ".join(astray[:5]) + (" and others" if len(astray) > 5 else "")
        return False, f"more than {ASTRAY} Å from the reference: {some}"
    if not r1_strong < WRONG:
        return False, f"R1 {r1_strong:.2f} is that of a wrong structure"
    return True, ""


def _warnings(
    reference: xray.structure, data: MergedData, settings: RefinementSettings
) -> list[str]:
    """What a reader of the figures must know."""
    said = []
    partly = partly_occupied(reference)
    if partly:
        some = ", ".join(partly[:5]) + (" and others" if len(partly) > 5 else "")
        said.append(f"occupancies below 1 are not refined: {some}")
    hydrogen = hydrogen_atoms(reference)
    lonely = hydrogen & (find_parents(reference) < 0)
    if lonely.any() and settings.riding_hydrogen:
        some = ", ".join(
            reference.scatterers()[int(i)].label for i in np.flatnonzero(lonely)
        )
        said.append(f"hydrogen without an atom to ride on stays where it is: {some}")
    if data.left_out:
        several = "s" if data.left_out > 1 else ""
        said.append(
            f"{data.left_out} reflection{several} left out: systematic absences, F(000), "
            "or without a positive σ"
        )
    for text in said:
        logger.debug("Refinement: %s", text)
    return said
