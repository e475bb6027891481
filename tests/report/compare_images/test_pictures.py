"""Raw images in a common orientation: do the spots lie where they are predicted?"""

from __future__ import annotations

import base64
import io
import re
import shutil

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

from dials.array_family import flex
from dxtbx.model import DetectorFactory
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.report.compare_images.frames import NoFrames, pixel_at, read_frames
from dials_spread.report.compare_images.pictures import (
    LEVELS,
    Picture,
    build_picture,
    darkness,
    resample,
)
from dials_spread.report.compare_images.plots_picture import picture_plot
from dials_spread.report.page.template import figure_parts, get_template


@pytest.fixture(scope="module")
def picture(raw_electrons):
    c = raw_electrons
    return build_picture(c.experiments, c.observations, c.spots[0])


def on_grid(position, picture):
    """Column and row of positions [Å⁻¹] in the picture."""
    n = len(picture.pixels_a)
    part = (position + picture.limit) / (2 * picture.limit)
    return (part[:, 0] * n).astype(int), ((1 - part[:, 1]) * n).astype(int)


@pytest.mark.parametrize("which", ["a", "b"])
def test_spots_of_four_panels_lie_where_they_are_predicted(
    raw_electrons, picture, which
):
    """Nothing in the picture knows the indices, so this checks geometry and turn."""
    spots = raw_electrons.spots[0]
    pixels = getattr(picture, f"pixels_{which}")
    x, y = on_grid(getattr(spots, f"spots_{which}"), picture)
    n = len(pixels)
    pad = np.pad(np.minimum(pixels, 1000), 12, constant_values=np.nan)

    def level(dx, dy):
        return np.nanmean(pad[y + 12 + dy, x + 12 + dx])

    assert level(0, 0) > 5 * np.nanmean(np.minimum(pixels, 1000))
    # The spots are brightest within two grid points (0.01 Å⁻¹) of the prediction.
    shifts = [(dx, dy) for dx in range(-10, 11) for dy in range(-10, 11)]
    best = max(shifts, key=lambda shift: level(*shift))
    assert np.hypot(*best) <= 2, best
    assert n == pixels.shape[1]


def test_the_gaps_between_panels_are_blank(picture):
    assert 0.005 < np.isnan(picture.pixels_a).mean() < 0.1


def test_a_missing_turn_would_be_noticed(raw_electrons, picture):
    """The pair is half a turn apart: unturned, b's spots are elsewhere."""
    spots = raw_electrons.spots[0]
    assert np.allclose(spots.turn, -np.eye(2), atol=0.02)
    x, y = on_grid(-spots.spots_b, picture)
    inside = (x >= 0) & (y >= 0) & (x < 440) & (y < 440)
    pixels = np.minimum(picture.pixels_b, 1000)
    there = np.nanmean(pixels[y[inside], x[inside]])
    right_x, right_y = on_grid(spots.spots_b, picture)
    assert np.nanmean(pixels[right_y, right_x]) > 3 * there


def test_resampling_turns_and_mirrors_like_positions():
    """A single bright pixel on a flat detector, against the formula by hand."""
    beam, distance, pixel = np.array([0, 0, -40.0]), 400.0, 0.1
    detector = DetectorFactory.simple(
        *("PAD", distance, (10.0, 10.0), "+x", "-y", (pixel, pixel), (200, 200)),
        *((-1, 1e6), []),
    )
    counts = np.zeros((200, 200))
    counts[60, 150] = 1.0  # slow, fast: 5 mm to the right, 4 mm up
    scale = 40.0 / np.sqrt(distance**2 + 5.05**2 + 3.95**2)
    expected = np.array([5.05, 3.95]) * scale
    for turn in (np.eye(2), np.array([[0.0, -1], [1, 0]]), np.diag([-1.0, 1.0])):
        image = resample([counts], detector, beam, turn, 1.0, n=200)
        rows, columns = np.nonzero(np.nan_to_num(image))
        found = np.array([columns.mean() + 0.5, 199.5 - rows.mean()]) / 100 - 1
        np.testing.assert_allclose(found, turn @ expected, atol=0.01)


def test_pixels_agree_with_dxtbx(raw_electrons):
    """The vectorised ray tracing against the model's own, ray by ray."""
    detector = raw_electrons.experiments[0].detector
    rng = np.random.default_rng(0)
    rays = np.column_stack([rng.uniform(-1, 1, (200, 2)), np.full(200, -39.85)])
    for panel in detector:
        seen, fast, slow = pixel_at(panel, rays)
        for i, f, s in zip(seen, fast, slow):
            px = panel.get_ray_intersection_px(rays[i])
            assert (int(px[0]), int(px[1])) == (f, s)
        missed = set(range(200)) - set(seen.tolist())
        assert len(seen) > 20
        for i in list(missed)[:20]:
            px = panel.get_ray_intersection_px(rays[i])
            assert not panel.is_coord_valid(px)


def test_images_are_found_beside_the_experiments(data_folder, tmp_path):
    """The list says where the images were when it was written, elsewhere."""
    there = data_folder / "cinchonine_images"
    (tmp_path / "lists").mkdir()
    (tmp_path / "images").mkdir()
    shutil.copy(there / "integrated.expt", tmp_path / "lists")
    shutil.copy(there / "cin_00070.img", tmp_path / "images")
    (experiment,) = ExperimentListFactory.from_json_file(
        str(tmp_path / "lists" / "integrated.expt"), check_format=False
    )
    with pytest.raises(NoFrames, match="cin_00070.img was not found"):
        read_frames(experiment, 70, 70)
    panels = read_frames(experiment, 70, 70, [tmp_path / "images"])
    assert [p.shape for p in panels] == 4 * [(254, 254)]
    with pytest.raises(NoFrames, match="cin_00071.img was not found"):
        read_frames(experiment, 70, 71, [tmp_path / "images"])


def test_a_truncated_image_gives_a_reason(data_folder, tmp_path):
    there = data_folder / "cinchonine_images"
    shutil.copy(there / "integrated.expt", tmp_path)
    whole = (there / "cin_00070.img").read_bytes()
    (tmp_path / "cin_00070.img").write_bytes(whole[:100])
    (experiment,) = ExperimentListFactory.from_json_file(
        str(tmp_path / "integrated.expt"), check_format=False
    )
    with pytest.raises(NoFrames, match="cannot be read"):
        read_frames(experiment, 70, 70)


def test_other_panels_than_the_models_give_a_reason(raw_electrons):
    experiment = raw_electrons.experiments[0]
    other = type(experiment)(
        beam=experiment.beam,
        detector=DetectorFactory.simple(
            *("PAD", 400.0, (10.0, 10.0), "+x", "-y", (0.1, 0.1), (200, 200)),
            *((-1, 1e6), []),
        ),
        imageset=experiment.imageset,
    )
    with pytest.raises(NoFrames, match="other panels"):
        read_frames(other, 70, 70)


def test_without_raw_images_the_picture_says_why(electrons):
    spots = electrons.spots[0]
    picture = build_picture(electrons.experiments, electrons.observations, spots)
    assert picture.pixels_a is None
    assert "was not found" in picture.reason
    plot = picture_plot(spots, "a", "b", picture)
    assert picture.reason in figure_parts("picture", plot)["note"]
    grid = get_template("macros.html").module.grid([figure_parts("picture", plot)])
    caption = re.search(r"<figcaption>(.*?)</figcaption>", grid, re.S).group(1)
    assert str(escape(picture.reason)) in caption


def test_the_mean_of_frames_is_taken(raw_electrons):
    experiment = raw_electrons.experiments[0]
    one, two = (read_frames(experiment, n, n)[0] for n in (80, 81))
    both = read_frames(experiment, 80, 81)[0]
    np.testing.assert_allclose(both, (one + two) / 2)


def test_masked_pixels_are_blank(raw_electrons):
    experiment = raw_electrons.experiments[0]
    panels = read_frames(experiment, 60, 60)
    imageset = ExperimentListFactory.from_filenames([experiment.imageset.get_path(0)])[
        0
    ].imageset
    for panel, mask in zip(panels, imageset.get_mask(0)):
        assert np.isnan(panel).sum() == mask.count(False)
    assert isinstance(mask, flex.bool)


def test_the_overlay_is_dark_where_both_are():
    a, b = np.zeros((2, 40, 40))
    a[5, 5] = a[10, 10] = b[10, 10] = b[15, 15] = 100.0
    urls = Picture(a, b, 1.0).encode()
    grey, _, overlay = (
        np.asarray(
            Image.open(io.BytesIO(base64.b64decode(u.split(",")[1]))).convert("RGB")
        )
        for u in urls
    )
    assert grey[5, 5].max() == 0 and grey[0, 0].min() == 255
    assert overlay[5, 5].tolist() == [0, 114, 178]
    assert overlay[15, 15].tolist() == [213, 94, 0]
    assert overlay[10, 10].max() < 50


def test_darkness_of_strange_images():
    assert darkness(np.full((9, 9), np.nan)).max() == 0
    assert darkness(np.full((9, 9), 7.0)).max() == 0
    assert darkness(np.diag(np.arange(9.0))).max() == LEVELS - 1
