"""
Files of raw frames: miniCBF and SMV, with all that DIALS needs to know in the header.

Both formats imply, rather than say, that the detector is normal to the beam and that the
crystal turns about the fast axis of the images, as virtual experiments have it. The
header formats are those that Dectris detectors and ADSC detectors write.

- `cbf`: 32 bits, compressed by byte offsets. DIALS takes it for a counting detector: no
  gain to guess, and the background of dials.integrate is a Poisson model.
- `smv`: 16 bits, uncompressed, read by nearly every program. DIALS takes it for a CCD:
  spots of fewer than six pixels are not looked at, and the background is a plain mean
  with outliers removed, which is biased where there are few counts a pixel;
  background.algorithm=glm helps. Counts have a pedestal, since DIALS takes pixels of
  zero for dead ones in this format.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.ext import compress
from dxtbx.model.experiment_list import Experiment

SUFFIXES = {"cbf": ".cbf", "smv": ".img"}

# The largest count that each format keeps apart from saturation.
HIGHEST = {"cbf": 2**31 - 2, "smv": 65000}

# Added to all counts of SMV files.
SMV_PEDESTAL = 64

SMV_HEADER_BYTES = 1024

# Files are the same whenever they are written.
FIRST_IMAGE = datetime(2000, 1, 1)

# Silicon of Timepix and Medipix. DIALS drops all reflections on sensors without
# thickness. Where it is stated the intensities are divided by an absorption that holds
# for X-rays, the same for all spots.
SENSOR_THICKNESS = 0.3  # [mm]

_CBF_HEADER = """###CBF: VERSION 1.5
# Simulated electron-diffraction frame

data_{name}

_array_data.header_convention "GENERIC_MINI"
_array_data.header_contents
;
# Detector: SIMULATED electron counter
# {date}
# Pixel_size {pixel:.9g} m x {pixel:.9g} m
# Silicon sensor, thickness {thickness:.6f} m
# Exposure_time {exposure:.6f} s
# Exposure_period {exposure:.6f} s
# Count_cutoff {saturation} counts
# Wavelength {wavelength:.9g} A
# Detector_distance {distance:.9g} m
# Beam_xy ({x:.5f}, {y:.5f}) pixels
# Start_angle {start:.6f} deg.
# Angle_increment {width:.6f} deg.
# Detector_2theta 0.0000 deg.
# Phi {start:.6f} deg.
;

_array_data.data
;
--CIF-BINARY-FORMAT-SECTION--
Content-Type: application/octet-stream;
     conversions="x-CBF_BYTE_OFFSET"
Content-Transfer-Encoding: BINARY
X-Binary-Size: {size}
X-Binary-ID: 1
X-Binary-Element-Type: "signed 32-bit integer"
X-Binary-Element-Byte-Order: LITTLE_ENDIAN
X-Binary-Number-of-Elements: {elements}
X-Binary-Size-Fastest-Dimension: {fast}
X-Binary-Size-Second-Dimension: {slow}
X-Binary-Size-Padding: {padding}

"""

_CBF_START = b"\x0c\x1a\x04\xd5"
_CBF_PADDING = 4095
_CBF_END = b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n\r\n"

_SMV_HEADER = """{{
HEADER_BYTES={header_bytes:5d};
DIM=2;
BYTE_ORDER=little_endian;
TYPE=unsigned_short;
SIZE1={fast};
SIZE2={slow};
PIXEL_SIZE={pixel:.9g};
BIN=1x1;
GAIN=1;
IMAGE_PEDESTAL={pedestal};
DATE={date};
TIME={exposure:.6f};
DISTANCE={distance:.9g};
TWOTHETA=0.0;
AXIS=PHI;
PHI={start:.6f};
OSC_START={start:.6f};
OSC_RANGE={width:.6f};
WAVELENGTH={wavelength:.9g};
BEAM_CENTER_X={x:.6f};
BEAM_CENTER_Y={y:.6f};
}}
"""


@dataclass(frozen=True)
class FrameGeometry:
    """
    What the header of a frame says.

    Attributes:
        wavelength: [Å].
        distance: From the crystal to the detector [mm].
        pixel_size: [mm].
        beam_centre: Of the direct beam, from the outer corner of the first pixel, along
            the fast and the slow axis [pixels].
        image_size: Pixels along the fast and the slow axis.
        first_image: Number of the first frame of the scan.
        scan_start: Rotation angle at its beginning [degrees].
        image_width: Rotation during a frame [degrees].
        exposure_time: [s].
    """

    wavelength: float
    distance: float
    pixel_size: float
    beam_centre: tuple[float, float]
    image_size: tuple[int, int]
    first_image: int
    scan_start: float
    image_width: float
    exposure_time: float

    def start(self, image: int) -> float:
        """The angle at the beginning of an image, by its number [degrees]."""
        return self.scan_start + (image - self.first_image) * self.image_width

    def time(self, image: int) -> datetime:
        """When an image began."""
        elapsed = (image - self.first_image) * self.exposure_time
        return FIRST_IMAGE + timedelta(seconds=elapsed)


def frame_geometry(experiment: Experiment) -> FrameGeometry:
    """
    Take the geometry from an experiment.

    Args:
        experiment: With a beam, a detector, a goniometer and a scan.

    Raises:
        ValueError: It is not a geometry that the headers can express.
    """
    beam, detector = experiment.beam, experiment.detector
    if not experiment.scan or not experiment.goniometer:
        raise ValueError("Frames are written of rotation scans only, not of stills.")
    if len(detector) != 1:
        raise ValueError(
            f"Frames are written for detectors of one panel, not of {len(detector)}."
        )
    panel = detector[0]
    fixed = (
        ("beam", beam.get_unit_s0(), (0, 0, -1)),
        ("rotation axis", experiment.goniometer.get_rotation_axis(), (1, 0, 0)),
        ("fast axis of the detector", panel.get_fast_axis(), (1, 0, 0)),
        ("slow axis of the detector", panel.get_slow_axis(), (0, -1, 0)),
    )
    for name, vector, wanted in fixed:
        if not np.allclose(vector, wanted, atol=1e-6):
            told = ", ".join(f"{x:.4f}" for x in vector)
            raise ValueError(
                f"Frames cannot be written: the {name} is along ({told}), and the "
                f"headers of frames imply {wanted}."
            )
    fast, slow = panel.get_pixel_size()
    if not np.isclose(fast, slow):
        raise ValueError(f"Pixels must be square, not {fast:g} by {slow:g} mm.")
    start, width = experiment.scan.get_oscillation()
    return FrameGeometry(
        wavelength=beam.get_wavelength(),
        distance=panel.get_distance(),
        pixel_size=fast,
        beam_centre=tuple(panel.get_beam_centre_px(beam.get_s0())),
        image_size=tuple(panel.get_image_size()),
        first_image=experiment.scan.get_image_range()[0],
        scan_start=start,
        image_width=width,
        exposure_time=experiment.scan.get_exposure_times()[0],
    )


def write_image(
    path: Path,
    counts: np.ndarray,
    geometry: FrameGeometry,
    image: int,
    saturation: int,
    file_format: str = "cbf",
) -> None:
    """
    Write one frame.

    Args:
        path: The file.
        counts: Integers of shape (slow, fast), not negative.
        geometry: For the header.
        image: Number of the frame.
        saturation: Pixels with more counts are marked as saturated.
        file_format: "cbf" or "smv".

    Raises:
        ValueError: The counts do not fit the geometry or the format.
        OSError: The file cannot be written.
    """
    if file_format not in SUFFIXES:
        raise ValueError(f"Frames are written as cbf or smv, not as {file_format}.")
    if counts.shape != geometry.image_size[::-1]:
        raise ValueError(
            f"A frame of shape {counts.shape} is none of {geometry.image_size} pixels."
        )
    if not 0 < saturation <= HIGHEST[file_format]:
        raise ValueError(
            f"A saturation of {saturation} counts is not from 1 to "
            f"{HIGHEST[file_format]}, which {file_format} can hold."
        )
    encode = _cbf_bytes if file_format == "cbf" else _smv_bytes
    path.write_bytes(encode(path.stem, counts, geometry, image, saturation))


def _cbf_bytes(
    name: str, counts: np.ndarray, geometry: FrameGeometry, image: int, saturation: int
) -> bytes:
    """A miniCBF file, saturated pixels one above the cut-off in its header."""
    pixels = np.minimum(counts, saturation + 1).astype(np.int32)
    data = compress(flex.int(pixels))
    x, y = geometry.beam_centre
    fast, slow = geometry.image_size
    header = _CBF_HEADER.format(
        name=name,
        date=geometry.time(image).isoformat(timespec="milliseconds"),
        pixel=geometry.pixel_size * 1e-3,
        thickness=SENSOR_THICKNESS * 1e-3,
        exposure=geometry.exposure_time,
        saturation=saturation,
        wavelength=geometry.wavelength,
        distance=geometry.distance * 1e-3,
        x=x,
        y=y,
        start=geometry.start(image),
        width=geometry.image_width,
        size=len(data),
        elements=fast * slow,
        fast=fast,
        slow=slow,
        padding=_CBF_PADDING,
    )
    # The standard has carriage returns, and DIALS looks for line feeds.
    text = header.replace("\n", "\r\n").encode("ascii")
    return text + _CBF_START + data + bytes(_CBF_PADDING) + _CBF_END


def _smv_bytes(
    name: str, counts: np.ndarray, geometry: FrameGeometry, image: int, saturation: int
) -> bytes:
    """An SMV file of the ADSC kind, saturated pixels at the highest number."""
    pixels = np.where(counts > saturation, 65535, counts + SMV_PEDESTAL)
    x, y = geometry.beam_centre
    fast, slow = geometry.image_size
    header = _SMV_HEADER.format(
        header_bytes=SMV_HEADER_BYTES,
        fast=fast,
        slow=slow,
        pixel=geometry.pixel_size,
        pedestal=SMV_PEDESTAL,
        date=geometry.time(image).strftime("%a %b %d %H:%M:%S %Y"),
        exposure=geometry.exposure_time,
        distance=geometry.distance,
        start=geometry.start(image),
        width=geometry.image_width,
        wavelength=geometry.wavelength,
        # By convention X runs along the slow axis and Y along the fast one.
        x=y * geometry.pixel_size,
        y=x * geometry.pixel_size,
    )
    filled = header.encode("ascii").ljust(SMV_HEADER_BYTES)
    return filled + np.ascontiguousarray(pixels, dtype="<u2").tobytes()
