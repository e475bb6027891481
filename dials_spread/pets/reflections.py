"""
The reflection table of a run.

Functions:
    build_table: one row for each line of the list
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.pets.rocking_curves import excitation
from dials_spread.valid_input.columns import PRECESSION
from dials_spread.valid_input.values import LARGEST_POSITION

LARGEST_TURN = np.deg2rad(2.5)
"""A crossing is looked for no further from the frame than this [rad]."""

ROUNDS = 4
"""Newton steps to the Ewald sphere."""

HALF_BOX = 3.5
"""Half of a nominal shoebox [pixels]."""


@dataclass(frozen=True)
class Lines:
    """
    The n lines of the list that are on the frames of a run.

    Attributes:
        hkl: Shape (n, 3), int.
        intensity: Shape (n,).
        sigma: Shape (n,).
        number: Shape (n,), of the frame, as in the file.
        z: Shape (n,), array index of the middle of the frame.
        setting: Shape (n, 3, 3) [Å⁻¹], of the frame, in the laboratory.
        relative: Shape (n,), excitation error over the range of the frame.
        scale: Shape (n,), of the frame, as in the file.
        precession: Shape (n,) [°], semi-angle of the frame, nan where the file does not
            tell; None where intensities are not those of frames with precession.
    """

    hkl: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray
    number: np.ndarray
    z: np.ndarray
    setting: np.ndarray
    relative: np.ndarray
    scale: np.ndarray
    precession: np.ndarray | None = None


def _crossings(
    lines: Lines, axis: np.ndarray, wavelength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give s1 [Å⁻¹] where the crystal, turned about the axis, excites, and the turn [rad]."""
    k = np.array([0.0, 0.0, -1 / wavelength])
    g = np.einsum("nij,nj->ni", lines.setting, lines.hkl)
    turn = np.zeros(len(g))
    for _ in range(ROUNDS):
        turned = Rotation.from_rotvec(turn[:, None] * axis).apply(g)
        s = -(turned @ k + np.sum(g**2, axis=1) / 2) * wavelength
        rate = -(np.cross(axis, turned) @ k) * wavelength
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = turn - np.nan_to_num(s / rate)
        turn = np.clip(turn, -LARGEST_TURN, LARGEST_TURN)
    s1 = Rotation.from_rotvec(turn[:, None] * axis).apply(g) + k
    s1 /= np.linalg.norm(s1, axis=1, keepdims=True) * wavelength
    return s1, turn


def build_table(
    lines: Lines, experiment: Experiment, number: int
) -> flex.reflection_table:
    """
    Make a table of the lines of a run.

    Positions on the detector are where the reflection crosses the Ewald sphere; the
    moment is that of the middle of the frame on which it is listed, since one crossing
    is listed on several frames that overlap.

    Args:
        lines: Of the list.
        experiment: Of the run.
        number: Of the experiment, for the column id.

    Returns:
        Without a column lp: the Lorentz factor is not in the intensities.
    """
    axis = np.array(experiment.goniometer.get_rotation_axis())
    wavelength = experiment.beam.get_wavelength()
    s1, turn = _crossings(lines, axis, wavelength)
    error, _, length = excitation(
        lines.setting, lines.hkl, np.broadcast_to(axis, s1.shape), wavelength
    )
    table = flex.reflection_table()
    n = len(lines.hkl)
    table["miller_index"] = cctbx_flex.miller_index(
        [tuple(map(int, h)) for h in lines.hkl]
    )
    for name in ("id", "imageset_id"):
        table[name] = flex.int(n, number)
    table["panel"] = flex.size_t(n, 0)
    _add_intensities(table, lines)
    _add_positions(table, lines.z, s1, experiment)
    across = np.cross(s1, np.array(experiment.beam.get_s0()))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    table["zeta"] = flex.double(across @ axis)
    table["d"] = flex.double(1 / length)
    table["pets.frame"] = flex.int([int(k) for k in lines.number])
    table["pets.excitation_error"] = flex.double(error)
    table["pets.relative_excitation_error"] = flex.double(lines.relative)
    table["pets.scale"] = flex.double(lines.scale)
    if lines.precession is not None:
        table[PRECESSION] = flex.double(lines.precession)
    _, width = experiment.scan.get_oscillation(deg=False)
    table["pets.crossing"] = flex.double(lines.z + turn / width)
    return table


def _add_intensities(table: flex.reflection_table, lines: Lines) -> None:
    n = len(table)
    for kind in ("prf", "sum"):
        table[f"intensity.{kind}.value"] = flex.double(lines.intensity)
        table[f"intensity.{kind}.variance"] = flex.double(lines.sigma**2)
    table["partiality"] = flex.double(n, 1.0)
    table["profile.correlation"] = flex.double(n, 1.0)
    table["background.mean"] = flex.double(n, 0.0)
    for name in ("num_pixels.background", "num_pixels.foreground"):
        table[name] = flex.int(n, 10)
    table["flags"] = flex.size_t(n, 0)
    flags = table.flags
    for flag in (flags.predicted, flags.indexed, flags.integrated):
        table.set_flags(flex.bool(n, True), flag)
    table["partial_id"] = flex.size_t_range(n)


def _add_positions(
    table: flex.reflection_table, z: np.ndarray, s1: np.ndarray, experiment: Experiment
) -> None:
    panel = experiment.detector[0]
    n = len(table)
    origin = np.array(panel.get_origin())
    with np.errstate(all="ignore"):
        at = s1 * (origin[2] / s1[:, 2])[:, None] - origin
    furthest = float(np.abs(at).max())
    if not furthest < LARGEST_POSITION:
        raise ValueError(
            f"Reflections are up to {furthest:g} mm from the beam on a detector at "
            f"{abs(origin[2]):g} mm: indices, orientation matrix and wavelength do not go "
            "together"
        )
    mm = at @ np.array([panel.get_fast_axis(), panel.get_slow_axis()]).T
    px = mm / np.array(panel.get_pixel_size())
    start, width = experiment.scan.get_oscillation(deg=False)
    table["s1"] = flex.vec3_double(np.ascontiguousarray(s1))
    for name, xy, third in (("px", px, z), ("mm", mm, start + width * z)):
        where = np.ascontiguousarray(np.column_stack([xy, third]))
        observed = f"xyzobs.{name}"
        table[f"xyzcal.{name}"] = flex.vec3_double(where)
        table[f"{observed}.value"] = flex.vec3_double(where)
        spread = 0.1 if name == "px" else 1e-4
        table[f"{observed}.variance"] = flex.vec3_double(n, (spread,) * 3)
    low = np.floor(px - HALF_BOX + 0.5).astype(int)
    high = low + int(2 * HALF_BOX)
    image = np.floor(z).astype(int)
    table["bbox"] = flex.int6(
        [
            tuple(map(int, box))
            for box in zip(
                *(low[:, 0], high[:, 0], low[:, 1], high[:, 1], image, image + 1)
            )
        ]
    )
