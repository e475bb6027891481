"""Annulus and disc against dxtbx and against areas; sums made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model import BeamFactory, Detector, DetectorFactory, Panel

from dials_spread.beam import BeamRegion
from dials_spread.beam.frames import count_frame, trusted_ranges
from dials_spread.beam.images import steady_disc
from dials_spread.beam.regions import PanelPixels, find_pixels, pixel_radii
from dials_spread.beam.rings import ring_ceilings, ring_level
from dials_spread.beam.spots import SpotBoxes, boxes_on_frame, covered, spot_boxes

NO_SPOTS = SpotBoxes(panel=np.empty(0, int), edges=np.empty((0, 6), int))


def one_panel(centre=(32.0, 30.0), size=(64, 60)):
    """A detector of one small panel, its beam centre in pixels."""
    return DetectorFactory.simple(
        "PAD",
        300.0,
        (centre[0] * 0.1, centre[1] * 0.1),
        "+x",
        "-y",
        (0.1, 0.1),
        size,
        (0, 1000),
    )


def test_radii_are_those_of_dxtbx_on_four_panels(read_measured):
    experiments, _ = read_measured("cinchonine_images/integrated")
    detector, beam = experiments[0].detector, experiments[0].beam
    s0 = np.array(beam.get_s0())
    rng = np.random.default_rng(0)
    for panel in detector:
        radius = pixel_radii(panel, s0, "reciprocal_angstrom", 100, 140)
        across = pixel_radii(panel, s0, "pixels", 100, 140)
        centre = np.array(panel.get_beam_centre_px(s0))
        for fast, row in zip(rng.integers(0, 254, 20), rng.integers(0, 40, 20)):
            place = (float(fast) + 0.5, float(row) + 100.5)
            d = panel.get_resolution_at_pixel(s0, place)
            assert radius[row, fast] == pytest.approx(1 / d, rel=1e-9)
            # SimplePxMm: no parallax on an electron detector of this model.
            distance = np.linalg.norm(np.array(place) - centre)
            assert across[row, fast] == pytest.approx(distance, rel=1e-6)


def test_an_annulus_over_panels_has_the_area_of_one(read_measured):
    experiments, _ = read_measured("cinchonine_images/integrated")
    detector, s0 = experiments[0].detector, np.array(experiments[0].beam.get_s0())
    region = BeamRegion(annulus=(30, 100), disc=12, unit="pixels")
    pixels = find_pixels(detector, s0, region)
    # Between the panels lies a cross of six pixels' width.
    gap = 0.642489 + 13.6575 - 254 * 0.055
    cross = 4 * (100 - 30) * gap / 0.055
    n = sum(len(p.annulus) for p in pixels)
    assert n == pytest.approx(np.pi * (100**2 - 30**2) - cross, rel=2e-3)
    assert all(len(p.annulus) for p in pixels)
    assert sum(len(p.disc) for p in pixels) < np.pi * 12**2
    for p in pixels:
        assert (np.diff(p.annulus) > 0).all()


def test_a_beam_that_misses_is_an_error_that_says_so():
    detector = one_panel(centre=(-500.0, 30.0))
    s0 = np.array(BeamFactory.simple(0.025).get_s0())
    with pytest.raises(ValueError, match="beam centre is off the detector"):
        find_pixels(detector, s0, BeamRegion(annulus=(5, 20), unit="pixels"))
    facing_away = find_pixels(
        one_panel(), s0, BeamRegion(annulus=(0, 40), unit="pixels")
    )
    assert sum(len(p.annulus) for p in facing_away) > 3000
    with pytest.raises(ValueError):
        find_pixels(one_panel(), -s0, BeamRegion())


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"annulus": (0.5, 0.1)}, "from 0.5 to 0.1"),
        ({"annulus": (0.1, 0.1)}, "the smaller one"),
        ({"disc": -1.0}, "-1"),
        ({"unit": "mm"}, "not mm"),
    ],
)
def test_radii_out_of_order_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        BeamRegion(**settings)


def test_a_frame_counted_by_hand():
    """A 4 × 3 panel: a masked, a saturated, a bad and two spot pixels left out."""
    counts = np.array([[10, 11, 12, 13], [14, 15, 16, 17], [1000, -5, 20, 21]])
    pixels = [
        PanelPixels(
            annulus=np.arange(11),
            ring=np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1], dtype=np.int16),
            disc=np.array([10, 11]),
            width=4,
            ring_sizes=np.array([4, 7]),
        )
    ]
    panel = Panel()
    panel.set_image_size((4, 3))
    panel.set_trusted_range((0, 999))
    panel.set_pedestal(2)
    panel.set_gain(2)
    detector = Detector()
    detector.add_panel(panel)
    mask = np.ones((3, 4), dtype=bool)
    mask[0, 1] = False
    boxes = SpotBoxes(np.array([0, 0]), np.array([[1, 3, 1, 2, 0, 1]] * 2))
    found = count_frame(
        [counts], pixels, trusted_ranges(detector), [mask], boxes, 0.0, margin=0
    )
    # Left: 10, 12, 13 in the inner ring; 14, 17, 20 in the outer one.
    assert found.total == pytest.approx((10 + 12 + 13 + 14 + 17 + 20 - 6 * 2) / 2)
    assert (found.pixels, found.in_spots) == (6, 2)
    assert found.untrusted == 3
    inner, outer = (10 + 12 + 13 - 6) / 6, (14 + 17 + 20 - 6) / 6
    assert found.level == pytest.approx((4 * inner + 7 * outer) / 11)
    np.testing.assert_allclose(found.disc, [9.0, 9.5])
    assert not found.disc_saturated.any()
    wider = count_frame(
        [counts], pixels, trusted_ranges(detector), [mask], boxes, 0.0, margin=1
    )
    assert (wider.pixels, wider.level) == (0, pytest.approx(np.nan, nan_ok=True))


@pytest.mark.parametrize("low", [-1, 0])
def test_ends_of_the_trusted_range(low):
    """Full counters and pixels that were not read never count, whatever the release."""
    counts = np.array([[-1, 5, 7, 65534, 65535, 65536]])
    panel = Panel()
    panel.set_image_size((6, 1))
    panel.set_trusted_range((low, 65535))
    detector = Detector()
    detector.add_panel(panel)
    (trusted,) = trusted_ranges(detector)
    assert [*trusted.below(counts[0])] == [True, *[False] * 5]
    assert [*trusted.saturated(counts[0])] == [*[False] * 4, True, True]
    every = np.arange(6)
    pixels = [PanelPixels(every, np.zeros(6, dtype=np.int16), every, 6, np.array([6]))]
    boxes = SpotBoxes(np.zeros(0, dtype=int), np.zeros((0, 6), dtype=int))
    found = count_frame([counts], pixels, [trusted], [None], boxes, 0.0, margin=0)
    assert found.untrusted == 3
    assert found.disc_saturated.sum() == 2


def test_the_level_does_not_depend_on_where_spots_are():
    full = np.array([100, 200, 300])
    means = np.array([9.0, 3.0, 1.0])
    whole = ring_level(full * means, full, full)
    left = np.array([10, 20, 250])
    assert ring_level(left * means, left, full) == pytest.approx(whole)
    # The plain mean over what is left does.
    assert (left * means).sum() / left.sum() != pytest.approx(whole, rel=0.1)
    # A ring that is wholly covered has no say.
    assert ring_level(np.array([0, 6.0]), np.array([0, 2]), np.array([5, 5])) == 3


@pytest.mark.parametrize("mean", [0.02, 1.0, 50.0, 5000.0])
def test_counting_noise_is_not_taken_for_spots(mean):
    rng = np.random.default_rng(3)
    values = rng.poisson(mean, 20000).astype(float)
    ring = rng.integers(0, 5, 20000)

    def above(sigmas: float) -> np.ndarray:
        return values > ring_ceilings(values, ring, 5, sigmas)[ring]

    assert above(6.0).sum() <= 1
    values[:7] += 30 * np.sqrt(mean) + 60
    assert above(6.0)[:7].all()
    assert above(6.0).sum() <= 8
    assert not above(0).any()


def test_boxes_cover_what_they_should():
    """Against a loop over all pixels of an 8 × 7 panel."""
    rng = np.random.default_rng(5)
    low = rng.integers(-3, 7, (12, 3))
    edges = np.stack([low, low + rng.integers(0, 4, (12, 3))], axis=2).reshape(12, 6)
    boxes = SpotBoxes(panel=rng.integers(0, 2, 12), edges=edges)
    on = boxes_on_frame(boxes, 2)
    assert {tuple(e) for e in on.edges} == {tuple(e) for e in edges if e[4] <= 2 < e[5]}
    places = np.sort(rng.choice(56, 30, replace=False))
    for margin in (0, 1):
        expected = [
            any(
                e[0] - margin <= p % 8 < e[1] + margin
                and e[2] - margin <= p // 8 < e[3] + margin
                for e in boxes.edges[boxes.panel == 1]
            )
            for p in places
        ]
        np.testing.assert_array_equal(covered(boxes, 1, places, 8, margin), expected)


def test_boxes_without_bounding_boxes_are_squares():
    table = flex.reflection_table()
    table["xyzcal.px"] = flex.vec3_double([(10.6, 20.2, 5.5)])
    assert spot_boxes(table).edges.tolist() == [[6, 15, 16, 25, 3, 8]]
    assert spot_boxes(table, still=True).edges.tolist() == [[6, 15, 16, 25, 0, 1]]
    table["bbox"] = flex.int6([(1, 2, 3, 4, 5, 6)])
    assert spot_boxes(table).edges.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert len(spot_boxes(flex.reflection_table())) == 0


def test_the_disc_is_the_mean_of_the_same_pixels_everywhere():
    nan = np.nan
    discs = [np.array([1.0, 2.0, 5.0]), np.array([2.0, nan, 10.0])]
    np.testing.assert_allclose(steady_disc(discs, [False] * 2), [3.0, 6.0])
    # What saturates is neither used nor a reason to leave pixels out elsewhere.
    np.testing.assert_allclose(steady_disc(discs, [False, True]), [8 / 3, nan])
    mostly_bad = [np.array([1.0, nan, nan])] * 2
    assert np.isnan(steady_disc(mostly_bad, [False] * 2)).all()
    assert np.isnan(steady_disc([np.empty(0)] * 2, [False] * 2)).all()
    assert not len(steady_disc([], []))
