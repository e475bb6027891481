"""
Merged intensities as a refinement takes them.

Functions:
    in_setting_of: merged intensities in the setting of a structure
    refinable: without what cannot be fitted
    own_strong: I > 2σ
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.observations.table import as_flex
from dials_spread.reindexing import Reindexing, reindexed
from dials_spread.rfactor.r1 import STRONG


@dataclass(frozen=True)
class MergedData:
    """
    Intensities and what becomes of them.

    Attributes:
        f_sq: With sigmas, of n reflections.
        strong: Shape (n,), those of the second R1.
        held_out: Shape (n,), those left out of the fit.
        left_out: How many had no use: systematic absences, F(000), σ not positive.
    """

    f_sq: miller.array
    strong: np.ndarray
    held_out: np.ndarray
    left_out: int

    def fitted(self) -> miller.array:
        """Those that are fitted."""
        return self.f_sq.select(flex.bool([bool(x) for x in ~self.held_out]))


def own_strong(f_sq: miller.array) -> np.ndarray:
    """Which intensities exceed 2σ; shape (n,)."""
    return np.array(f_sq.data()) > STRONG * np.array(f_sq.sigmas())


def in_setting_of(
    structure: xray.structure,
    hkl: np.ndarray,
    choice: Reindexing,
    intensity: np.ndarray,
    sigma: np.ndarray,
) -> tuple[miller.array, np.ndarray]:
    """
    Give merged intensities in the setting of a structure.

    Args:
        structure: With cell and space group.
        hkl: Shape (n, 3), in the indices of the data.
        choice: From these to those of the structure.
        intensity, sigma: Shape (n,).

    Returns:
        Intensities with σ, each reflection once; and shape (reflections,), the number of
        each among those given. Systematic absences of the structure are left out, and
        of reflections that are equivalent in it alone the first is taken.
    """
    points = miller.set(
        structure.crystal_symmetry(),
        as_flex(reindexed(hkl, choice)),
        anomalous_flag=False,
    )
    columns = (flex.double(np.ascontiguousarray(x)) for x in (intensity, sigma))
    array = miller.array(points, *columns).set_observation_type_xray_intensity()
    array = array.map_to_asu()
    present = ~array.sys_absent_flags().data().as_numpy_array()
    _, first = np.unique(np.array(list(array.indices())), axis=0, return_index=True)
    kept = np.zeros(len(hkl), dtype=bool)
    kept[first] = True
    kept &= present
    return array.select(flex.bool(np.ascontiguousarray(kept))), np.flatnonzero(kept)


def refinable(
    structure: xray.structure,
    f_sq: miller.array,
    strong: flex.bool | np.ndarray | None = None,
    held_out: flex.bool | np.ndarray | None = None,
) -> MergedData:
    """
    Take merged intensities for a refinement.

    Args:
        structure: Its cell and symmetry are used.
        f_sq: Merged intensities with sigmas, Friedel mates together.
        strong: Shape (n,), the reflections of R1 for strong ones; None: I > 2σ.
        held_out: Shape (n,), the reflections that are not fitted; None: none.

    Raises:
        ValueError: No sigmas, another space group, a reflection comes twice, a selection
            has another length, or nothing is left.
    """
    if f_sq.sigmas() is None:
        raise ValueError("Intensities for a refinement need standard uncertainties.")
    own, given = structure.space_group(), f_sq.space_group()
    if own != given:
        raise ValueError(
            f"Intensities have the space group {given.info()}, "
            f"the structure {own.info()}."
        )
    n = f_sq.size()
    if not n:
        raise ValueError("There are no intensities to refine against.")
    data = miller.array(
        miller.set(structure.crystal_symmetry(), f_sq.indices(), anomalous_flag=False),
        f_sq.data().as_double(),
        f_sq.sigmas().as_double(),
    ).set_observation_type_xray_intensity()
    if not data.map_to_asu().is_unique_set_under_symmetry():
        raise ValueError(
            "Intensities must be merged, Friedel mates together: a reflection comes "
            "more than once."
        )
    chosen = [own_strong(data) if strong is None else _flags(strong, n, "strong")]
    chosen.append(
        np.zeros(n, bool) if held_out is None else _flags(held_out, n, "held out")
    )
    I, sigma = np.array(data.data()), np.array(data.sigmas())
    kept = np.isfinite(I) & np.isfinite(sigma) & (sigma > 0)
    kept &= ~np.array(data.sys_absent_flags().data())
    kept &= np.any(np.array(list(data.indices())).reshape(-1, 3) != 0, axis=1)
    if not np.any(kept & ~chosen[1]) or not np.any(I[kept] > 0):
        raise ValueError(
            f"Of {n} reflections none is left to refine against: all are systematic "
            "absences, without a positive σ, or negative."
        )
    return MergedData(
        f_sq=data.select(flex.bool([bool(x) for x in kept])),
        strong=chosen[0][kept],
        held_out=chosen[1][kept],
        left_out=int(n - kept.sum()),
    )


def _flags(selection: flex.bool | np.ndarray, n: int, name: str) -> np.ndarray:
    flags = np.array(list(selection), dtype=bool)
    if len(flags) != n:
        raise ValueError(f"{len(flags)} flags of {name} reflections, but {n} of these.")
    return flags
