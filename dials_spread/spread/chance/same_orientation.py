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

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from dials_spread.spread.chance.changed_signs import ReflectionSums, with_signs
from dials_spread.statistics.bootstrap import FEWEST_CRYSTALS, group_crystals, interval
from dials_spread.statistics.groups import (
    group_means,
    group_numbers,
    group_starts,
    numbered,
    order_of_groups,
)

FEWEST_SPOTS = 20
"""Common spots that a comparison takes."""

TOO_FEW = (
    "common spots of reflections that are strong enough and on a third image, of which "
    f"there are {{n_spots}}, have to be {FEWEST_SPOTS} at least."
)
COVERED = "the standard uncertainties cover their differences."

LEVEL = 0.01
"""p up to which images of the same orientation are said to agree better."""

TOGETHER = 1_000_000
"""Common spots that are handled at once."""

NORMAL = 1.96
"""Standard errors on either side of an estimate in a 95 % interval."""

POWER = 3.2
"""Standard errors at which 80 % of data sets have p of at most `LEVEL`."""


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


@dataclass(frozen=True)
class OrientationContrast:
    """
    Pairs of the same orientation against all other pairs of the same reflections.

    Attributes:
        s_within: Root mean square s within pairs; 0 where its square is negative, nan
            without data, as all that follows.
        s_others: Between the other images.
        ratio: The first over the second, with its 95 % interval over crystals.
        ratio_low, ratio_high: nan without an interval.
        p_value: Of as large a difference, where pairs share nothing; one-sided.
        pairs_needed: Pairs like these that would show the ratio found in 80 % of data
            sets; nan where within is not below others.
        ratio_seen: Ratio below which 80 % of data sets like this one would show it.
        n_pairs, n_spots, n_crystals: What it rests on.
        n_signs: Random sets of signs.
        reason: Why there is nothing, in one sentence, or nothing.
    """

    s_within: float = np.nan
    s_others: float = np.nan
    ratio: float = np.nan
    ratio_low: float = np.nan
    ratio_high: float = np.nan
    p_value: float = np.nan
    pairs_needed: float = np.nan
    ratio_seen: float = np.nan
    n_pairs: int = 0
    n_spots: int = 0
    n_crystals: int = 0
    n_signs: int = 0
    reason: str = ""

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return dict(vars(self))

    @property
    def shown(self) -> bool:
        """Whether images of the same orientation are shown to agree better."""
        return self.n_crystals >= FEWEST_CRYSTALS and self.p_value <= LEVEL


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
    """
    Give deviations over their expected size, without the mean of each image.

    Returns:
        Shape (n,); the weight of each reflection, 0 where it is too weak or has fewer
        than three observations; and its mean.
    """
    unique, intensity = entries.unique, entries.intensity
    number = np.bincount(unique)
    filled = np.maximum(number, 1)
    mean = np.bincount(unique, intensity) / filled
    noise = np.bincount(unique, entries.variance) / filled
    use = (number > 2) & (mean > 0) & (mean**2 >= noise)
    expected = np.where(use, noise + (s * mean) ** 2, 1.0)
    weight = np.where(use, 1 / expected, 0.0)
    z = (intensity - mean[unique]) * np.sqrt(weight)[unique]
    n_images = int(entries.image.max()) + 1
    of_image = group_means(z, entries.image, n_images, use[unique].astype(float))
    return (z - of_image[entries.image]) * use[unique], weight, mean


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
    n_others = n_all - n_same
    use = (weight > 0) & (n_same > 0) & (n_others > 0)
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
    per = np.where(use, n_others, 1.0)
    sums = ReflectionSums(
        spot_start=group_starts(number[unique[a]], int(use.sum())),
        product=product,
        cell_a=new_cell[cell[a]],
        cell_b=new_cell[cell[b]],
        cell_start=group_starts(number[cell_unique[in_use]], int(use.sum())),
        total=total[in_use],
        of_same=(n_all / per)[use],
        of_all=(n_same / per)[use],
    )
    of_others = (product_all - product_same) / per
    crystal_of_cell = (cells % n_crystals)[in_use]
    return _Spots(a, b, unique[a], of_others, crystal_of_cell, sums)


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


def _ratio_interval(
    spots: _Spots,
    entries: EntryColumns,
    deviations: tuple[np.ndarray, np.ndarray],
    error: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """
    Give the interval of the ratio over crystals.

    A pair of crystals has the product of their weights, as in pairs.summary. With a few
    crystals that can miss what single reflections make uncertain, so that the interval
    is no narrower than by the standard error that changing signs gives the difference.
    """
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
        square = _squares(spots, entries, *deviations, own)
        pair = group[spots.a[own]].astype(np.int64) * groups.n + group[spots.b[own]]
        for table, x in zip(tables, (product * (1 + part), square + product * part)):
            table += np.bincount(pair, x, groups.n**2)
    drawn = [
        np.einsum("da,ab,db->d", weights, table.reshape(groups.n, -1) - common, weights)
        for table in tables
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = np.where(drawn[1] > 0, drawn[0] / drawn[1], np.nan)
    low, high = interval(shared, groups.n)
    if np.isfinite(error):
        half = NORMAL * error / drawn[1][0]
        low, high = min(low, shared[0] - half), max(high, shared[0] + half)
    return _root(1 - high), _root(1 - low)


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
    result = OrientationContrast(
        s_within=_root((of_others - found) / level),
        s_others=_root(of_others / level),
        n_pairs=n_pairs,
        n_spots=n_spots,
        n_crystals=_crystals_in(spots),
    )
    error = np.nan
    if test:
        result, error = _tested(result, found, spots.sums, rng, nproc)
    if not of_others > 0:
        return replace(result, reason=COVERED)
    low, high = _ratio_interval(spots, entries, (z, weight), error, rng)
    needed = n_pairs * (POWER * error / found) ** 2 if found > 0 else np.nan
    return replace(
        result,
        ratio=_root(1 - found / of_others),
        ratio_low=low,
        ratio_high=high,
        pairs_needed=float(needed),
        ratio_seen=_root(1 - POWER * error / of_others),
    )


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
    a, b, w = spots.a[own], spots.b[own], weight[spots.unique[own]]
    square = 0.5 * (z[a] ** 2 + z[b] ** 2)
    square -= 0.5 * w * (entries.variance[a] + entries.variance[b])
    return square


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


def _root(square: float) -> float:
    return float(np.sqrt(max(square, 0.0)))
