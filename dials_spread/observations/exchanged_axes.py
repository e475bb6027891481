"""
Crystals whose axes were exchanged when they were indexed.

Where a lattice has nearly more symmetry than the crystal (two axes of about one length,
a monoclinic angle near 90°) or exactly so (P 3, P 4, P 2₁ 3), indexing may choose
another of several bases for each crystal. Their cells agree then within what is
tolerated, and only intensities tell. Each crystal is given the operator under which its
amplitudes agree best with those of all others, in turn, until none changes; the bases of
most crystals are taken for right, and a crystal is named only where its correlation
with these rises significantly. The idea is that of Brehm & Diederichs (2014), Acta
Cryst. D70, 101, and of Kabsch (2014), ibid., 2204.

Functions:
    find_exchanged: the crystals, and the operator that mends each
    describe_exchanged: what to say of them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import scipy.sparse as sp
from scipy import stats

from cctbx import crystal

from dials_spread.observations.crystals import ANGLE_TOLERANCE, LENGTH_TOLERANCE
from dials_spread.observations.indices import unique_indices
from dials_spread.observations.intensities import amplitudes
from dials_spread.observations.table import Observations
from dials_spread.reindexing import laue_matrices, reindexing_choices
from dials_spread.stages import stage
from dials_spread.statistics.groups import group_means

IN_SHELL = 60
"""Reflections in a shell of resolution, over which amplitudes are normalised."""

FEWEST = 20
"""Reflections in common from which a correlation counts."""

LEVEL = 1e-6
"""Of significance, over all crystals and operators together: the operators were chosen
by what is then tested, and reflections of one image are not independent."""

LEAST_RISE = 0.2
"""Of the correlation; a true exchange raises it by far more."""

LEAST_AFTER = 0.3
"""Correlation with the operator applied: of noise, one basis is as good as another."""

ROUNDS = 20


@dataclass(frozen=True)
class Exchanged:
    """
    A crystal that was indexed on another basis than most.

    Attributes:
        crystal: Number of the experiment.
        operator: That mends it, of indices, such as ``k,h,-l``.
        cc_before: Correlation of its amplitudes with those of the crystals on the basis
            of most, resolution by resolution.
        cc_after: With the operator applied.
        n_common: Unique reflections behind cc_after.
        p_value: Of so large a rise by chance, over all crystals and operators.
    """

    crystal: int
    operator: str
    cc_before: float
    cc_after: float
    n_common: int
    p_value: float

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


@stage("Exchanged axes")
def find_exchanged(observations: Observations) -> tuple[Exchanged, ...]:
    """
    Find the crystals that agree better with the others after an exchange of axes.

    Args:
        observations: Of all crystals, scaled or not.

    Returns:
        One for each such crystal; none where there is one crystal, or one basis only.
    """
    if observations.n_crystals < 2:
        return ()
    symmetry = crystal.symmetry(
        observations.unit_cell, space_group=observations.space_group
    )
    choices = reindexing_choices(symmetry, symmetry, LENGTH_TOLERANCE, ANGLE_TOLERANCE)
    choices = [c for c in choices if c.symmetric]
    if len(choices) < 2:
        return ()
    table = _Table(observations, [c.on_indices for c in choices])
    chosen = _assign(table)
    return tuple(_significant(table, chosen, [c.symbol for c in choices]))


class _Table:
    """
    Amplitudes of each crystal, by unique reflection, under each operator.

    Attributes:
        n: Number of crystals.
        columns: Shape (operators, entries), the unique reflection of each entry.
        crystal: Shape (entries,).
        values: Shape (entries,), normalised amplitudes less their mean.
        telling: Shape (operators, entries): the operator gives it another one.
        ratio: Shape (operators, operators), the number of a⁻¹b; -1 for none.
    """

    def __init__(self, observations: Observations, matrices: Sequence[np.ndarray]):
        group, n_unique = observations.space_group, observations.n_unique
        key = observations.crystal.astype(np.int64) * n_unique + observations.unique
        found, entry = np.unique(key, return_inverse=True)
        merged = group_means(observations.intensity, entry.ravel(), len(found))
        self.n = observations.n_experiments
        self.crystal, unique = np.divmod(found, n_unique)
        hkl = observations.unique_index[unique]
        self.values = _normalised(
            merged, self.crystal, observations.d_star_sq[unique], self.n
        )
        moved = [np.rint(hkl @ m.T).astype(np.int64) for m in matrices]
        _, columns = unique_indices(np.concatenate(moved), group, True)
        self.columns = columns.reshape(len(matrices), -1)
        self.telling = self.columns != self.columns[0]
        self.ratio = _ratios(matrices, laue_matrices(group))
        self.width = int(columns.max()) + 1

    def rows(self, operator: int, keep: np.ndarray | None = None) -> list:
        """Sparse (crystals, unique) matrices of ones, values and their squares."""
        keep = np.ones(len(self.values), dtype=bool) if keep is None else keep
        cell = (self.crystal[keep], self.columns[operator][keep])
        values = self.values[keep]
        shape = (self.n, self.width)
        return [
            sp.csr_matrix((x, cell), shape=shape)
            for x in (np.ones(len(values)), values, values**2)
        ]


def _normalised(
    intensity: np.ndarray, of: np.ndarray, d_star_sq: np.ndarray, n: int
) -> np.ndarray:
    """Divide amplitudes by those of the crystal at the same resolution; mean 0."""
    order = np.lexsort((d_star_sq, of))
    start = np.searchsorted(of[order], np.arange(n + 1))
    place = np.empty(len(of), dtype=np.int64)
    place[order] = np.arange(len(of)) - start[of[order]]
    shells = np.maximum(np.diff(start) // IN_SHELL, 1)
    shell = place * shells[of] // np.maximum(np.diff(start), 1)[of]
    _, cell = np.unique(of * (shells.max() + 1) + shell, return_inverse=True)
    F, cell = amplitudes(intensity), cell.ravel()
    mean = group_means(F, cell, int(cell.max()) + 1)[cell]
    return np.divide(F, mean, out=np.ones(len(F)), where=mean > 0) - 1


def _ratios(matrices: Sequence[np.ndarray], laue: np.ndarray) -> np.ndarray:
    """Number the operators a⁻¹b, up to those of the Laue group, shape (k, k)."""
    found = np.full((len(matrices), len(matrices)), -1)
    for a, first in enumerate(matrices):
        for b, second in enumerate(matrices):
            wanted = np.linalg.inv(first) @ second
            for k, matrix in enumerate(matrices):
                left = wanted @ np.linalg.inv(matrix)
                if (np.abs(laue - left).max(axis=(1, 2)) < 1e-3).any():
                    found[a, b] = k
    return found


def _correlations(one: list, other: list) -> tuple[np.ndarray, np.ndarray]:
    """Correlate each crystal of one with each of the other; and count what is common."""
    (m, x, xx), (k, y, yy) = one, other
    n, sx, sy, sxx, syy, sxy = (
        (left @ right.T).toarray()
        for left, right in ((m, k), (x, k), (m, y), (xx, k), (m, yy), (x, y))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.sqrt((sxx - sx**2 / n) * (syy - sy**2 / n))
        cc = np.where((n > 3) & (below > 0), (sxy - sx * sy / n) / below, 0.0)
    return np.clip(np.nan_to_num(cc), -0.999, 0.999), n


def _assign(table: _Table) -> np.ndarray:
    """Choose an operator for each crystal by its agreement with all others."""
    n_operators = len(table.columns)
    identity = table.rows(0)
    agreement = np.zeros((n_operators + 1, table.n, table.n))
    for k in range(n_operators):
        cc, n = _correlations(table.rows(k), identity)
        weight = np.maximum(n - 3, 0.0)
        np.fill_diagonal(weight, 0.0)
        agreement[k] = weight * np.arctanh(cc)
    chosen = np.zeros(table.n, dtype=int)
    everyone = np.arange(table.n)
    for _ in range(ROUNDS):
        before = chosen.copy()
        for i in everyone:
            # The last, empty, is for ratios that are none of the operators.
            total = [
                agreement[table.ratio[chosen, k], i, everyone].sum()
                for k in range(n_operators)
            ]
            best = int(np.argmax(total))
            if total[best] > total[chosen[i]] + 1e-9:
                chosen[i] = best
        if (chosen == before).all():
            break
    return chosen


def _significant(table: _Table, chosen: np.ndarray, symbols: Sequence[str]):
    """Compare each crystal that was moved with those on the basis of most."""
    there = np.bincount(table.crystal, minlength=table.n) > 0
    sizes = np.bincount(chosen[there], minlength=len(symbols))
    first = chosen[there][np.argmax(sizes[chosen[there]] == sizes.max())]
    reference = there & (chosen == first)
    operators = table.ratio[first][chosen]
    of_reference = reference[table.crystal]
    count = np.bincount(table.columns[0][of_reference], minlength=table.width)
    total = np.bincount(
        table.columns[0][of_reference], table.values[of_reference], table.width
    )
    mean = np.divide(total, count, out=np.full(table.width, np.nan), where=count > 0)
    n_tests = max(int(there.sum()) * (len(symbols) - 1), 1)
    for i in np.flatnonzero(there & ~reference & (operators > 0)):
        k = operators[i]
        own = (table.crystal == i) & table.telling[k]
        (before, n_before), (after, n_after) = (
            _one_correlation(table.values[own], mean[table.columns[j][own]])
            for j in (0, k)
        )
        if min(n_before, n_after) < FEWEST:
            continue
        if not after > max(before + LEAST_RISE, LEAST_AFTER):
            continue
        error = np.sqrt(1 / (n_before - 3) + 1 / (n_after - 3))
        rise = np.arctanh(min(after, 0.999)) - np.arctanh(max(before, -0.999))
        p = min(n_tests * float(stats.norm.sf(rise / error)), 1.0)
        if p < LEVEL:
            yield Exchanged(int(i), symbols[k], before, after, n_after, p)


def _one_correlation(one: np.ndarray, other: np.ndarray) -> tuple[float, int]:
    """Correlate what both have; 0 where that is too little."""
    known = np.isfinite(other)
    n = int(known.sum())
    if n < FEWEST or not (one[known].std() > 0 and other[known].std() > 0):
        return 0.0, n
    return float(np.corrcoef(one[known], other[known])[0, 1]), n


def describe_exchanged(exchanged: Sequence[Exchanged]) -> str:
    """
    Say which crystals were indexed on another basis than most.

    Args:
        exchanged: From find_exchanged.

    Returns:
        A paragraph; empty where there are none.
    """
    told = []
    for operator in dict.fromkeys(e.operator for e in exchanged):
        own = [e for e in exchanged if e.operator == operator]
        numbers = ", ".join(str(e.crystal) for e in own)
        before, after = (
            float(np.median([getattr(e, name) for e in own]))
            for name in ("cc_before", "cc_after")
        )
        who = f"crystals {numbers}" if len(own) > 1 else f"crystal {numbers}"
        median = "median " if len(own) > 1 else ""
        told.append(
            f"{who} after {operator} ({median}correlation of the amplitudes with the "
            f"other crystals {before:.2f} before, {after:.2f} after)"
        )
    if not told:
        return ""
    return (
        "The axes of some crystals are exchanged: the intensities agree better of "
        f"{'; of '.join(told)}. Until these are reindexed, different reflections are "
        "compared below as if they were equivalent."
    )
