"""The best partners are exact: counter = geometry = dense matrices, one per operator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cctbx import miller, sgtbx, uctbx
from cctbx.array_family import flex as cctbx_flex

from dials_spread.incidence import build_incidence, close_under
from dials_spread.observations import build_observations
from dials_spread.orientation import reciprocal_basis
from dials_spread.partners import ImageDirections, find_partners
from dials_spread.symmetry import laue_operators

METHODS = ("counter", "geometry", "search")
# Beam directions that differ by rounding only are equally good.
SAME = 1e-7


def brute_force(indptr, column, permutation):
    """
    Count what any two images share under each operator, as dense matrices.

    Returns shape (operators, n, n): [g, i, j] for j's indices mapped by g onto i's.
    """
    n, n_columns = len(indptr) - 1, permutation.shape[1]
    x = np.zeros((n, n_columns), dtype=np.float32)
    x[np.repeat(np.arange(n), np.diff(indptr)), column] = 1
    shared = []
    for mapped in permutation:
        moved = np.zeros_like(x)
        moved[:, mapped] = x
        shared.append(np.rint(x @ moved.T).astype(int))
    return np.array(shared)


def chords(directions):
    """Length of b_i - G b_j, shape (operators, n, n)."""
    turned = np.einsum("gij,nj->gni", directions.on_directions, directions.beam)
    difference = directions.beam[None, :, None] - turned[:, None]
    return np.linalg.norm(difference, axis=-1)


def ranking(shared, distance, group, min_common):
    """
    Rank the partners of each image: most common indices first, then the nearest.

    Returns the most that any operator gives, the least distance with it, which pairs are
    allowed, all of shape (n, n), and a list for each image.
    """
    best = shared.max(axis=0)
    near = np.where(shared == best, distance, np.inf).min(axis=0)
    allowed = (group[:, None] != group[None, :]) & (best >= min_common)
    ranked = []
    for own, common, far in zip(allowed, best, near):
        candidates = np.flatnonzero(own)
        order = np.lexsort((candidates, far[candidates], -common[candidates]))
        ranked.append(candidates[order])
    return best, near, allowed, ranked


def assert_exact(found, shared, distance, ranked, top):
    """
    Every list is the best there is, in the order promised.

    The numbers of common indices must be those of brute force; the partners too, but
    for those that are as good to within rounding of the distance.
    """
    best, near, allowed, lists = ranked
    expected = np.full(found.image.shape, -1)
    for row, own in zip(expected, lists):
        row[: len(own[:top])] = own[:top]
    filled = found.image >= 0
    np.testing.assert_array_equal(filled, expected >= 0)
    image, partner = np.nonzero(filled)[0], found.image[filled]
    wanted, operator = expected[filled], found.operator[filled]
    assert len({*zip(image.tolist(), partner.tolist())}) == len(image)
    assert allowed[image, partner].all()
    np.testing.assert_array_equal(found.n_common[filled], best[image, wanted])
    np.testing.assert_array_equal(best[image, partner], best[image, wanted])
    np.testing.assert_allclose(near[image, partner], near[image, wanted], atol=SAME)
    np.testing.assert_array_equal(
        shared[operator, image, partner], best[image, partner]
    )
    # Without beams no distance is told.
    unknown = np.unique(image[np.isnan(found.distance[filled])])
    known = ~np.isin(image, unknown)
    of_found = found.distance[filled][known]
    image, partner, operator = image[known], partner[known], operator[known]
    np.testing.assert_allclose(of_found, near[image, partner], atol=SAME)
    np.testing.assert_allclose(
        distance[operator, image, partner], near[image, partner], atol=SAME
    )


def check(incidence, directions, group, tops=(1, 10, 300), least=(1, 3)):
    """Compare both methods, and both numbers of threads, with brute force."""
    layout = incidence if isinstance(incidence, tuple) else layout_of(incidence)
    shared, distance = brute_force(*layout), chords(directions)
    for min_common in least:
        ranked = ranking(shared, distance, group, min_common)
        for top in tops:
            wanted = {"top": top, "min_common": min_common, "group": group}
            for method in METHODS:
                found = find_partners(
                    *layout, directions, **wanted, method=method, nproc=1
                )
                assert_exact(found, shared, distance, ranked, top)
                if (top, min_common) != (tops[0], least[0]):
                    continue
                again = find_partners(
                    *layout, directions, **wanted, method=method, nproc=2
                )
                for name, value in vars(again).items():
                    np.testing.assert_array_equal(value, getattr(found, name))
    return shared


def layout_of(incidence):
    return incidence.indptr, incidence.column, incidence.permutation


def directions_of(observations, incidence, wavelength):
    return ImageDirections(
        beam=observations.images.beam,
        reciprocal=incidence.reciprocal,
        on_directions=incidence.operators.on_directions,
        wavelength=wavelength,
    )


MEASURED = [
    ("abiraterone/integrated", {"image_width": 0.0}),
    ("quartz/scaled", {"image_width": 3.0}),
    ("quartz/scaled", {"assign": "extent"}),
    ("glycine/integrated", {"image_width": 0.0}),
    ("l_cysteine/scaled_20_25", {}),
    ("cinchonine_images/integrated", {}),
    ("cunir_stills/integrated", {}),
    ("narrow_wedges/sweep_013", {"image_width": 0.2}),
]


@pytest.mark.slow
@pytest.mark.parametrize("friedel", [True, False])
@pytest.mark.parametrize(("name", "choices"), MEASURED)
def test_partners_of_measured_images_are_exact(name, choices, friedel, read_measured):
    experiments, tables = read_measured(name)
    observations = build_observations(experiments, tables, friedel=friedel, **choices)
    incidence = build_incidence(observations)
    wavelength = experiments[0].beam.get_wavelength()
    directions = directions_of(observations, incidence, wavelength)
    n = len(observations.images)
    check(incidence, directions, np.arange(n), tops=(10,), least=(1,))
    tops = (1, 10, 300) if name.startswith("abiraterone") else (3,)
    check(incidence, directions, observations.images.crystal, tops=tops, least=(1, 10))


def test_counts_on_abiraterone_against_an_independent_count(read_measured):
    """
    Each reflection reduced to the asymmetric unit by itself, frames as they are.

    Experiments 0 and 1 are one crystal cut in two. One operator for the whole image
    can explain no more than that.
    """
    experiments, tables = read_measured("abiraterone/integrated")
    physical = np.array([0, 0, 1, 2, 3, 4])
    group = experiments[0].crystal.get_space_group()
    frames = {}
    for number, table in enumerate(tables):
        hkl = table["miller_index"]
        z = table["xyzcal.px"].parts()[2]
        keep = ~group.is_sys_absent(hkl) & (table["intensity.prf.variance"] > 0)
        unique = cctbx_flex.miller_index(hkl)
        miller.map_to_asu(group.type(), False, unique)
        for h, frame, good in zip(unique, z, keep):
            if good:
                frames.setdefault((number, int(frame // 1) + 1), set()).add(h)
    keys = sorted(frames)
    by_itself = {}
    for p, a in enumerate(keys):
        for b in keys[p + 1 :]:
            if physical[a[0]] != physical[b[0]]:
                by_itself[a, b] = len(frames[a] & frames[b])
    assert sum(n >= 10 for n in by_itself.values()) == 427
    assert max(by_itself.values()) == 30

    observations = build_observations(experiments, tables, image_width=0.0)
    incidence = build_incidence(observations)
    images = observations.images
    assert [*zip(images.crystal.tolist(), images.first.tolist())] == keys
    shared = brute_force(*layout_of(incidence)).max(axis=0)
    found = find_partners(
        *layout_of(incidence),
        directions_of(observations, incidence, 0.0251),
        top=len(keys),
        group=physical[images.crystal],
    )
    pairs = 0
    for i, (partners, counts) in enumerate(zip(found.image, found.n_common)):
        for j, n_common in zip(partners[partners >= 0], counts):
            pair = tuple(sorted([keys[i], keys[j]]))
            assert n_common == shared[i, j] <= by_itself[pair]
            pairs += n_common >= 10
    assert 0 < pairs // 2 <= 427


LAUE = {
    "P -1": (7.1, 8.3, 9.9, 81, 97, 105),
    "P 1": (7.1, 8.3, 9.9, 81, 97, 105),
    "P 1 2 1": (7.1, 8.3, 9.9, 90, 97, 90),
    "P m m m": (7.1, 8.3, 9.9, 90, 90, 90),
    "P 2 2 2": (7.1, 8.3, 9.9, 90, 90, 90),
    "I 4/m m m": (7.1, 7.1, 9.9, 90, 90, 90),
    "P -3 m 1": (7.1, 7.1, 9.9, 90, 90, 120),
    "R 3 :R": (7.1, 7.1, 7.1, 70, 70, 70),
    "P 6/m": (7.1, 7.1, 9.9, 90, 90, 120),
    "F m -3": (10.1, 10.1, 10.1, 90, 90, 90),
}


def excited(beam, indices, g, wavelength, tolerance):
    """Indices that a still with this beam direction would show."""
    e = g @ beam + 0.5 * wavelength * (g**2).sum(axis=1)
    return indices[np.abs(e) < tolerance]


def synthetic(group, cell, wavelength, seed, tolerance=0.01, n=60, d_min=1.1):
    """
    Images about random directions, poles, axes, their opposites and near-equal ones.

    Some are duplicated, some empty, and some indices are missing or do not belong.
    """
    rng = np.random.default_rng(seed)
    space_group = sgtbx.space_group_info(group).group()
    basis = reciprocal_basis(uctbx.unit_cell(cell))
    friedel = bool(rng.integers(2))
    operators = laue_operators(space_group, basis, friedel)
    h_max = (np.array(cell[:3]) / d_min).astype(int)
    ranges = [np.arange(-m, m + 1) for m in h_max]
    indices = np.array(np.meshgrid(*ranges)).reshape(3, -1).T
    g = indices @ basis.T
    near = (np.linalg.norm(g, axis=1) < 1 / d_min) & indices.any(axis=1)
    indices, g = indices[near], g[near]

    axes = np.vstack([np.eye(3), -np.eye(3), basis.T, np.linalg.inv(basis)])
    beam = np.vstack([rng.normal(size=(n, 3)), axes])
    beam = np.vstack([beam, -beam[:10], beam[:10], beam[:10]])
    beam[-10:] += (
        rng.normal(0, 0.003, (10, 3)) * np.linalg.norm(beam[-10:], axis=1)[:, None]
    )
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)
    # Equivalent to others, exactly.
    some = rng.integers(len(beam), size=12)
    by = rng.integers(len(operators), size=12)
    turned = np.einsum("nij,nj->ni", operators.on_directions[by], beam[some])
    beam = np.vstack([beam, turned])[rng.permutation(len(beam) + 12)]

    images = []
    for b in beam:
        seen = excited(b, indices, g, wavelength, tolerance)
        seen = seen[rng.random(len(seen)) < 0.9]
        stray = indices[rng.integers(len(indices), size=rng.integers(3))]
        images.append(np.unique(np.vstack([seen, stray]), axis=0))
    for empty in rng.integers(len(images), size=4):
        images[empty] = np.empty((0, 3), dtype=int)
    return layout_images(images, operators), ImageDirections(
        beam=beam,
        reciprocal=close_under(np.unique(np.vstack(images), axis=0), operators)[0]
        @ basis.T,
        on_directions=operators.on_directions,
        wavelength=wavelength,
    )


def layout_images(images, operators):
    measured = np.unique(np.vstack(images), axis=0)
    closed, permutation = close_under(measured, operators)
    number = {tuple(h): c for c, h in enumerate(closed.tolist())}
    column = [sorted(number[tuple(h)] for h in hkl.tolist()) for hkl in images]
    indptr = np.concatenate([[0], np.cumsum([len(c) for c in column])])
    return indptr, np.concatenate(column).astype(np.int32), permutation


@pytest.mark.slow
@pytest.mark.parametrize("wavelength", [0.02, 0.3, 1.5])
@pytest.mark.parametrize("group", LAUE)
def test_partners_of_synthetic_images_are_exact(group, wavelength):
    seed = 1000 * [*LAUE].index(group) + int(100 * wavelength)
    layout, directions = synthetic(group, LAUE[group], wavelength, seed)
    n = len(directions.beam)
    check(layout, directions, np.arange(n), tops=(10, 300), least=(1,))
    check(layout, directions, np.arange(n) // 9, tops=(1, 5), least=(4,))


@pytest.mark.slow
@pytest.mark.parametrize("wavelength", [0.0, 0.02, 1.5])
def test_any_wavelength_gives_the_same(wavelength):
    layout, directions = synthetic("P m m m", LAUE["P m m m"], 0.02, 5)
    wrong = ImageDirections(
        directions.beam, directions.reciprocal, directions.on_directions, wavelength
    )
    check(layout, wrong, np.arange(len(directions.beam)), tops=(10,), least=(1,))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_beams_that_have_nothing_to_do_with_the_indices_do_no_harm(seed):
    """The limits are taken from the data, so that the search is exact even then."""
    layout, directions = synthetic("P 2 2 2", LAUE["P 2 2 2"], 0.02, seed)
    rng = np.random.default_rng(seed)
    beam = rng.permutation(directions.beam)
    mixed = ImageDirections(beam, directions.reciprocal, directions.on_directions, 0.5)
    check(layout, mixed, np.arange(len(beam)), tops=(1, 10), least=(1,))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_beams_on_a_lattice_where_limits_coincide(seed):
    """Integer directions and vectors: every bound is met exactly, or by rounding."""
    rng = np.random.default_rng(seed)
    space_group = sgtbx.space_group_info("P m -3 m").group()
    operators = laue_operators(space_group, np.eye(3), True)
    ranges = [np.arange(-2, 3)] * 3
    indices = np.array(np.meshgrid(*ranges)).reshape(3, -1).T
    indices = indices[indices.any(axis=1)]
    beam = indices[rng.integers(len(indices), size=150)].astype(float)
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)
    images = [excited(b, indices, indices, 0.0, 0.3) for b in beam]
    images = [hkl[rng.random(len(hkl)) < 0.7] for hkl in images]
    layout = layout_images(images, operators)
    closed, _ = close_under(np.unique(np.vstack(images), axis=0), operators)
    for wavelength in (0.0, 1.0):
        directions = ImageDirections(
            beam, closed.astype(float), operators.on_directions, wavelength
        )
        check(layout, directions, np.arange(150), tops=(1, 5), least=(1,))


@pytest.mark.slow
@pytest.mark.parametrize(("group", "n"), [("P 2 2 2", 1500), ("P 1", 3000)])
def test_many_images_where_the_grid_has_many_cells(group, n):
    """Too many for dense matrices: the counter, which uses no geometry, is the judge."""
    layout, directions = synthetic(
        group, LAUE[group], 0.0251, 13, tolerance=0.006, n=n, d_min=1.3
    )
    counted, *others = (
        find_partners(*layout, directions, top=5, method=method) for method in METHODS
    )
    for found in others:
        np.testing.assert_array_equal(found.n_common, counted.n_common)
        np.testing.assert_allclose(found.distance, counted.distance, atol=SAME)


@pytest.mark.slow
def test_images_with_more_than_255_common_indices():
    """Counts must not overflow a byte."""
    cell = (20.0, 21.0, 22.0, 90, 90, 90)
    layout, directions = synthetic(
        "P 2 2 2", cell, 0.02, 3, tolerance=0.02, n=10, d_min=1.2
    )
    shared = check(layout, directions, np.arange(len(directions.beam)), tops=(5,))
    off_diagonal = shared.max(axis=0) - np.diag(np.diag(shared.max(axis=0)))
    assert off_diagonal.max() > 255


@pytest.mark.parametrize("method", METHODS)
def test_renumbering_the_images_renumbers_the_partners(method):
    layout, directions = synthetic("P -3 m 1", LAUE["P -3 m 1"], 0.02, 21)
    n = len(directions.beam)
    order = np.random.default_rng(0).permutation(n)
    indptr, column, permutation = layout
    rows = [column[indptr[i] : indptr[i + 1]] for i in order]
    moved = (
        np.concatenate([[0], np.cumsum([len(r) for r in rows])]),
        np.concatenate(rows),
        permutation,
    )
    turned = ImageDirections(
        directions.beam[order], directions.reciprocal, directions.on_directions, 0.02
    )
    found = find_partners(*layout, directions, top=8, method=method)
    again = find_partners(*moved, turned, top=8, method=method)
    np.testing.assert_array_equal(again.n_common, found.n_common[order])
    np.testing.assert_allclose(again.distance, found.distance[order], atol=SAME)
    # Where one partner is better than the next, it is the same image.
    for row, (i, js) in enumerate(zip(order, again.image)):
        key = [*zip(found.n_common[i], np.round(found.distance[i], 6))]
        times = Counter(key)
        last = key[-1]
        for place, j in enumerate(js):
            if j >= 0 and times[key[place]] == 1 and key[place] != last:
                assert order[j] == found.image[i, place], (row, place)


def test_a_hand_made_set():
    """Three images under 2/m (b unique): -h,k,-l takes the second onto the first."""
    space_group = sgtbx.space_group_info("P 1 2/m 1").group()
    operators = laue_operators(space_group, np.eye(3), False)
    images = [
        np.array([(1, 1, 0), (2, 1, 3), (0, 2, 1)]),
        np.array([(-1, 1, 0), (-2, 1, -3), (0, 2, -1), (5, 5, 5)]),
        np.array([(1, 1, 0), (7, 7, 7)]),
    ]
    found = find_partners(*layout_images(images, operators), top=2)
    np.testing.assert_array_equal(found.image, [[1, 2], [0, 2], [0, 1]])
    np.testing.assert_array_equal(found.n_common, [[3, 1], [3, 1], [1, 1]])
    assert operators.symbols[found.operator[0, 0]] == "-h,k,-l"
    assert operators.symbols[found.operator[0, 1]] == "h,k,l"
    assert np.isnan(found.distance).all()
    # With fewest indices in common, and where all are one crystal.
    found = find_partners(*layout_images(images, operators), top=2, min_common=2)
    np.testing.assert_array_equal(found.image, [[1, -1], [0, -1], [-1, -1]])
    found = find_partners(*layout_images(images, operators), group=np.zeros(3))
    assert (found.image == -1).all()


def test_one_image_has_no_partner_and_limits_are_checked():
    operators = laue_operators(sgtbx.space_group(), np.eye(3), True)
    layout = layout_images([np.array([(1, 2, 3)])], operators)
    assert (find_partners(*layout).image == -1).all()
    for wrong in ({"top": 0}, {"min_common": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            find_partners(*layout, **wrong)


def test_auto_gives_what_the_others_give():
    layout, directions = synthetic("P 6/m", LAUE["P 6/m"], 0.02, 77)
    group = np.arange(len(directions.beam))
    shared, distance = brute_force(*layout), chords(directions)
    found = find_partners(*layout, directions, top=5)
    assert_exact(found, shared, distance, ranking(shared, distance, group, 1), 5)


def test_sectors_cover_the_bins_of_their_directions():
    """The angle of a direction lies in a bin that its sector reaches into."""
    from dials_spread.partners import bounds

    corners = np.arange(2 * bounds.BINS) * np.pi / bounds.BINS
    angles = np.concatenate(
        [np.random.default_rng(5).uniform(-np.pi, np.pi, 20000), corners]
    )
    for angle in angles:
        right, up = np.cos(angle), np.sin(angle)
        sector = bounds.sector_of(1e-3 * right, 1e-3 * up)
        place = (np.arctan2(up, right) + np.pi) * bounds.BINS / (2 * np.pi)
        first, last = bounds.FIRST_BIN[sector], bounds.LAST_BIN[sector]
        assert (int(place) - first) % bounds.BINS <= last - first
    assert (bounds.LAST_BIN - bounds.FIRST_BIN).max() <= 1
