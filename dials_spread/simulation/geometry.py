"""Virtual 3D electron-diffraction experiments, as dxtbx models without images."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

import dxtbx.model
from cctbx import crystal
from dials.algorithms.profile_model.gaussian_rs import Model as GaussianRSModel
from dxtbx.imageset import ImageSetFactory
from dxtbx.model.experiment_list import Experiment, ExperimentList

from dials_spread.input_files import NO_IMAGES
from dials_spread.versions import set_electrons

# 200 kV, relativistic.
DEFAULT_WAVELENGTH = 0.02508

PIXEL_SIZE = 0.055  # [mm], Timepix and Medipix
N_PIXELS = 1024  # along each edge
SPOT_SIGMA = 0.8  # [pixels]
SPOT_N_SIGMA = 3.0  # half width of the integration mask, in standard deviations


def electron_beam(wavelength: float) -> dxtbx.model.Beam:
    """
    A parallel unpolarised electron beam along -z.

    Args:
        wavelength: [Å].
    """
    beam = dxtbx.model.BeamFactory.make_polarized_beam(
        sample_to_source=(0, 0, 1),
        wavelength=wavelength,
        polarization=(0, 1, 0),
        polarization_fraction=0.5,
    )
    set_electrons(beam)
    return beam


def square_detector(
    wavelength: float, d_min: float, n_pixels: int = N_PIXELS
) -> dxtbx.model.Detector:
    """
    One square panel normal to the beam, far enough to record d_min at its edges.

    Args:
        wavelength: [Å].
        d_min: Resolution at the middle of the edges, with 4 % to spare [Å].
        n_pixels: Pixels along each edge; 512 for Timepix of four chips.
    """
    if n_pixels < 64:
        raise ValueError(f"A detector of {n_pixels} by {n_pixels} pixels is too small.")
    half = 0.5 * n_pixels * PIXEL_SIZE
    distance = 0.96 * half / np.tan(2 * np.arcsin(0.5 * wavelength / d_min))
    return dxtbx.model.DetectorFactory.simple(
        sensor="PAD",
        distance=float(distance),
        beam_centre=(half, half),
        fast_direction="+x",
        slow_direction="-y",
        pixel_size=(PIXEL_SIZE, PIXEL_SIZE),
        image_size=(n_pixels, n_pixels),
        trusted_range=(-1, 1e9),
    )


def rotation_scan(
    scan_width: float,
    image_width: float,
    scan_start: float | None = None,
    exposure: float = 1.0,
) -> dxtbx.model.Scan:
    """
    A continuous-rotation scan.

    Args:
        scan_width: Angle covered [degrees]; a whole number of images is made of it.
        image_width: Rotation during one image [degrees].
        scan_start: First angle [degrees]. The scan is centred on zero without it, so
            that a flat crystal is thinnest in the middle.
        exposure: Of an image [s].
    """
    n_images = round(scan_width / image_width)
    if image_width <= 0 or n_images < 1:
        raise ValueError(
            f"A scan of {scan_width}° in images of {image_width}° has no image."
        )
    if scan_start is None:
        scan_start = -0.5 * n_images * image_width
    return dxtbx.model.ScanFactory.make_scan(
        image_range=(1, n_images),
        exposure_times=[float(exposure)] * n_images,
        oscillation=(float(scan_start), float(image_width)),
        epochs={i + 1: i * float(exposure) for i in range(n_images)},
    )


def random_orientation(
    rng: np.random.Generator,
    symmetry: crystal.symmetry,
    tilt_spread: float | None = None,
) -> np.ndarray:
    """
    Draw an orientation matrix U.

    Args:
        rng: Source of all random numbers.
        symmetry: Cell and space group.
        tilt_spread: Standard deviation of the tilt of c* from the beam at zero rotation
            [degrees], for plates that lie flat on their support. Without it all
            orientations are equally likely.

    Returns:
        A rotation matrix of shape (3, 3), Cartesian crystal frame to laboratory frame.
    """
    if tilt_spread is None:
        # A quaternion of normal deviates is uniform on the sphere in four dimensions.
        return Rotation.from_quat(rng.standard_normal(4)).as_matrix()
    # The Cartesian frame of cctbx has c* along z, which is also the beam.
    in_plane = Rotation.from_rotvec([0.0, 0.0, rng.uniform(0.0, 2 * np.pi)])
    flipped = Rotation.from_rotvec([np.pi * rng.integers(2), 0.0, 0.0])
    tilt = np.deg2rad(tilt_spread) * rng.standard_normal(2)
    return (Rotation.from_rotvec([*tilt, 0.0]) * in_plane * flipped).as_matrix()


def crystal_model(
    symmetry: crystal.symmetry, orientation: np.ndarray
) -> dxtbx.model.Crystal:
    """A crystal model from its cell, space group and U matrix of shape (3, 3)."""
    # cctbx keeps the rows a*, b*, c*; the B matrix has them as columns.
    rows = np.array(symmetry.unit_cell().fractionalization_matrix()).reshape(3, 3)
    A = orientation @ rows.T
    return dxtbx.model.Crystal(
        tuple(float(x) for x in A.ravel()), symmetry.space_group(), reciprocal=True
    )


def rotation_experiments(
    rng: np.random.Generator,
    symmetry: crystal.symmetry,
    n_crystals: int,
    *,
    wavelength: float = DEFAULT_WAVELENGTH,
    d_min: float = 0.9,
    scan_width: float | Sequence[float] = 40.0,
    image_width: float | Sequence[float] = 1.0,
    mosaicity: float = 0.05,
    tilt_spread: float | None = None,
) -> ExperimentList:
    """
    Experiments that differ in crystal orientation and scan, one for each crystal.

    Args:
        rng: Source of all random numbers, the identifiers included.
        symmetry: Cell and space group of every crystal.
        n_crystals: Number of experiments.
        wavelength: [Å].
        d_min: Resolution that the detector records [Å].
        scan_width: Angle covered [degrees], one value or one for each crystal.
        image_width: Rotation during an image [degrees], likewise.
        mosaicity: Standard deviation of the rocking curve, stored as the profile
            model [degrees].
        tilt_spread: See `random_orientation` [degrees].

    Returns:
        Experiments with identifiers, profile models and imagesets without images.
    """
    if n_crystals < 1:
        raise ValueError(f"At least one crystal is needed, not {n_crystals}.")
    laboratory = Laboratory.with_electrons(wavelength, d_min)
    widths = zip(
        per_crystal(scan_width, n_crystals), per_crystal(image_width, n_crystals)
    )
    experiments = ExperimentList()
    for index, (total, step) in enumerate(widths):
        orientation = random_orientation(rng, symmetry, tilt_spread)
        experiments.append(
            rotation_experiment(
                laboratory,
                crystal_model(symmetry, orientation),
                rotation_scan(total, step),
                mosaicity,
                index,
                random_identifier(rng),
            )
        )
    return experiments


@dataclass(frozen=True)
class Laboratory:
    """
    The models that all experiments share.

    Attributes:
        beam: The electron beam.
        detector: One panel.
        goniometer: One rotation axis.
    """

    beam: dxtbx.model.Beam
    detector: dxtbx.model.Detector
    goniometer: dxtbx.model.Goniometer

    @classmethod
    def with_electrons(
        cls, wavelength: float, d_min: float, n_pixels: int = N_PIXELS
    ) -> Laboratory:
        """A beam of a wavelength [Å], a square detector that records d_min [Å]."""
        return cls(
            electron_beam(wavelength),
            square_detector(wavelength, d_min, n_pixels),
            dxtbx.model.GoniometerFactory.known_axis((1, 0, 0)),
        )


def random_identifier(rng: np.random.Generator) -> str:
    """An identifier as DIALS gives them, a UUID of version 4."""
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def rotation_experiment(
    laboratory: Laboratory,
    model: dxtbx.model.Crystal,
    scan: dxtbx.model.Scan,
    mosaicity: float,
    index: int,
    identifier: str,
) -> Experiment:
    """
    The experiment of one crystal, with a profile model and an imageset without images.

    Args:
        laboratory: Beam, detector and goniometer.
        model: The crystal.
        scan: Its scan.
        mosaicity: Standard deviation of the rocking curve [degrees].
        index: Number of the crystal, for the names of its images.
        identifier: Of the experiment.
    """
    beam, detector, goniometer = (
        laboratory.beam,
        laboratory.detector,
        laboratory.goniometer,
    )
    sigma_b = np.rad2deg(SPOT_SIGMA * PIXEL_SIZE / detector[0].get_distance())
    return Experiment(
        beam=beam,
        detector=detector,
        goniometer=goniometer,
        scan=scan,
        crystal=model,
        imageset=_absent_images(index, beam, detector, goniometer, scan),
        # In 3.12 the profile model is in degrees only on request.
        profile=GaussianRSModel(
            None, SPOT_N_SIGMA, float(sigma_b), float(mosaicity), deg=True
        ),
        identifier=identifier,
    )


def per_crystal(value: float | Sequence[float], n_crystals: int) -> list[float]:
    """One number for each crystal from one number or from as many as crystals."""
    values = np.atleast_1d(np.asarray(value, dtype=float))
    if len(values) not in (1, n_crystals):
        raise ValueError(f"{len(values)} values were given for {n_crystals} crystals.")
    return [float(x) for x in np.broadcast_to(values, (n_crystals,))]


def _absent_images(index: int, beam, detector, goniometer, scan):
    """An image sequence that names files but never opens them."""
    first, last = scan.get_image_range()
    return ImageSetFactory.make_sequence(
        NO_IMAGES.format(index + 1),
        list(range(first, last + 1)),
        beam=beam,
        detector=detector,
        goniometer=goniometer,
        scan=scan,
        check_format=False,
    )
