"""Matched pairs: by hand, against scipy, and with a spread that is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cctbx import sgtbx

from dials_spread.incidence import Incidence, build_incidence
from dials_spread.observations import build_observations
from dials_spread.observations.canonical_order import image_rank
from dials_spread.pairs import (
    compare_pairs,
    compare_spots,
    crystal_scales,
    match_images,
    summarise,
)
from dials_spread.partners import ImageDirections, find_partners
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure
from dials_spread.simulation.tables import KnownSpread, make_table
from dials_spread.symmetry import laue_operators

SCALED, UNSCALED = SimpleNamespace(scaled=True), SimpleNamespace(scaled=False)


def incidence_of(images):
    """Lay out images, each {column: (intensity, sigma)}; every column is unique."""
    columns = [sorted(image) for image in images]
    values = [image[c] for image, row in zip(images, columns) for c in row]
    column = np.concatenate(columns).astype(np.int32)
    n = int(column.max()) + 1
    hkl = np.stack([np.arange(1, n + 1), np.ones(n), np.ones(n)], axis=1).astype(int)
    return Incidence(
        indptr=np.concatenate([[0], np.cumsum([len(c) for c in columns])]),
        column=column,
        intensity=np.array([i for i, _ in values], dtype=float),
        variance=np.array([s for _, s in values], dtype=float) ** 2,
        unique=column,
        miller_index=hkl,
        permutation=np.arange(n, dtype=np.int32)[None],
        reciprocal=hkl.astype(float),
        operators=laue_operators(sgtbx.space_group(), np.eye(3), False),
    )


def pairs_of(*pairs):
    """Pairs (a, b, n_common) under the identity."""
    a, b, n = np.array(pairs).T
    return SimpleNamespace(
        image_a=a,
        image_b=b,
        operator=np.zeros(len(a), int),
        n_common=n,
        __len__=lambda: len(a),
    )


class Pairs(SimpleNamespace):
    """Just enough of Matches."""

    def __len__(self):
        return len(self.image_a)


def compare(observations, images, *pairs):
    matches = Pairs(**vars(pairs_of(*pairs)))
    return compare_pairs(observations, incidence_of(images), matches)


A = {0: (100.0, 3.0), 1: (50.0, 2.0), 2: (10.0, 1.0), 3: (30.0, 2.0), 7: (5.0, 1.0)}
B = {0: (90.0, 4.0), 1: (60.0, 2.0), 2: (11.0, 1.0), 3: (20.0, 2.0), 8: (9.0, 1.0)}
OTHERS = [{0: (95.0, 3.0), 1: (40.0, 2.0)}, {0: (99.0, 3.0), 8: (4.0, 1.0)}]


def test_agreement_by_hand():
    """Four in common; differences 10, -10, -1, 10."""
    found = compare(SCALED, [A, B, *OTHERS], (0, 1, 4))
    assert found.scale[0] == 1
    # Σ|a - b| = 31; ½Σ(a + b) = 185.5
    assert found.r_factor[0] == pytest.approx(31 / 185.5)
    # z² = 100/25, 100/8, 1/2, 100/8
    assert found.chi_square[0] == pytest.approx((4 + 12.5 + 0.5 + 12.5) / 4)
    assert found.n_background[0] == pytest.approx((2 + 1 + 0 + 0) / 4)
    x, y = [100, 50, 10, 30], [90, 60, 11, 20]
    assert found.cc[0] == pytest.approx(stats.pearsonr(x, y)[0])
    assert found.cc_rank[0] == pytest.approx(stats.spearmanr(x, y)[0])


def test_agreement_of_unscaled_images_by_hand():
    tripled = {c: (3 * i, 3 * s) for c, (i, s) in B.items()}
    found = compare(UNSCALED, [A, tripled, *OTHERS], (0, 1, 4))
    # R at the ratios 100/270, 50/180, 10/33, 30/60: .136, .230, .194, .281.
    k = 100 / 270
    assert found.scale[0] == pytest.approx(k)
    b = k * np.array([270, 180, 33, 60])
    s_b = k * np.array([12, 6, 3, 6])
    a, s_a = np.array([100, 50, 10, 30]), np.array([3, 2, 1, 2])
    z = (a - b) / np.hypot(s_a, s_b)
    assert found.chi_square[0] == pytest.approx((z**2).sum() / 3)
    assert found.r_factor[0] == pytest.approx(
        np.abs(a - b).sum() / (0.5 * (a + b).sum())
    )


@pytest.mark.parametrize("observations", [SCALED, UNSCALED])
def test_exchanging_the_images_changes_nothing_but_the_scale(observations):
    brighter = {c: (2.5 * i, 2.5 * s) for c, (i, s) in B.items()}
    images = [A, brighter, *OTHERS]
    one = compare(observations, images, (0, 1, 4))
    two = compare(observations, images, (1, 0, 4))
    for name in ("cc", "cc_rank", "r_factor", "chi_square", "excess_spread"):
        assert getattr(one, name)[0] == pytest.approx(getattr(two, name)[0], rel=1e-5)
    assert one.background_spread[0] == pytest.approx(two.background_spread[0], rel=1e-5)
    assert one.scale[0] * two.scale[0] == pytest.approx(1)


@pytest.mark.parametrize("observations", [SCALED, UNSCALED])
def test_units_do_not_matter(observations):
    images = [A, B, *OTHERS]
    bright = [{c: (50 * i, 50 * s) for c, (i, s) in image.items()} for image in images]
    one = compare(observations, images, (0, 1, 4))
    two = compare(observations, bright, (0, 1, 4))
    for name, value in vars(one).items():
        np.testing.assert_allclose(getattr(two, name), value, rtol=1e-5, err_msg=name)


def test_few_reflections_and_no_pairs():
    found = compare(SCALED, [{0: (5.0, 1.0)}, {0: (7.0, 1.0)}], (0, 1, 1))
    assert np.isnan([found.cc[0], found.cc_rank[0], found.background_spread[0]]).all()
    assert found.chi_square[0] == pytest.approx(2.0)
    found = compare(UNSCALED, [{0: (5.0, 1.0)}, {0: (7.0, 1.0)}], (0, 1, 1))
    assert np.isnan(found.chi_square[0]) and found.r_factor[0] == pytest.approx(0)
    nothing = Pairs(**dict.fromkeys(
        ("image_a", "image_b", "operator", "n_common"), np.empty(0, int)
    ))  # fmt: skip
    found = compare_pairs(SCALED, incidence_of([A, B]), nothing)
    assert all(len(v) == 0 for v in vars(found).values())


def test_a_pair_without_a_scale_has_no_agreement():
    """All of a is negative: no factor above zero makes b like it."""
    below = {c: (-i, s) for c, (i, s) in A.items()}
    found = compare(UNSCALED, [below, B, *OTHERS], (0, 1, 4), (1, 2, 2))
    names = ("scale", "cc", "cc_rank", "r_factor", "chi_square", "excess_spread")
    for name in names:
        assert np.isnan(getattr(found, name)[0]), name
    assert np.isfinite([found.scale[1], found.chi_square[1]]).all()


def simulate_pairs(rng, s, n_pairs=200, n_spots=30, n_others=6, levels=None):
    """Images of the same spots with relative errors s, counting errors, and scales."""
    images = []
    n_images = 2 * n_pairs
    levels = np.ones(n_images) if levels is None else levels
    mu = rng.exponential(500, (n_pairs, n_spots)) + 50
    others = [{} for _ in range(n_others)]
    for i in range(n_images):
        true = levels[i] * mu[i // 2] * (1 + s * rng.standard_normal(n_spots))
        sigma = np.sqrt(levels[i] * mu[i // 2])
        seen = true + sigma * rng.standard_normal(n_spots)
        first = (i // 2) * n_spots
        images.append({first + c: (seen[c], sigma[c]) for c in range(n_spots)})
    for p in range(n_pairs):
        for other in others:
            true = mu[p] * (1 + s * rng.standard_normal(n_spots))
            sigma = np.sqrt(mu[p])
            seen = true + sigma * rng.standard_normal(n_spots)
            for c in range(n_spots):
                other[p * n_spots + c] = (seen[c], sigma[c])
    pairs = [(2 * p, 2 * p + 1, n_spots) for p in range(n_pairs)]
    return [*images, *others], pairs


@pytest.mark.parametrize("s", [0.1, 0.3])
@pytest.mark.parametrize("n_others", [1, 6])
def test_the_spread_of_pairs_is_recovered(s, n_others):
    images, pairs = simulate_pairs(np.random.default_rng(4), s, n_others=n_others)
    found = compare(SCALED, images, *pairs)
    for spread in (found.excess_spread, found.background_spread):
        square = spread**2
        error = square.std() / np.sqrt(len(square))
        # The mean is not known exactly: that is worth s² of the spread.
        assert abs(square.mean() - s**2) < 3 * error + s**4


def test_without_a_spread_half_of_the_pairs_have_none():
    images, pairs = simulate_pairs(np.random.default_rng(5), 0.0)
    found = compare(SCALED, images, *pairs)
    assert abs(np.mean(found.excess_spread == 0) - 0.5) < 0.12
    assert np.median(found.excess_spread) < 0.02
    assert found.chi_square.mean() == pytest.approx(1, abs=0.05)


def test_the_spread_of_weak_and_bright_images_is_recovered():
    """Unscaled images have levels of their own; the spread is relative to them."""
    rng = np.random.default_rng(6)
    levels = np.exp(rng.normal(0, 0.7, 400))
    images, pairs = simulate_pairs(rng, 0.2, levels=levels)
    found = compare(UNSCALED, images, *pairs)
    ratio = np.log(found.scale * levels[1::2] / levels[::2])
    # A median of 30 equal ratios: 1.25 √2 · 0.2 / √30 = 0.065. These are weighted with
    # their intensities, of which half are worth as much; and there are counting errors.
    assert ratio.std() < 0.11
    square = found.excess_spread**2
    error = square.std() / np.sqrt(len(square))
    assert abs(square.mean() - 0.04) < 3 * error + 0.003
    # Whether the two are weak or bright together does not matter.
    common = np.log(levels[::2] * levels[1::2])
    assert abs(stats.spearmanr(common, square)[0]) < 0.2


def summarise_pairs(rng, images, a, b, per_crystal):
    """Compare and summarise pairs of images that follow one another in crystals."""
    n_common = [len(images[i].keys() & images[j].keys()) for i, j in zip(a, b)]
    matches = Pairs(**vars(pairs_of(*zip(a, b, n_common))))
    crystal = np.arange(len(images)) // per_crystal
    observations = SimpleNamespace(
        scaled=True,
        images=SimpleNamespace(crystal=crystal),
        crystal=crystal,
        n_experiments=len(images),
    )
    agreement = compare_pairs(observations, incidence_of(images), matches)
    every = np.ones(len(a), dtype=bool)
    return summarise(observations, matches, agreement, every, rng)


def test_pairs_that_are_no_closer_than_others_are_found_to_be_so():
    """Without anything that depends on the image the two spreads are equal."""
    inside, medians = 0, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        table = make_table(rng, KnownSpread(rest=0.2), 8, 8, n_unique=60, per_image=24)
        images = [{} for _ in range(64)]
        columns = (table.image, table.unique, table.intensity, np.sqrt(table.variance))
        for image, unique, intensity, sigma in zip(*columns):
            images[image][unique] = (intensity, sigma)
        a, b = rng.integers(0, 64, (2, 200))
        differ = a // 8 != b // 8
        found = summarise_pairs(rng, images, a[differ], b[differ], 8)
        medians.append(
            [found[n].median for n in ("excess_spread", "background_spread")]
        )
        inside += found["excess_spread"].low <= 0.2 <= found["excess_spread"].high
    assert inside >= 18
    # The median of a root of χ² with some ten degrees of freedom lies a little low.
    np.testing.assert_allclose(np.mean(medians, axis=0), 0.2, rtol=0.05)


def test_pairs_that_are_closer_than_others_are_found_to_be_so():
    """Images 2p and 2p + 1 have the same deviations from the mean of all, but for 5 %."""
    rng = np.random.default_rng(3)
    mu, images = 100 * rng.exponential(1, 60) + 30, []
    for _ in range(32):
        unique, common = rng.choice(60, 24, replace=False), rng.normal(0, 0.3, 24)
        for _ in range(2):
            true = mu[unique] * (1 + common + rng.normal(0, 0.05, 24))
            sigma = 0.05 * mu[unique]
            values = true + sigma * rng.standard_normal(24)
            images.append({u: (i, s) for u, i, s in zip(unique, values, sigma)})
    # Neighbours belong to different crystals: 0, 8, 16 … are one, 1, 9, 17 … the next.
    order = np.argsort(np.arange(64) % 8, kind="stable")
    place = np.empty(64, int)
    place[order] = np.arange(64)
    images = [images[i] for i in order]
    found = summarise_pairs(rng, images, place[::2], place[1::2], 8)
    assert found["excess_spread"].median == pytest.approx(0.05, abs=0.02)
    assert found["background_spread"].median == pytest.approx(0.3, abs=0.04)


def run_all(experiments, tables, min_common=8, **choices):
    observations = build_observations(experiments, tables, **choices)
    scales = crystal_scales(observations)
    incidence = build_incidence(observations, scales)
    partners = find_partners(
        incidence.indptr,
        incidence.column,
        incidence.permutation,
        ImageDirections(
            observations.images.beam,
            incidence.reciprocal,
            incidence.operators.on_directions,
        ),
        top=5,
        min_common=min_common,
        group=observations.images.crystal,
    )
    matches = match_images(observations, incidence, partners)
    agreement = compare_pairs(observations, incidence, matches)
    return observations, incidence, matches, agreement, scales


@pytest.fixture(scope="module")
def abiraterone(read_measured):
    return run_all(*read_measured("abiraterone/integrated"), image_width=0.0)


@pytest.mark.slow
def test_matches_are_ranked_and_consistent(abiraterone):
    observations, incidence, matches, _, _ = abiraterone
    assert len(matches) > 100
    rank = image_rank(observations)
    assert (rank[matches.image_a] < rank[matches.image_b]).all()
    assert len({*zip(matches.image_a, matches.image_b)}) == len(matches)
    assert (np.diff(matches.n_common) <= 0).all()
    for p in range(0, len(matches), 29):
        a, b, g = matches.image_a[p], matches.image_b[p], matches.operator[p]
        rows = [
            {*map(tuple, incidence.miller_index[incidence.column[incidence.row(i)]])}
            for i in (a, b)
        ]
        turned = {
            tuple(h) for h in np.array([*rows[1]]) @ incidence.operators.on_indices[g].T
        }
        assert len(rows[0] & turned) == matches.n_common[p]
        assert matches.jaccard[p] == pytest.approx(
            len(rows[0] & turned) / len(rows[0] | turned)
        )
        assert matches.overlap[p] == pytest.approx(
            len(rows[0] & turned) / min(map(len, rows))
        )


def test_shared_spots_coincide_after_turning(abiraterone):
    """What remains is the tilt between the images and the crystals' cells."""
    observations, incidence, matches, agreement, scales = abiraterone
    for p in range(0, len(matches), 17):
        spots = compare_spots(observations, matches, agreement, incidence, p, scales)
        size = np.linalg.norm(spots.position_a, axis=1)
        off = np.linalg.norm(spots.position_a - spots.position_b, axis=1)
        tilt = np.radians(matches.beam_angle[p])
        # A tilt changes lengths across the beam by 1 - cos, and by g·b sin.
        assert off.max() < (1 - np.cos(tilt)) * size.max() + 0.08 * np.sin(tilt) + 0.02
        assert len(size) == matches.n_common[p]


def test_spots_and_their_background_by_brute_force(abiraterone):
    observations, incidence, matches, agreement, scales = abiraterone
    entry_image = np.repeat(np.arange(len(incidence)), incidence.counts)
    equivalent = 0
    for p in range(0, len(matches), 23):
        spots = compare_spots(observations, matches, agreement, incidence, p, scales)
        a, b = matches.image_a[p], matches.image_b[p]
        assert (spots.image_a, spots.image_b) == (a, b)
        assert (np.diff(spots.d_spacing) <= 0).all()
        unit, k = scales[observations.images.crystal[a]], agreement.scale[p]
        on_a = [*map(tuple, incidence.miller_index[incidence.column[incidence.row(a)]])]
        factor = np.where(entry_image == b, k, 1.0) * unit
        value = incidence.intensity * factor
        sigma = np.sqrt(incidence.variance) * factor
        uniques = []
        for row, h in enumerate(map(tuple, spots.miller_index)):
            q = incidence.indptr[a] + on_a.index(h)
            u = incidence.unique[q]
            uniques.append(u)
            assert spots.intensity_a[row] == pytest.approx(value[q])
            assert spots.sigma_a[row] == pytest.approx(sigma[q])
            of_u = incidence.unique == u
            other = of_u & (entry_image != a) & (entry_image != b)
            background = value[other]
            drawn = spots.background_intensity[spots.background_spot == row]
            np.testing.assert_allclose(np.sort(drawn), np.sort(background))
            assert spots.background_n[row] == len(background)
            weight = sigma[of_u] ** -2
            mean = (weight * value[of_u]).sum() / weight.sum()
            assert spots.merged_mean[row] == pytest.approx(mean)
            if len(background) > 1:
                hand = [np.mean, np.median, lambda v: np.std(v, ddof=1)]
                found = (
                    spots.background_mean[row],
                    spots.background_median[row],
                    spots.background_sd[row],
                )
                np.testing.assert_allclose(found, [f(background) for f in hand])
                np.testing.assert_allclose(
                    [spots.percentile_a[row], spots.percentile_b[row]],
                    [
                        stats.percentileofscore(background, x, kind="mean")
                        for x in (spots.intensity_a[row], spots.intensity_b[row])
                    ],
                )
        equivalent += len(uniques) - len({*uniques})
        z = (spots.intensity_a - spots.intensity_b) / np.hypot(
            spots.sigma_a, spots.sigma_b
        )
        np.testing.assert_allclose(spots.z, z)
        freedom = len(z) - 1
        assert (z**2).sum() / freedom == pytest.approx(agreement.chi_square[p])
    # Images near a zone axis have h and -h: the case must have been there.
    assert equivalent > 0


def test_crystal_scales_recover_what_was_put_in():
    structure = random_structure(np.random.default_rng(11))
    noise = NoiseModel(scale_spread=0.6, image_spread=0.0, extra_error=0.05)
    experiments, table = simulate_experiments(
        structure, np.random.default_rng(2), n_crystals=6, noise=noise
    )
    tables = [table.select(table["id"] == i) for i in range(6)]
    observations = build_observations(experiments, tables)
    true = np.array([t["truth.scale"][0] for t in tables])
    found = crystal_scales(observations)
    assert np.log(true).std() > 0.3
    np.testing.assert_allclose(
        found / np.exp(np.log(found).mean()),
        true / np.exp(np.log(true).mean()),
        rtol=0.05,
    )
    assert np.log(found).mean() == pytest.approx(0, abs=1e-9)


def test_crystal_scales_of_scaled_data_are_one(read_measured):
    observations = build_observations(*read_measured("l_cysteine/scaled_20_25"))
    np.testing.assert_array_equal(crystal_scales(observations), [1, 1])


def test_x_rays_agree_far_better_than_electrons(abiraterone, read_measured):
    experiments, tables = [], []
    for name in ("20_25", "30", "35"):
        read = read_measured(f"l_cysteine/scaled_{name}")
        experiments.extend(read[0])
        tables.extend(read[1])
    x_rays = run_all(experiments, tables, min_common=5, image_width=2.0)[3]
    electrons = abiraterone[3]
    assert len(x_rays.cc) > 20 and len(electrons.cc) > 100
    medians = [
        {k: np.nanmedian(v) for k, v in vars(x).items()} for x in (x_rays, electrons)
    ]
    assert medians[0]["cc"] > 0.99 > medians[1]["cc"]
    assert medians[0]["cc_rank"] > medians[1]["cc_rank"] + 0.1
    assert medians[0]["r_factor"] < 0.3 * medians[1]["r_factor"]
    assert medians[0]["excess_spread"] < 0.3 * medians[1]["excess_spread"]


@st.composite
def some_images(draw):
    """Images that share some of a dozen reflections, and two pairs of them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = rng.exponential(100, 12) + 5
    images = []
    for _ in range(4):
        columns = rng.choice(12, rng.integers(6, 13), replace=False)
        values = truth[columns] * rng.normal(1, 0.3, len(columns))
        sigma = np.sqrt(truth[columns]) + 1
        images.append({int(c): (v, s) for c, v, s in zip(columns, values, sigma)})
    common = [len({*images[a]} & {*images[b]}) for a, b in ((0, 1), (2, 3))]
    return images, ((0, 1, common[0]), (2, 3, common[1]))


def same_but_for_the_scale(found, expected):
    """The pairs of found in the order of expected; s has a grid, of two thousandths."""
    for name, value in vars(expected).items():
        if name != "scale":
            np.testing.assert_allclose(
                getattr(found, name), value, rtol=1e-5, atol=1e-9, err_msg=name
            )


@settings(max_examples=25, deadline=None)
@given(some_images(), st.sampled_from([SCALED, UNSCALED]))
def test_neither_order_of_images_nor_of_pairs_matters(data, observations):
    images, (one, two) = data
    found = compare(observations, images, one, two)
    back = compare(observations, images, two, one)
    for name, value in vars(found).items():
        np.testing.assert_allclose(getattr(back, name)[::-1], value, rtol=1e-9)
    swapped = [(b, a, n) for a, b, n in (one, two)]
    exchanged = compare(observations, images, *swapped)
    same_but_for_the_scale(exchanged, found)
    np.testing.assert_allclose(exchanged.scale * found.scale, 1)


@settings(max_examples=25, deadline=None)
@given(some_images(), st.sampled_from([0.01, 30.0]))
def test_an_image_of_another_exposure_agrees_as_well(data, factor):
    """Unscaled data: only k tells; a common factor of all changes nothing at all."""
    images, pairs = data
    found = compare(UNSCALED, images, *pairs)
    times = [{c: (factor * i, factor * s) for c, (i, s) in x.items()} for x in images]
    for name, value in vars(compare(UNSCALED, times, *pairs)).items():
        np.testing.assert_allclose(
            value, getattr(found, name), rtol=1e-5, atol=1e-9, err_msg=name
        )
    # Of one image alone; the other pair is compared with it too.
    again = compare(UNSCALED, [images[0], times[1], *images[2:]], pairs[0])
    np.testing.assert_allclose(again.scale, found.scale[:1] / factor)
    for name in ("cc", "cc_rank", "r_factor", "chi_square", "background_spread"):
        np.testing.assert_allclose(
            getattr(again, name), getattr(found, name)[:1], rtol=1e-5, atol=1e-9
        )
