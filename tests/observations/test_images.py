"""Frames, joined frames and stills; orientations against what DIALS predicts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dials.algorithms.spot_prediction import (
    ScanStaticReflectionPredictor,
    ScanVaryingReflectionPredictor,
)
from dials.array_family import flex
from dxtbx.model import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    MultiAxisGoniometer,
    Scan,
)

from dials_spread.observations.images import (
    centroid_array_index,
    describe_images,
    frame_ranges,
    frames_per_image,
    spread_entries,
)
from dials_spread.orientation import incident_beam, reciprocal_basis, setting_matrix

AXES = np.array([[8.1, 0.3, -0.2], [0.4, 11.7, 1.0], [-0.5, 0.6, 14.9]])


def crystal_of(axes=AXES, group="P 1"):
    return Crystal(*map(tuple, axes), space_group_symbol=group)


def rotating(n_frames=10, width=1.0, first=1, start=0.0, axis=(1.0, 0.0, 0.0)):
    """An experiment with a scan of frames first … first + n_frames - 1."""
    return Experiment(
        beam=Beam((0, 0, 1), 0.0251),
        crystal=crystal_of(),
        goniometer=Goniometer(axis),
        scan=Scan((first, first + n_frames - 1), (start, width)),
    )


def still():
    return Experiment(beam=Beam((0, 0, 1), 1.0), crystal=crystal_of())


def table_with(z, column="xyzcal.px"):
    table = flex.reflection_table()
    points = [(1.0, 1.0, float(value)) for value in z]
    table[column] = flex.vec3_double(points)
    return table


@pytest.mark.parametrize("first", [1, 60])
def test_image_n_covers_array_indices_from_n_less_1(first):
    experiment = rotating(10, first=first)
    begin = first - 1
    inside = np.array(
        [0.0, 0.5, np.nextafter(1, 0), 1.0, 2.0, 9.0, np.nextafter(10, 0)]
    )
    hand = first + np.array([0, 0, 0, 1, 2, 9, 9])
    # Below 60 the nearest numbers to the edges are further apart.
    z = np.where(inside % 1 > 0.9, begin + inside - 1e-12, begin + inside)
    frames, last, outside = frame_ranges(experiment, table_with(z), "centroid")
    np.testing.assert_array_equal(frames + 1, hand)
    np.testing.assert_array_equal(last, frames)
    assert outside == 0


def test_centroids_beyond_the_ends_count_for_the_end_and_are_counted():
    z = [58.99, 59.0, 68.999, 69.0, 70.4]
    frames, last, outside = frame_ranges(
        rotating(10, first=60), table_with(z), "centroid"
    )
    np.testing.assert_array_equal(frames, [59, 59, 68, 68, 68])
    np.testing.assert_array_equal(last, frames)
    assert outside == 3


@pytest.mark.parametrize(
    ("width", "image_width", "joined"),
    [
        (0.1, 1.0, 10),  # 0.1 is not exact in binary: 10 frames, not 11
        (0.2522, 1.0, 4),  # 3 frames span 0.757°, 4 span 1.009°
        (1.0, 1.0, 1),
        (1.25, 1.0, 1),
        (-0.25, 1.0, 4),
        (0.3, 1.0, 4),
        (0.1, 0.3, 3),
        (0.05, 1.0, 20),
        (0.1, 0.0, 1),
        (0.1, 0.05, 1),
    ],
)
def test_frames_are_joined_until_they_span_the_width(width, image_width, joined):
    assert frames_per_image(rotating(50, width), image_width) == joined
    if image_width:
        assert joined * abs(width) >= image_width - 1e-9
        assert (joined - 1) * abs(width) < image_width - 1e-9


def test_a_still_is_one_image():
    table = table_with([0.0, 17.0])
    assert frames_per_image(still(), 1.0) == 1
    first, last, outside = frame_ranges(still(), table, "extent")
    assert [*first, *last, outside] == [0, 0, 0, 0, 0]
    images = describe_images([still()], np.array([0]), np.array([0]), 1.0, np.eye(3))
    assert (images.first[0], images.last[0]) == (1, 1)
    no_width = Experiment(
        beam=Beam((0, 0, 1), 1.0),
        crystal=crystal_of(),
        goniometer=Goniometer((1, 0, 0)),
        scan=Scan((1, 1), (0.0, 0.0)),
    )
    assert frames_per_image(no_width, 1.0) == 1


def test_joined_frames_and_a_short_last_image():
    experiment = rotating(23, 0.1, first=60)
    images = describe_images(
        [experiment], np.zeros(3, int), np.arange(3), 1.0, np.eye(3)
    )
    np.testing.assert_array_equal(images.first, [60, 70, 80])
    np.testing.assert_array_equal(images.last, [69, 79, 82])
    np.testing.assert_allclose(images.z, [64.0, 74.0, 80.5])


@pytest.mark.parametrize("width", [0.5, -0.5])
@pytest.mark.parametrize("first", [1, 60])
def test_positions_in_radians_stand_in_for_array_indices(width, first):
    experiment = rotating(10, width, first=first, start=-31.0)
    z = first - 1 + np.array([0.25, 3.5, 9.75])
    angle = np.radians([experiment.scan.get_angle_from_array_index(x) for x in z])
    table = table_with(angle, "xyzcal.mm")
    np.testing.assert_allclose(centroid_array_index(experiment, table), z, rtol=1e-12)
    both = table_with(angle, "xyzcal.mm")
    both["xyzcal.px"] = table_with(z + 1)["xyzcal.px"]
    np.testing.assert_allclose(centroid_array_index(experiment, both), z + 1)


def test_old_tables_without_a_prediction_have_the_observed_centroid():
    table = flex.reflection_table()
    table["xyzcal.mm"] = flex.vec3_double([(0, 0, 0), (1, 1, np.radians(2.5))])
    table["xyzobs.px.value"] = flex.vec3_double([(5, 5, 7.5), (5, 5, 9.5)])
    np.testing.assert_allclose(centroid_array_index(rotating(), table), [7.5, 2.5])


def test_extent_gives_every_frame_that_the_box_touches():
    table = table_with([2.5, 0.2, 9.9, 5.0])
    boxes = [(2, 3), (-2, 2), (8, 12), (4, 7)]
    table["bbox"] = flex.int6([(0, 5, 0, 5, *box) for box in boxes])
    first, last, outside = frame_ranges(rotating(10), table, "extent")
    np.testing.assert_array_equal(first, [2, 0, 8, 4])
    np.testing.assert_array_equal(last, [2, 1, 9, 6])
    assert outside == 0


def test_entries_by_hand():
    rows, bins = spread_entries(np.array([3, 0, 5]), np.array([4, 0, 7]))
    np.testing.assert_array_equal(rows, [0, 0, 1, 2, 2, 2])
    np.testing.assert_array_equal(bins, [3, 4, 0, 5, 6, 7])


def vectors(table, name):
    return table[name].as_numpy_array().reshape(-1, 3)


def indices(table):
    return table["miller_index"].as_vec3_double().as_numpy_array().reshape(-1, 3)


def momentum_transfer(experiment, hkl, z):
    """A h, and what the beam's wave vector is, at each z."""
    r = [setting_matrix(experiment, x) @ h for h, x in zip(hkl, z)]
    return np.array(r), np.array([incident_beam(experiment, x) for x in z])


def large_detector():
    detector = Detector()
    panel = detector.add_panel()
    panel.set_local_frame((1, 0, 0), (0, -1, 0), (-200, 200, -200))
    panel.set_pixel_size((0.1, 0.1))
    panel.set_image_size((4000, 4000))
    return detector


def tilted_experiment(n_frames=40, width=0.5, start=20.0, first=1):
    """Everything off the axes: goniometer, beam and crystal."""
    axes = flex.vec3_double([(0.0, 0.1, 1.0), (0.1, 1.0, 0.2), (1.0, 0.05, -0.1)])
    axes = flex.vec3_double([tuple(np.array(v) / np.linalg.norm(v)) for v in axes])
    angles = flex.double([12.0, start, 33.0])
    names = flex.std_string(["phi", "omega", "kappa"])
    return Experiment(
        beam=Beam((0.03, -0.05, 1.0), 0.7),
        detector=large_detector(),
        crystal=crystal_of(Rotation.from_rotvec([0.4, -1.0, 2.2]).apply(AXES)),
        goniometer=MultiAxisGoniometer(axes, angles, names, 1),
        scan=Scan((first, first + n_frames - 1), (start, width)),
    )


def assert_as_predicted(experiment, table, tolerance):
    assert len(table) > 100
    z = centroid_array_index(experiment, table)
    r, s0 = momentum_transfer(experiment, indices(table), z)
    difference = vectors(table, "s1") - s0 - r
    size = np.linalg.norm(r, axis=1)
    assert np.max(np.linalg.norm(difference, axis=1) / size) < tolerance


def test_orientations_are_those_that_dials_predicts_with():
    experiment = tilted_experiment(first=7)
    fixed = np.reshape(experiment.goniometer.get_fixed_rotation(), (3, 3))
    setting = np.reshape(experiment.goniometer.get_setting_rotation(), (3, 3))
    assert not np.allclose(fixed, np.eye(3)) and not np.allclose(setting, np.eye(3))
    predict = ScanStaticReflectionPredictor(experiment, dmin=1.0)
    table = predict.for_ub(experiment.crystal.get_A())
    assert_as_predicted(experiment, table, 1e-9)
    # DIALS predicts nothing for scans that run backwards; the angles are the same.
    backwards = tilted_experiment(width=-0.5, start=40.0, first=7)
    del table["xyzcal.px"]
    assert_as_predicted(backwards, table, 1e-9)


@pytest.mark.parametrize("varying", ["crystal", "beam", "goniometer"])
def test_scan_varying_orientations_are_those_that_dials_predicts_with(varying):
    """A drift of 1° in 40 frames: half a frame of it, 0.0125°, may remain."""
    experiment = tilted_experiment(first=7)
    turns = Rotation.from_rotvec(np.radians(np.linspace(0, 1, 41))[:, None] * [0, 0, 1])
    turns = turns.as_matrix()
    points = {
        "crystal": turns @ np.reshape(experiment.crystal.get_A(), (3, 3)),
        "goniometer": turns
        @ np.reshape(experiment.goniometer.get_setting_rotation(), (3, 3)),
    }
    # The beam is turned about y: about z it would hardly move.
    about_y = turns[:, [1, 2, 0]][:, :, [1, 2, 0]]
    s0 = about_y @ np.array(experiment.beam.get_s0())
    for name, matrices in points.items():
        points[name] = [tuple(m.ravel()) for m in matrices]
        if name != varying:
            points[name] = [points[name][0]] * 41
    if varying != "beam":
        s0[:] = s0[0]
    if varying == "crystal":
        experiment.crystal.set_A_at_scan_points(points["crystal"])
    elif varying == "goniometer":
        experiment.goniometer.set_setting_rotation_at_scan_points(points["goniometer"])
    else:
        experiment.beam.set_s0_at_scan_points([tuple(s) for s in s0])
    predict = ScanVaryingReflectionPredictor(experiment, dmin=1.0)
    table = predict.for_varying_models(
        flex.mat3_double(points["crystal"]),
        flex.vec3_double([tuple(s) for s in s0]),
        flex.mat3_double(points["goniometer"]),
    )
    # The beam's drift counts by |s0|, at most a few times |r|.
    static = tilted_experiment(first=7)
    far_off = momentum_transfer(
        static, indices(table), centroid_array_index(static, table)
    )
    drift = np.linalg.norm(vectors(table, "s1") - far_off[1] - far_off[0], axis=1)
    left = momentum_transfer(
        experiment, indices(table), centroid_array_index(experiment, table)
    )
    left = np.linalg.norm(vectors(table, "s1") - left[1] - left[0], axis=1)
    assert len(table) > 100
    assert left.max() < drift.max() / 40
    if varying != "beam":
        assert_as_predicted(experiment, table, np.radians(0.5 / 40) + 1e-6)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        # scan-varying crystals: what half a frame of drift leaves
        ("quartz/scaled", 5e-5),
        ("l_cysteine/scaled_20_25", 1e-4),
        ("cinchonine_images/integrated", 5e-4),
    ],
)
def test_orientations_of_measured_scans_fit_the_predictions(
    name, tolerance, read_measured
):
    for experiment, table in zip(*read_measured(name)):
        flags = table.flags.predicted, table.flags.integrated_sum
        measured = table.select(table.get_flags(flags[0]) & table.get_flags(flags[1]))
        few = measured.select(
            flex.size_t(range(0, len(measured), len(measured) // 150))
        )
        assert experiment.crystal.num_scan_points > 1
        assert_as_predicted(experiment, few, tolerance)
        assert_centres_fit(experiment, few, tolerance)


def assert_centres_fit(experiment, table, tolerance):
    """At its image's centre an index is off by half the image's width at most."""
    first, _, _ = frame_ranges(experiment, table, "centroid")
    for image_width in (0.0, 1.0, 5.0):
        joined = frames_per_image(experiment, image_width)
        begin = experiment.scan.get_array_range()[0]
        bins = (first - begin) // joined
        n = len(bins)
        basis = reciprocal_basis(experiment.crystal.get_unit_cell())
        images = describe_images(
            [experiment], np.zeros(n, int), bins, image_width, basis
        )
        hkl = indices(table)
        r = np.einsum("nij,nj->ni", images.setting, hkl)
        off = np.linalg.norm(vectors(table, "s1") - images.s0 - r, axis=1)
        width = abs(experiment.scan.get_oscillation()[1])
        half = np.radians((images.last - images.first + 1) * width / 2)
        z = centroid_array_index(experiment, table)
        begin, end = experiment.scan.get_array_range()
        inside = (z >= begin) & (z < end)
        limit = (half + tolerance + np.radians(width)) * np.linalg.norm(r, axis=1)
        assert (off[inside] <= limit[inside]).all()


def test_stills_diffract_near_their_ewald_sphere(read_measured):
    experiments, tables = read_measured("cunir_stills/integrated")
    for experiment, table in zip(experiments, tables):
        r, s0 = momentum_transfer(experiment, indices(table), np.zeros(len(table)))
        miss = np.linalg.norm(r + s0, axis=1) - np.linalg.norm(s0, axis=1)
        other = np.linalg.norm(r - s0, axis=1) - np.linalg.norm(s0, axis=1)
        assert np.abs(miss).max() < 3e-3 < np.median(np.abs(other))
