"""
From a run of frames to an experiment of DIALS.

Three images of the scan stand for each frame, and the frame is in the middle of the
second. DIALS keeps orientations that vary along a scan for the edges of images, and
takes for a moment between them the nearest edge, or the mean of both: with the
orientation of the frame at both edges of the second image every program gets exactly
that. With one image a frame none would: steps differ by tenths of a degree.

Functions:
    rotation_axis: of a run, in the laboratory
    into_laboratory: setting matrices turned until the tilt axis is along x
    build_experiment: of one run
    moment_of: where in the scan each frame is
"""

from __future__ import annotations

import uuid

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from dxtbx.imageset import ImageSetFactory
from dxtbx.model import (
    Crystal,
    DetectorFactory,
    Experiment,
    GoniometerFactory,
    ScanFactory,
)
from scitbx import matrix

from dials_spread.input_files import CONVERTED
from dials_spread.pets.frame_orientations import TiltRun, base_orientation
from dials_spread.simulation.geometry import electron_beam

IMAGES_PER_FRAME = 3

PIXEL = 0.05
"""Of the nominal detector [mm]."""

DISTANCE = 500.0
"""Of the nominal detector [mm]."""

LEAST_SIZE = 2048
"""Of the nominal detector [pixels]; larger where reflections lie beyond its edge."""


def rotation_axis(run: TiltRun) -> np.ndarray:
    """Give the axis about which the crystal turns by positive angles, along ±x."""
    return np.array([np.sign(run.step), 0.0, 0.0])


def into_laboratory(settings: np.ndarray, run: TiltRun) -> np.ndarray:
    """
    Turn setting matrices about the beam until the tilt axis of a run is along x.

    Args:
        settings: Shape (n, 3, 3) [Å⁻¹], in the frame of PETS2.
        run: Its azimuth is taken away.

    Returns:
        Shape (n, 3, 3) [Å⁻¹].
    """
    return Rotation.from_euler("Z", -run.omega, degrees=True).as_matrix() @ settings


def moment_of(places: np.ndarray) -> np.ndarray:
    """Give the array index of the middle of the image of each place, shape (n,)."""
    return IMAGES_PER_FRAME * (places + 0.5)


def build_experiment(
    run: TiltRun,
    settings: np.ndarray,
    basis: np.ndarray,
    space_group,
    wavelength: float,
    largest_angle: float,
    stem: str,
    index: int,
) -> Experiment:
    """
    Make an experiment of a run.

    Args:
        run: Frames and their places.
        settings: Shape (n, 3, 3) [Å⁻¹] of its frames, in the laboratory.
        basis: Shape (3, 3) [Å⁻¹], B of the cell.
        space_group: sgtbx.space_group.
        wavelength: [Å].
        largest_angle: Of a diffracted beam with the incident one [rad].
        stem: Begins the names of images that there are none of.
        index: Number of the experiment, for these names.

    Returns:
        With nominal detector, static beam and goniometer, and a crystal that varies.
    """
    beam = electron_beam(wavelength)
    axis = tuple(rotation_axis(run))
    goniometer = GoniometerFactory.known_axis(axis)
    scan = _scan(run)
    detector = _detector(largest_angle)
    imageset = ImageSetFactory.make_sequence(
        CONVERTED.format(stem, index + 1),
        list(range(1, scan.get_num_images() + 1)),
        beam=beam,
        detector=detector,
        goniometer=goniometer,
        scan=scan,
        check_format=False,
    )
    return Experiment(
        beam=beam,
        detector=detector,
        goniometer=goniometer,
        scan=scan,
        crystal=_crystal(run, settings, basis, space_group, scan, axis),
        imageset=imageset,
        identifier=str(uuid.uuid4()),
    )


def _scan(run: TiltRun):
    n_images = IMAGES_PER_FRAME * (int(run.places[-1]) + 1)
    step = abs(run.step)
    start = np.sign(run.step) * run.start - step / 2
    return ScanFactory.make_scan(
        image_range=(1, n_images),
        exposure_times=[1.0] * n_images,
        oscillation=(float(start), step / IMAGES_PER_FRAME),
        epochs={i: float(i) for i in range(1, n_images + 1)},
    )


def _detector(largest_angle: float):
    needed = 2.1 * DISTANCE * np.tan(largest_angle) / PIXEL
    size = max(LEAST_SIZE, int(np.ceil(needed / 2)) * 2)
    edge = size * PIXEL / 2
    return DetectorFactory.make_detector(
        stype="PAD",
        fast_axis=(1, 0, 0),
        slow_axis=(0, -1, 0),
        origin=(-edge, edge, -DISTANCE),
        pixel_size=(PIXEL, PIXEL),
        image_size=(size, size),
        trusted_range=(-1, 1e9),
    )


def _crystal(run: TiltRun, settings, basis, space_group, scan, axis) -> Crystal:
    """Give the crystal at the edges of all images; between frames it is interpolated."""
    z = moment_of(run.places)
    start, width = scan.get_oscillation(deg=False)
    back = Rotation.from_rotvec(-np.outer(start + width * z, axis)).as_matrix()
    own = np.array([base_orientation(s, basis) for s in back @ settings])
    # Both edges of the second image of a frame.
    knots = np.stack([z - 0.5, z + 0.5], axis=1).ravel()
    turned = Slerp(knots, Rotation.from_matrix(np.repeat(own, 2, axis=0)))
    points = np.arange(scan.get_num_images() + 1)
    u = turned(np.clip(points, knots[0], knots[-1])).as_matrix()
    middle = turned(knots[len(knots) // 2]).as_matrix()
    real = np.linalg.inv(middle @ basis)
    crystal = Crystal(*(tuple(row) for row in real), space_group=space_group)
    crystal.set_A_at_scan_points([matrix.sqr((m @ basis).ravel()) for m in u])
    return crystal
