"""
Do images of the same orientation agree better with each other than with other images?

The common spots of all pairs of the same orientation, each with the deviations e of its
two observations from the mean M of the reflection. Within pairs, and between all other
pairs of crystals of the same reflections,

    s²_within = ⟨½(e_a² + e_b²) - ½(σ_a² + σ_b²) - e_a e_b⟩ / ⟨M²⟩
    s²_others = ⟨½(e_a² + e_b²) - ½(σ_a² + σ_b²) - mean of e_i e_j⟩ / ⟨M²⟩

with one set of weights: half the mean square of a difference, twice, of which the squares
are of the same observations, so that both are without bias whatever the number of spots,
and differ by what the images of a pair share alone. (Medians of s, which is not below zero
and comes from as many differences within a pair as it has spots, and from twice as many
to the others, differ where nothing is shared.)

Whether they differ is tested by changing signs: of all deviations of one reflection on
one crystal together, at random and independently. That is what deviations without
anything in common are like (Efron (1969), J. Am. Stat. Assoc. 64, 1278); an observation in
several pairs, equivalents, and a crossing that several images list change sign as one. The
mean deviation of each image is taken off before, so that factors of images are not taken
for it.

Functions:
    compare_orientations: both spreads, their ratio with its interval, and p
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from dials_spread.spread.chance.changed_signs import ReflectionSums, with_signs
from dials_spread.spread.chance.orientation_sums import (
    COVERED,
    FEWEST_SPOTS,
    TOO_FEW,
    OrientationContrast,
    deviations,
    half_squares,
    parts_of_reflections,
    shared_interval,
    spreads,
    weights_of_reflections,
    with_ratio,
)
from dials_spread.statistics.bootstrap import group_crystals
from dials_spread.statistics.groups import (
    group_numbers,
    group_starts,
    numbered,
    order_of_groups,
)

TOGETHER = 1_000_000
"""Common spots that are handled at once."""


class EntryColumns(NamedTuple):
    """
    All observations on one scale, without factors of images; arrays of length n.

    Attributes:
        image, crystal, unique: Numbers from 0.
        intensity, variance: On one scale.
    """

    image: np.ndarray
    crystal: np.ndarray
    unique: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray


class _Spots(NamedTuple):
    """
    Common spots that count: observations and reflection; by reflection, the mean product
    of other pairs; the crystal of each cell.
    """

    a: np.ndarray
    b: np.ndarray
    unique: np.ndarray
    of_others: np.ndarray
    cell_crystal: np.ndarray
    sums: ReflectionSums


def _deviations(
    entries: EntryColumns, s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give deviations, shape (n,), and the weight and mean of each reflection."""
    unique = entries.unique
    total = np.bincount(unique, entries.intensity)
    variance = np.bincount(unique, entries.variance)
    weight, mean = weights_of_reflections(np.bincount(unique), total, variance, s)
    z = deviations(entries.intensity, entries.image, unique, weight, mean)
    return z, weight, mean


def _lay_out(
    entries: EntryColumns,
    z: np.ndarray,
    weight: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
) -> _Spots | None:
    """Sort what is compared by reflection; None where nothing is left."""
    unique, n_unique = entries.unique, len(weight)
    n_crystals = int(entries.crystal.max()) + 1
    key = unique.astype(np.int64) * n_crystals + entries.crystal
    cells, cell = numbered(key, n_unique * n_crystals)
    cell_unique = cells // n_crystals
    total, size = np.bincount(cell, z), np.bincount(cell).astype(float)

    def pairs_of(x, everything):
        squares = np.bincount(cell_unique, x**2, minlength=n_unique)
        return 0.5 * (
            np.bincount(unique, everything, minlength=n_unique) ** 2 - squares
        )

    product_all, n_all = pairs_of(total, z), pairs_of(size, np.ones(len(z)))
    n_same, product_same = np.zeros((2, n_unique))
    for own in _parts(len(a)):
        of_spot, product = unique[a[own]], z[a[own]] * z[b[own]]
        n_same += np.bincount(of_spot, minlength=n_unique)
        product_same += np.bincount(of_spot, product, minlength=n_unique)
    parts = parts_of_reflections(weight, n_all, product_all, n_same, product_same)
    use = parts.use
    order = _by_reflection(unique[a], use)
    if not len(order):
        return None
    a, b = a[order], b[order]
    del order
    product = np.empty(len(a))
    for own in _parts(len(a)):
        product[own] = z[a[own]] * z[b[own]]
    number = np.cumsum(use) - 1
    in_use = use[cell_unique]
    new_cell = (np.cumsum(in_use) - 1).astype(np.int32)  # one for each spot: short
    sums = ReflectionSums(
        spot_start=group_starts(number[unique[a]], int(use.sum())),
        product=product,
        cell_a=new_cell[cell[a]],
        cell_b=new_cell[cell[b]],
        cell_start=group_starts(number[cell_unique[in_use]], int(use.sum())),
        total=total[in_use],
        of_same=parts.of_same[use],
        of_all=parts.of_all[use],
    )
    crystal_of_cell = (cells % n_crystals)[in_use]
    return _Spots(a, b, unique[a], parts.of_others, crystal_of_cell, sums)


def _by_reflection(of_spot: np.ndarray, use: np.ndarray) -> np.ndarray:
    """Give the spots of reflections that count, by reflection."""
    kept = use[of_spot]
    if kept.all():
        return order_of_groups(of_spot)
    rows = np.flatnonzero(kept).astype(np.int32 if len(kept) < 2**31 else np.int64)
    return rows[order_of_groups(of_spot[kept])]


def _by_crystals(sums: ReflectionSums, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Sum what all pairs of cells of a reflection have in common, by their groups."""
    n = len(sums.of_all)
    reflection = group_numbers(sums.cell_start)
    shape = (n, n_groups)
    totals = sp.csr_matrix((sums.total, (reflection, group)), shape=shape)
    table = (totals.T @ totals.multiply(sums.of_all[:, None])).toarray()
    own = np.bincount(group, sums.of_all[reflection] * sums.total**2, n_groups)
    return 0.5 * (table - np.diag(own))


def _interval_of_spots(
    spots: _Spots,
    entries: EntryColumns,
    deviations_and_weights: tuple[np.ndarray, np.ndarray],
    error: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Give the interval of the part that pairs share beyond others, over crystals."""
    n_crystals = int(entries.crystal.max()) + 1
    groups = group_crystals(spots.cell_crystal, n_crystals, rng)
    group = groups.of_crystal[entries.crystal]
    weights = groups.draws(rng)
    common = _by_crystals(spots.sums, groups.of_crystal[spots.cell_crystal], groups.n)
    tables = np.zeros((2, groups.n**2))
    for own in _parts(len(spots.a)):
        number = np.arange(own.start, min(own.stop, len(spots.a)))
        reflection = np.searchsorted(spots.sums.spot_start, number, side="right") - 1
        product, part = spots.sums.product[own], spots.sums.of_all[reflection]
        square = _squares(spots, entries, *deviations_and_weights, own)
        pair = group[spots.a[own]].astype(np.int64) * groups.n + group[spots.b[own]]
        for table, x in zip(tables, (product * (1 + part), square + product * part)):
            table += np.bincount(pair, x, groups.n**2)
    apart = [table.reshape(groups.n, -1) - common for table in tables]
    return shared_interval(apart, weights, error)


def compare_orientations(
    entries: EntryColumns,
    a: np.ndarray,
    b: np.ndarray,
    n_pairs: int,
    s: float,
    rng: np.random.Generator,
    test: bool = True,
    nproc: int | None = None,
) -> OrientationContrast:
    """
    Compare pairs of the same orientation with all other pairs of their reflections.

    Args:
        entries: All observations.
        a, b: Shape (m,), numbers of the two observations of each common spot of all
            pairs, on two crystals; they may be exchanged.
        n_pairs: Pairs of images that these are of.
        s: Relative spread of all, for weights.
        rng: For signs and bootstrap.
        test: False leaves the test out.
        nproc: Threads; all cores by default.

    Returns:
        The comparison; without data a reason.
    """
    z, weight, mean = _deviations(entries, s)
    spots = _lay_out(entries, z, weight, a, b) if len(a) else None
    n_spots = 0 if spots is None else len(spots.a)
    if spots is None or n_spots < FEWEST_SPOTS:
        reason = TOO_FEW.format(n_spots=n_spots)
        return OrientationContrast(n_pairs=n_pairs, n_spots=n_spots, reason=reason)
    level, found, of_others = _summed(spots, entries, z, weight, mean)
    result = spreads(level, found, of_others, n_pairs, n_spots, _crystals_in(spots))
    error = np.nan
    if test:
        result, error = _tested(result, found, spots.sums, rng, nproc)
    if not of_others > 0:
        return replace(result, reason=COVERED)
    ends = _interval_of_spots(spots, entries, (z, weight), error, rng)
    return with_ratio(result, found, of_others, ends, error)


def _crystals_in(spots: _Spots) -> int:
    """Count the crystals that common spots are of."""
    seen = np.zeros(len(spots.cell_crystal), bool)
    seen[spots.sums.cell_a] = seen[spots.sums.cell_b] = True
    return len(np.unique(spots.cell_crystal[seen]))


def _parts(n: int) -> list[slice]:
    """Spots that are handled at once: what is made of them is never held of all."""
    return [slice(first, first + TOGETHER) for first in range(0, n, TOGETHER)]


def _summed(
    spots: _Spots,
    entries: EntryColumns,
    z: np.ndarray,
    weight: np.ndarray,
    mean: np.ndarray,
) -> tuple[float, float, float]:
    """
    Give the sums of squared means, of what pairs share beyond others, and of what others
    differ by.
    """
    level, found, of_others = 0.0, 0.0, 0.0
    for own in _parts(len(spots.a)):
        unique, others = spots.unique[own], spots.of_others[spots.unique[own]]
        level += (weight[unique] * mean[unique] ** 2).sum()
        found += (spots.sums.product[own] - others).sum()
        of_others += (_squares(spots, entries, z, weight, own) - others).sum()
    return level, found, of_others


def _squares(
    spots: _Spots,
    entries: EntryColumns,
    z: np.ndarray,
    weight: np.ndarray,
    own: slice,
) -> np.ndarray:
    """Give ½(e_a² + e_b²) - ½(σ_a² + σ_b²) of some spots, weighted."""
    w = weight[spots.unique[own]]
    return half_squares(z, entries.variance, w, spots.a[own], spots.b[own])


def _tested(
    result: OrientationContrast,
    found: float,
    sums: ReflectionSums,
    rng: np.random.Generator,
    nproc: int | None,
) -> tuple[OrientationContrast, float]:
    """Add the p-value; and the standard error of the difference without dependence."""
    signs = with_signs(sums, rng, nproc)
    # Sums in another order may differ in the last digits.
    reached = np.sum(signs >= found - 1e-9 * abs(found))
    p_value = float((1 + reached) / (1 + len(signs)))
    error = float(np.sqrt(np.mean(signs**2)))
    return replace(result, p_value=p_value, n_signs=len(signs)), error
