"""
What beam, detector, goniometer, scan and crystal of an experiment can be.

Functions:
    impossible_models: in one list of experiments
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dxtbx.model import Experiment

from dials_spread.versions import is_still

WAVELENGTH = (0.001, 10.0)
"""[Å], of X-rays, neutrons and electrons."""

CELL_LENGTH = (1.0, 10_000.0)
"""[Å]."""

CELL_ANGLE = (10.0, 170.0)
"""[°]."""

IMAGE_WIDTH = (1e-6, 180.0)
"""[°]."""

LARGEST_ANGLE = 1e5
"""[°], where a scan begins, and how far it goes."""

LARGEST_LENGTH = 1e7
"""[mm], of the detector and to it."""

ROTATION_TOLERANCE = 1e-3
"""Elements of R Rᵀ may differ by this from those of a unit matrix."""

SAME_CELL = 0.1
"""Cells at the points of a scan may differ by this part of an edge from the crystal's."""


def impossible_models(experiments: Sequence[Experiment], filename: str) -> list[str]:
    """
    Say which experiments have models that nothing measured can have.

    Args:
        experiments: With crystals, beams and detectors.
        filename: Of them.

    Returns:
        One line for each kind of fault, with the first experiment that has it.
    """
    first: dict[str, tuple[int, str]] = {}
    count: dict[str, int] = {}
    sound: dict[int, object] = {}  # by id, which is not given away again meanwhile
    for number, experiment in enumerate(experiments):
        for check in CHECKS:
            detector = experiment.detector if check is _detector else None
            if id(detector) in sound:
                continue
            try:
                found = list(check(experiment))
                if detector is not None and not found:
                    sound[id(detector)] = detector
                for what, told in found:
                    first.setdefault(what, (number, told))
                    count[what] = count.get(what, 0) + 1
            except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
                # dxtbx and cctbx refuse to compute from what is no model.
                what = check.__name__.strip("_")
                first.setdefault(
                    what, (number, f"its {what} is none ({_words(error)})")
                )
                count[what] = count.get(what, 0) + 1
    n = len(experiments)
    return [
        f"{filename}: experiment {first[what][0]}: {first[what][1]}"
        + (f" ({count[what]} of {n} experiments)" if n > 1 else "")
        for what in first
    ]


def _words(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:80]


def _outside(value: float, limits: tuple[float, float]) -> bool:
    return not limits[0] <= value <= limits[1]


def _is_rotation(elements: Sequence[float]) -> bool:
    """Whether nine numbers are a proper rotation; nan are not."""
    matrix = np.array(elements).reshape(3, 3)
    with np.errstate(all="ignore"):
        product = np.abs(matrix @ matrix.T - np.eye(3)).max()
    if not product < ROTATION_TOLERANCE:
        return False
    return bool(np.linalg.det(matrix) > 0)


def _beam(experiment: Experiment) -> Iterator[tuple[str, str]]:
    beam = experiment.beam
    wavelength = beam.get_wavelength()
    if _outside(wavelength, WAVELENGTH):
        yield (
            "wavelength",
            f"wavelength {wavelength:g} Å, which is not between {WAVELENGTH[0]:g} and "
            f"{WAVELENGTH[1]:g} Å",
        )
        return
    s0 = [beam.get_s0()]
    s0 += [beam.get_s0_at_scan_point(k) for k in range(beam.num_scan_points)]
    lengths = np.linalg.norm(np.array(s0), axis=1) * wavelength
    if not np.all(np.abs(lengths - 1) < 0.1):
        worst = float(lengths[np.argmax(~(np.abs(lengths - 1) < 0.1))])
        yield "s0", f"a beam vector is {worst:g} of 1/wavelength long"


def _detector(experiment: Experiment) -> Iterator[tuple[str, str]]:
    if not len(experiment.detector):
        yield "panels", "a detector without panels"
    for number, panel in enumerate(experiment.detector):
        size, pixel = panel.get_image_size(), panel.get_pixel_size()
        edges = [*panel.get_fast_axis(), *panel.get_slow_axis(), *panel.get_origin()]
        if min(size) < 1:
            yield (
                "image size",
                f"panel {number} of the detector has {size[0]} × {size[1]} pixels",
            )
        elif not all(0 < p < LARGEST_LENGTH for p in pixel):
            yield "pixel", f"pixels of {pixel[0]:g} × {pixel[1]:g} mm on panel {number}"
        elif not np.all(np.abs(edges) < LARGEST_LENGTH):
            yield "panel", f"panel {number} of the detector is nowhere"
        elif not np.linalg.norm(np.cross(edges[:3], edges[3:6])) > ROTATION_TOLERANCE:
            yield "axes", f"the axes of panel {number} of the detector are parallel"
        elif not _seen_from_crystal(panel):
            yield "distance", f"panel {number} of the detector is at the crystal"


def _seen_from_crystal(panel) -> bool:
    nx, ny = panel.get_image_size()
    corners = [
        panel.get_pixel_lab_coord(c) for c in ((0, 0), (nx, 0), (0, ny), (nx, ny))
    ]
    lengths = np.linalg.norm(np.array(corners), axis=1)
    return bool(np.all((lengths > 0) & (lengths < LARGEST_LENGTH)))


def _goniometer(experiment: Experiment) -> Iterator[tuple[str, str]]:
    if is_still(experiment):
        return
    goniometer = experiment.goniometer
    axis = np.array(goniometer.get_rotation_axis_datum())
    if not abs(np.linalg.norm(axis) - 1) < ROTATION_TOLERANCE:
        told = ", ".join(f"{x:g}" for x in axis)
        yield "axis", f"the rotation axis ({told}) is no unit vector"
    matrices = {
        "fixed": [goniometer.get_fixed_rotation()],
        "setting": [goniometer.get_setting_rotation()],
    }
    matrices["setting"] += [
        goniometer.get_setting_rotation_at_scan_point(k)
        for k in range(goniometer.num_scan_points)
    ]
    for name, found in matrices.items():
        wrong = sum(not _is_rotation(m) for m in found)
        if wrong:
            yield (
                name,
                f"{wrong} of {len(found)} {name} rotations of the goniometer are none",
            )


def _scan(experiment: Experiment) -> Iterator[tuple[str, str]]:
    if experiment.scan is None:
        return
    first, last = experiment.scan.get_image_range()
    if last < first:
        yield "images", f"a scan from image {first} to image {last}"
    if is_still(experiment):
        return
    start, width = experiment.scan.get_oscillation()
    if not abs(start) < LARGEST_ANGLE:
        yield "start", f"a scan that begins at {start:g}°"
    if _outside(abs(width), IMAGE_WIDTH):
        yield "width", f"images of {width:g}°"
    elif not abs(width) * (last - first + 1) < LARGEST_ANGLE:
        yield "turn", f"a scan of {last - first + 1} images of {width:g}°"


def _crystal(experiment: Experiment) -> Iterator[tuple[str, str]]:
    crystal = experiment.crystal
    parameters = crystal.get_unit_cell().parameters()
    told = ", ".join(f"{p:g}" for p in parameters)
    if any(_outside(p, CELL_LENGTH) for p in parameters[:3]) or any(
        _outside(p, CELL_ANGLE) for p in parameters[3:]
    ):
        yield "cell", f"the unit cell ({told}) is that of no crystal"
        return
    setting = np.array(crystal.get_A()).reshape(1, 3, 3)
    n = crystal.num_scan_points
    points = [crystal.get_A_at_scan_point(k) for k in range(n)]
    if points:
        setting = np.concatenate([setting, np.array(points).reshape(-1, 3, 3)])
    # Rows of the inverse are the axes of the cell, in any orientation.
    with np.errstate(all="ignore"):
        regular = np.isfinite(setting).all(axis=(1, 2))
        regular[regular] = np.abs(np.linalg.det(setting[regular])) > 1e-13
        lengths = np.full((len(setting), 3), np.nan)
        axes = np.linalg.inv(setting[regular])
        lengths[regular] = np.linalg.norm(axes, axis=2)
        wrong = ~(np.abs(lengths / np.array(parameters[:3]) - 1) < SAME_CELL).all(
            axis=1
        )
    if wrong.any():
        where = int(np.argmax(wrong))
        which = f"at point {where - 1} of its scan" if where else "of the crystal"
        yield (
            "setting",
            f"the setting matrix {which} is not that of the unit cell ({told})",
        )


CHECKS: tuple[Callable[[Experiment], Iterator[tuple[str, str]]], ...] = (
    _beam,
    _detector,
    _goniometer,
    _scan,
    _crystal,
)
