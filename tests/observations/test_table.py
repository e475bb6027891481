"""The verbs of the table of observations: what must stay the same does, whatever comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cctbx import sgtbx, uctbx

from dials_spread.observations import (
    Geometry,
    Images,
    Observations,
    unique_indices,
)
from dials_spread.orientation import reciprocal_basis
from dials_spread.rfactor import merge
from dials_spread.rfactor.merging import r_meas

FEW = settings(max_examples=40, deadline=None)

CELLS = {
    "P 1": (5, 6, 7, 80, 95, 100),
    "P 1 21 1": (5, 6, 7, 90, 100, 90),
    "I 2 2 2": (5, 6, 7, 90, 90, 90),
    "P 41": (6, 6, 9, 90, 90, 90),
    "P 32 2 1": (5, 5, 6, 90, 90, 120),
    "F m -3 m": (9, 9, 9, 90, 90, 90),
}


def table_of(
    symbol: str, hkl: np.ndarray, rng: np.random.Generator, n_crystals: int = 3
) -> Observations:
    """Observations of these indices with random intensities, angles and directions."""
    group = sgtbx.space_group_info(symbol).group()
    cell = uctbx.unit_cell(CELLS[symbol])
    unique_index, unique = unique_indices(hkl, group, friedel=True)
    n = len(hkl)
    crystal = rng.integers(0, n_crystals, n)
    image = 2 * crystal + rng.integers(0, 2, n)
    order = np.argsort(image, kind="stable")
    beam = rng.normal(size=(n, 3))
    beam /= np.linalg.norm(beam, axis=1)[:, None]
    return Observations(
        crystal=crystal,
        row=np.arange(n),
        miller_index=hkl,
        unique=unique,
        intensity=rng.normal(10, 5, n),
        variance=rng.uniform(0.5, 2, n),
        entry_image=image[order],
        entry=order,
        images=images_of(n_crystals),
        unique_index=unique_index,
        d_spacing=np.array([cell.d(tuple(int(x) for x in h)) for h in unique_index]),
        unit_cell=cell,
        space_group=group,
        friedel=True,
        choice="sum",
        radiation="electrons",
        dataset=np.zeros(n_crystals, dtype=int),
        dropped={},
        outside_scan=0,
        geometry=Geometry(
            beam=beam,
            rate=rng.uniform(0.1, 1, n),
            angle=rng.uniform(0, 40, n),
            excitation=rng.normal(0, 1e-3, n),
            wavelength=0.02,
        ),
    )


def images_of(n_crystals: int) -> Images:
    """Two neighbouring images of each crystal."""
    n = 2 * n_crystals
    first = np.tile([1, 2], n_crystals)
    return Images(
        crystal=np.repeat(np.arange(n_crystals), 2),
        first=first,
        last=first,
        z=first - 0.5,
        setting=np.tile(np.eye(3), (n, 1, 1)),
        s0=np.tile([0, 0, 50.0], (n, 1)),
        beam=np.tile([0, 0, 1.0], (n, 1)),
    )


@st.composite
def tables(draw: st.DrawFn) -> Observations:
    """Tables of any of the groups, of 1 to 60 observations, many of them repeated."""
    symbol = draw(st.sampled_from(sorted(CELLS)))
    group = sgtbx.space_group_info(symbol).group()
    index = st.tuples(*[st.integers(-3, 3)] * 3)
    possible = index.filter(lambda h: any(h) and not group.is_sys_absent(h))
    hkl = draw(st.lists(possible, min_size=1, max_size=60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return table_of(symbol, np.array(hkl, dtype=np.int32), rng)


def by_index(table: Observations, values: np.ndarray) -> dict[tuple, float]:
    """Numbers of unique reflections by their index."""
    return {tuple(h): v for h, v in zip(table.unique_index.tolist(), values)}


@pytest.mark.slow
@FEW
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(table, random):
    order = list(range(len(table)))
    random.shuffle(order)
    other = table.select(np.array(order))
    np.testing.assert_array_equal(other.intensity, table.intensity[order])
    np.testing.assert_array_equal(other.unique_index, table.unique_index)
    np.testing.assert_allclose(other.merged(), table.merged())
    for name in ("d_star_sq", "epsilon", "centric", "d_spacing"):
        np.testing.assert_array_equal(getattr(other, name), getattr(table, name))
    # Which observations are of one crossing, however they are numbered.
    same = table.crossings()[:, None] == table.crossings()
    found = other.crossings()[:, None] == other.crossings()
    np.testing.assert_array_equal(found, same[np.ix_(order, order)])
    listed = {(int(o), int(i)) for o, i in zip(table.entry, table.entry_image)}
    moved = {(order[o], int(i)) for o, i in zip(other.entry, other.entry_image)}
    assert moved == listed and np.all(np.diff(other.entry_image) >= 0)
    joined, again = table.without_repeats()[0], other.without_repeats()[0]
    assert len(again) == len(joined)
    np.testing.assert_allclose(again.merged(), joined.merged())


@pytest.mark.slow
@FEW
@given(tables(), st.data())
def test_a_selection_keeps_each_observation_as_it_was(table, data):
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=1, max_size=60)))
    kept = np.resize(kept, len(table))
    some = table.select(kept)
    rows = np.flatnonzero(kept)
    np.testing.assert_array_equal(some.row, rows)
    np.testing.assert_array_equal(
        some.unique_index[some.unique], table.unique_index[table.unique[rows]]
    )
    assert len(np.unique(some.unique)) == some.n_unique
    np.testing.assert_array_equal(some.angle, table.angle[rows])
    on = {int(o): int(i) for o, i in zip(table.entry, table.entry_image)}
    found = {int(o): int(i) for o, i in zip(some.entry, some.entry_image)}
    assert found == {new: on[int(old)] for new, old in enumerate(rows)}


@FEW
@given(tables(), st.floats(1e-3, 1e3))
def test_a_change_of_unit_changes_the_unit_and_nothing_else(table, unit):
    other = table.multiplied(np.full(len(table), unit))
    np.testing.assert_allclose(other.merged(), unit * table.merged(), rtol=1e-12)
    ratio = other.intensity / other.sigma
    np.testing.assert_allclose(ratio, table.intensity / table.sigma, rtol=1e-12)
    back = other.divided(np.full(len(table), unit))
    np.testing.assert_allclose(back.intensity, table.intensity, rtol=1e-12)
    np.testing.assert_allclose(back.variance, table.variance, rtol=1e-12)
    groups = (table.unique, table.n_unique)
    before, after = (r_meas(t.intensity, *groups)[0] for t in (table, other))
    np.testing.assert_allclose(after, before, rtol=1e-9)
    joined, found = table.without_repeats()[0], other.without_repeats()[0]
    np.testing.assert_allclose(found.intensity, unit * joined.intensity, rtol=1e-9)
    np.testing.assert_allclose(found.sigma, unit * joined.sigma, rtol=1e-9)


@FEW
@given(tables(), st.integers(0, 2**32))
def test_symmetry_equivalents_are_one_reflection(table, seed):
    """Each observation under an operator of the Laue group of its own."""
    rng = np.random.default_rng(seed)
    group = table.space_group.build_derived_laue_group()
    rotations = [
        np.reshape(op.r().as_double(), (3, 3)).astype(int) for op in group.all_ops()
    ]
    own = rng.integers(0, len(rotations), len(table))
    hkl = np.array([h @ rotations[k] for h, k in zip(table.miller_index, own)])
    index, unique = unique_indices(hkl.astype(np.int32), table.space_group, True)
    np.testing.assert_array_equal(index, table.unique_index)
    np.testing.assert_array_equal(unique, table.unique)
    other = replace(table, miller_index=hkl, unique=unique)
    np.testing.assert_array_equal(other.merged(), table.merged())
    # Resolution, ε and centricity are those of each equivalent.
    vectors = hkl @ reciprocal_basis(table.unit_cell).T
    squared = np.sum(vectors**2, axis=1)
    np.testing.assert_allclose(table.d_star_sq[table.unique], squared, rtol=1e-9)
    epsilon = [table.space_group.epsilon(tuple(int(x) for x in h)) for h in hkl]
    np.testing.assert_array_equal(table.epsilon[table.unique], epsilon)


@FEW
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_reindexing_moves_indices_and_leaves_intensities(seed, n):
    """P 32 2 1 can be indexed in two ways that symmetry does not relate."""
    rng = np.random.default_rng(seed)
    hkl = rng.integers(-3, 4, (n, 3)).astype(np.int32)
    table = table_of("P 32 2 1", hkl[np.any(hkl != 0, axis=1)], rng)
    if not len(table):
        return
    turned = table.miller_index * [-1, -1, 1]
    index, unique = unique_indices(
        turned.astype(np.int32), table.space_group, table.friedel
    )
    other = replace(table, miller_index=turned, unique=unique, unique_index=index)
    assert other.n_unique == table.n_unique
    np.testing.assert_allclose(
        np.sort(other.d_star_sq), np.sort(table.d_star_sq), rtol=1e-9
    )
    moved, _ = unique_indices(
        (table.unique_index * [-1, -1, 1]).astype(np.int32), table.space_group, True
    )
    np.testing.assert_array_equal(moved, other.unique_index)
    found, expected = other.merged()[other.unique], table.merged()[table.unique]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(
        other.crossings() == other.crossings()[0],
        table.crossings() == table.crossings()[0],
    )


@FEW
@given(tables())
def test_merging_is_that_of_the_other_function(table):
    weights = 1 / table.variance
    expected = merge(
        table.intensity, table.variance, table.unique, table.n_unique, weights
    )
    np.testing.assert_allclose(table.merged(weights=weights), expected.intensity)
    total = np.sum(table.merged() * np.bincount(table.unique))
    np.testing.assert_allclose(total, table.intensity.sum(), rtol=1e-9)


@FEW
@given(tables(), st.integers(1, 4))
def test_what_is_listed_again_and_again_is_one_observation(table, times):
    once = table.without_repeats()[0]
    rows = np.repeat(np.arange(len(once)), times)
    many = once.select(rows)
    joined, crossing = many.without_repeats()
    # Means of angles can bring two crossings nearer than they were.
    if len(np.unique(once.crossings())) == len(once):
        assert len(joined) == len(once)
        np.testing.assert_array_equal(crossing, rows)
        np.testing.assert_allclose(joined.intensity, once.intensity, rtol=1e-12)
        np.testing.assert_allclose(joined.sigma, once.sigma, rtol=1e-12)
        np.testing.assert_allclose(joined.beam, once.beam, atol=1e-12)


@FEW
@given(tables(), st.integers(0, 3))
def test_values_come_back_from_the_rows_of_tables(table, more):
    lengths = [len(table) + more] * table.n_experiments
    values = np.arange(1.0, len(table) + 1)
    rows = table.in_rows(values, lengths, other=0.0)
    assert [len(r) for r in rows] == lengths
    found = [rows[c][r] for c, r in zip(table.crystal, table.row)]
    np.testing.assert_array_equal(found, values)
    assert sum(np.count_nonzero(r) for r in rows) == len(table)


def test_a_cut_of_resolution_by_hand():
    hkl = np.array([[1, 0, 0], [2, 0, 0], [3, 0, 0], [-1, 0, 0]], dtype=np.int32)
    table = table_of("P 1", hkl, np.random.default_rng(0))
    d = table.unit_cell.d((2, 0, 0))
    np.testing.assert_array_equal(table.within(d), [True, True, False, True])
    cut = table.select(table.within(d))
    assert cut.n_unique == 2 and len(cut) == 3
    np.testing.assert_allclose(1 / np.sqrt(cut.d_star_sq), cut.d_spacing)


def test_without_geometry_the_remedy_is_named():
    hkl = np.array([[1, 0, 0]], dtype=np.int32)
    table = replace(table_of("P 1", hkl, np.random.default_rng(0)), geometry=None)
    with pytest.raises(ValueError, match=r"\(1\) is not known.*add_geometry"):
        _ = table.beam
    assert len(table.select(np.array([0]))) == 1
