"""
Whether the difference map of a model without hydrogen shows hydrogen.

Functions:
    hydrogen_peaks: how many hydrogen sites are among the highest peaks
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.refinement.against_reference import floating_shift
from dials_spread.refinement.difference_map import nearest
from dials_spread.refinement.model import hydrogen_atoms
from dials_spread.refinement.refining import DEFAULTS, RefinementSettings, refine
from dials_spread.refinement.result import as_plain

# A peak so near to a hydrogen site is that atom [Å].
FOUND = 0.3


@dataclass(frozen=True)
class HydrogenPeaks:
    """
    Hydrogen sites of the reference in a map of the model without hydrogen.

    Attributes:
        n_sites: Hydrogen sites, N.
        n_found: Sites within 0.3 Å of one of the N highest peaks.
        n_found_of_twice: Of one of the 2 N highest.
        found: Labels of those within 0.3 Å of one of the N highest.
        mean_distance: From the sites found to their peaks [Å]; nan where there is none.
        r1_strong: Of the model without hydrogen.
        converged: Whether it converged.
    """

    n_sites: int
    n_found: int
    n_found_of_twice: int
    found: tuple[str, ...]
    mean_distance: float
    r1_strong: float
    converged: bool

    def as_dict(self) -> dict:
        """Give all; what is not finite becomes None."""
        return as_plain(self)


def hydrogen_peaks(
    structure: xray.structure,
    f_sq: miller.array,
    *,
    strong: flex.bool | np.ndarray | None = None,
    settings: RefinementSettings = DEFAULTS,
    rng: np.random.Generator,
) -> HydrogenPeaks | None:
    """
    Refine without hydrogen and look for it in the difference map.

    Args:
        structure: The reference, with its hydrogen.
        f_sq: Merged intensities with sigmas, n of them.
        strong: As for `refine`.
        settings: Of the refinement.
        rng: Random numbers, of the start.

    Returns:
        What the map shows; None where the structure has no hydrogen, or nothing else.
    """
    hydrogen = hydrogen_atoms(structure)
    n_sites = int(hydrogen.sum())
    if not n_sites or hydrogen.all():
        return None
    bare = structure.select(flex.bool([bool(x) for x in ~hydrogen]))
    one = refine(
        bare,
        f_sq,
        strong=strong,
        settings=replace(settings, n_peaks=2 * n_sites),
        rng=rng,
    )
    peaks = np.array([peak.site for peak in one.peaks]).reshape(-1, 3)
    # Where the origin floats the peaks went with the atoms.
    apart = np.array(one.structure.sites_cart()) - np.array(bare.sites_cart())
    moved = np.array(structure.sites_cart()) + floating_shift(apart, structure)
    cell = structure.unit_cell()
    sites = np.array([cell.fractionalize(tuple(x)) for x in moved[hydrogen]])
    distance, _ = nearest(structure, sites, peaks[:n_sites])
    of_twice, _ = nearest(structure, sites, peaks)
    labels = [s.label for s, h in zip(structure.scatterers(), hydrogen) if h]
    own = distance < FOUND
    return HydrogenPeaks(
        n_sites=n_sites,
        n_found=int(own.sum()),
        n_found_of_twice=int((of_twice < FOUND).sum()),
        found=tuple(label for label, one in zip(labels, own) if one),
        mean_distance=float(distance[own].mean()) if own.any() else float("nan"),
        r1_strong=one.r1_strong,
        converged=one.converged,
    )
