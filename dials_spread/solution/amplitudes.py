"""
Merged intensities as charge flipping takes them: amplitudes of the whole sphere, normalised.

Classes:
    SphereAmplitudes: amplitudes in P1, half a sphere of them

Functions:
    sphere_amplitudes: from merged intensities
    usable_resolution: where the data become too incomplete
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import miller, sgtbx, uctbx
from cctbx.array_family import flex

from dials_spread.observations.table import as_flex

FINEST = 0.7
"""No more resolution [Å] than this is used: atoms are apart, finer maps take longer."""

COARSEST = 2.0
"""With less resolution [Å] atoms are no separate maxima, which the method rests on."""

FEWEST = 50
"""So many reflections of half a sphere are the least."""

BEYOND = 0.88
"""
Reflections float to this share of d_min (Caliandro et al. (2005), Acta Cryst. D61, 556): of
12 starts with kinematic abiraterone acetate at 1.04 Å 12 solve, without 9.
"""

COMPLETE = 1 / 3


@dataclass(frozen=True)
class SphereAmplitudes:
    """
    Amplitudes in P1, one of each Friedel pair.

    Attributes:
        unit_cell: The cell.
        space_group: The space group of the data.
        d_min: Resolution that is used [Å].
        miller_index: Shape (n, 3), int.
        F: Shape (n,), √max(I, 0).
        E: Shape (n,), normalised: the mean of E² / ε is 1 at each resolution.
        floating: Shape (m, 3), int, what was not measured within 0.88 d_min, without
            systematic absences and F(000); one of each Friedel pair.
        unique: Shape (u,), int, rows that are one of all symmetry equivalents each.
    """

    unit_cell: uctbx.unit_cell
    space_group: sgtbx.space_group
    d_min: float
    miller_index: np.ndarray
    F: np.ndarray
    E: np.ndarray
    floating: np.ndarray
    unique: np.ndarray

    def __len__(self) -> int:
        return len(self.F)

    @property
    def n_unique(self) -> int:
        """Number of unique reflections in the space group."""
        return len(self.unique)

    @property
    def s(self) -> np.ndarray:
        """sin θ / λ [1/Å], shape (n,)."""
        d_star_sq = self.unit_cell.d_star_sq(as_flex(self.miller_index))
        return np.sqrt(d_star_sq.as_numpy_array()) / 2


def sphere_amplitudes(
    f_sq: miller.array, d_min: float | None = None
) -> SphereAmplitudes:
    """
    Expand merged intensities to P1.

    Args:
        f_sq: Merged intensities in any space group; Friedel mates are averaged.
        d_min: Resolution [Å]; by default that of `usable_resolution`.

    Raises:
        ValueError: They are not merged, or too few, or end at too low a resolution.
    """
    array = _checked(f_sq)
    d_min = usable_resolution(array) if d_min is None else d_min
    array = array.select(array.d_spacings().data() >= d_min * (1 - 1e-6))
    n = array.size()
    if not n or array.d_min() > COARSEST:
        reached = f"{array.d_min():.2f} Å" if n else f"nothing beyond d = {d_min:g} Å"
        raise ValueError(
            f"{n} reflections to {reached}: charge flipping needs separate atoms, so "
            f"data to {COARSEST:g} Å at least"
        )
    intensity = np.maximum(array.data().as_numpy_array(), 0.0)
    epsilon = array.epsilons().data().as_double().as_numpy_array()
    s_sq = array.sin_theta_over_lambda_sq().data().as_numpy_array()
    mean = local_means(intensity / epsilon, s_sq)
    index, F = _expanded(array, np.sqrt(intensity))
    _, E = _expanded(array, np.sqrt(intensity / np.where(mean > 0, mean, 1.0)))
    if len(F) < FEWEST or not np.count_nonzero(F) > FEWEST / 2:
        raise ValueError(
            f"{n} unique reflections ({len(F)} in half a sphere, "
            f"{np.count_nonzero(F)} of them above zero) are too few for charge flipping: "
            f"{FEWEST} of half a sphere are the least"
        )
    return SphereAmplitudes(
        unit_cell=array.unit_cell(),
        space_group=array.space_group(),
        d_min=float(d_min),
        miller_index=index,
        F=F,
        E=E,
        floating=_missing(array, BEYOND * d_min),
        unique=_unique_rows(index, array),
    )


def _checked(f_sq: miller.array) -> miller.array:
    """Finite intensities without systematic absences, Friedel mates averaged."""
    data = f_sq.data().as_numpy_array()
    array = f_sq.select(flex.bool(np.isfinite(data) & (indices_of(f_sq) != 0).any(1)))
    array = array.customized_copy(sigmas=None).eliminate_sys_absent()
    array = array.map_to_asu()
    if array.anomalous_flag():
        if not array.is_unique_set_under_symmetry():
            raise ValueError(_not_merged(array))
        array = array.average_bijvoet_mates()
    array = array.customized_copy(anomalous_flag=False).map_to_asu()
    if not array.is_unique_set_under_symmetry():
        raise ValueError(_not_merged(array))
    return array


def _not_merged(array: miller.array) -> str:
    unique = array.unique_under_symmetry().size()
    return f"intensities are not merged: {array.size()} of {unique} unique reflections"


def indices_of(array: miller.set) -> np.ndarray:
    """Miller indices, shape (n, 3), int."""
    return array.indices().as_vec3_double().as_numpy_array().round().astype(int)


def _unique_rows(index: np.ndarray, array: miller.array) -> np.ndarray:
    """Rows that are one of all equivalents each."""
    points = miller.set(array.crystal_symmetry(), as_flex(index), anomalous_flag=False)
    reduced = indices_of(points.map_to_asu())
    return np.unique(reduced, axis=0, return_index=True)[1]


def usable_resolution(f_sq: miller.array) -> float:
    """
    Find the resolution [Å] to which data serve: at least a third of each shell is there.

    Rotation data of few crystals reach far in some directions only. Of ten shells of
    equal volume those from the first that is less complete are left out; no more than
    `FINEST` is used. A half-complete glycine solves the better the more shells there
    are, as what lacks may float.

    Args:
        f_sq: Merged intensities.
    """
    d = f_sq.d_spacings().data().as_numpy_array()
    if not len(d):
        return FINEST
    end = max(float(d.min()), FINEST)
    complete = f_sq.complete_set(d_min=end * (1 - 1e-6))
    possible = 1 / complete.d_spacings().data().as_numpy_array() ** 3
    edges = np.linspace(0, possible.max() * (1 + 1e-6), 11)
    wanted = np.histogram(possible, edges)[0]
    found = np.histogram(1 / d**3, edges)[0]
    poor = np.flatnonzero((found < COMPLETE * wanted)[1:])
    return end if not len(poor) else float(edges[poor[0] + 1] ** (-1 / 3))


def local_means(values: np.ndarray, s_sq: np.ndarray) -> np.ndarray:
    """
    Average over the neighbours in resolution: a Wilson plot without shells.

    Args:
        values: Shape (n,).
        s_sq: Shape (n,), (sin θ / λ)².

    Returns:
        Shape (n,): of each the mean of a twelfth of all, 60 at least, around it.
    """
    order = np.argsort(s_sq, kind="stable")
    half = max(60, len(values) // 12) // 2
    sums = np.concatenate([[0.0], np.cumsum(values[order])])
    at = np.arange(len(values))
    low, high = np.maximum(0, at - half), np.minimum(len(values), at + half + 1)
    means = np.empty(len(values))
    means[order] = (sums[high] - sums[low]) / (high - low)
    return means


def _expanded(array: miller.array, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices and values in P1."""
    own = array.customized_copy(data=flex.double(np.ascontiguousarray(values)))
    in_p1 = own.set_observation_type(None).expand_to_p1()
    return indices_of(in_p1), in_p1.data().as_numpy_array()


def _missing(array: miller.array, d_min: float) -> np.ndarray:
    """What is possible in P1 within d_min [Å] but not there, shape (m, 3)."""
    lacking = array.complete_set(d_min=d_min).lone_set(other=array)
    if not lacking.size():
        return np.empty((0, 3), dtype=int)
    return indices_of(lacking.expand_to_p1())
