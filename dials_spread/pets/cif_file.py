"""
Read and check a CIF with frames as PETS2 writes it.

Functions:
    read_pets: all data blocks of one file that have frames
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iotbx.cif.model import block as CifBlock

from dials_spread.structures.cif_files import read_cif

FRAME = "_diffrn_zone_axis_"

CELL = [
    f"_cell_{name}"
    for name in (
        *("length_a", "length_b", "length_c"),
        *("angle_alpha", "angle_beta", "angle_gamma"),
    )
]

UB = [f"_diffrn_orient_matrix_UB_{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3)]

SPACE_GROUP = (
    *("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M"),
    *("_space_group_name_Hall", "_symmetry_space_group_name_Hall"),
)

REASONS = (
    "no whole index, intensity or σ that is a number",
    "index 0 0 0",
    "σ not positive",
    "frame that is not in the list of frames",
)
"""Why a line of the list is left out; it counts under the first that applies."""


@dataclass(frozen=True)
class Frames:
    """
    The n frames in the order of the file.

    Attributes:
        number: Shape (n,), as in the file.
        uvw: Shape (n, 3), zone axes in direct-lattice coordinates, pointing back at the
            source; None where the file has none.
        semi_angle: Shape (n,) [°], half of the tilt range, or the precession angle; NaN
            where the file does not tell.
        alpha: Shape (n,) [°], the tilt.
        beta: Shape (n,) [°].
        omega: Shape (n,) [°], azimuth of the tilt axis.
        scale: Shape (n,), of the intensities; kept, not applied.
    """

    number: np.ndarray
    uvw: np.ndarray | None
    semi_angle: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    omega: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Listed:
    """
    The m reflections of the list that can be used.

    Attributes:
        hkl: Shape (m, 3), int.
        intensity: Shape (m,).
        sigma: Shape (m,), positive.
        frame: Shape (m,), positions in the arrays of Frames.
        dropped: Lines that cannot be used, by reason.
    """

    hkl: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray
    frame: np.ndarray
    dropped: dict[str, int]


@dataclass(frozen=True)
class PetsFile:
    """
    One data block.

    Attributes:
        name: File, and block where there are several.
        wavelength: [Å].
        cell: Shape (6,) [Å, °] as the header says, None where it does not.
        ub: Shape (3, 3) [Å⁻¹].
        space_group: Symbol, None where the file has none, as those of PETS2.
        geometry: How the data were collected by the header: "continuous rotation",
            "precession" and so on; empty where it does not tell.
        frames: The frames.
        listed: The reflections.
        assumed: Sentences on what the file lacks, and what was taken instead.
    """

    name: str
    wavelength: float
    cell: np.ndarray | None
    ub: np.ndarray
    space_group: str | None
    geometry: str
    frames: Frames
    listed: Listed
    assumed: list[str]


def read_pets(filename: str, wavelength: float | None = None) -> list[PetsFile]:
    """
    Read a file.

    Args:
        filename: As PETS2 wrote it.
        wavelength: [Å], instead of that of the file.

    Returns:
        One for each data block with frames.

    Raises:
        ValueError: It is no such file, or lacks what cannot be done without.
    """
    path = Path(filename)
    if not os.path.isfile(path):
        found = "a folder, not a file" if os.path.isdir(path) else "no such file"
        raise ValueError(f"{filename}: {found}")
    if not path.stat().st_size:
        raise ValueError(f"{filename}: the file is empty")
    try:
        blocks = read_cif(path).blocks
    except OSError as error:
        raise ValueError(f"{filename}: {error.strerror or error}") from None
    with_frames = {k: b for k, b in blocks.items() if f"{FRAME}id" in b}
    if not with_frames:
        raise ValueError(
            f"{filename}: no frames ({FRAME}id); give the .cif_pets file that PETS2 "
            "writes for dynamical refinement"
        )
    one = len(with_frames) == 1
    return [
        _read_block(b, filename if one else f"{filename}, data_{k}", wavelength)
        for k, b in with_frames.items()
    ]


def _read_block(block: CifBlock, name: str, wavelength: float | None) -> PetsFile:
    assumed: list[str] = []
    frames = _frames(block, name, assumed)
    groups = [str(block[key]).strip() for key in SPACE_GROUP if key in block]
    cell = _numbers([block.get(key, "?") for key in CELL])
    return PetsFile(
        name=name,
        wavelength=_wavelength(block, name, wavelength),
        cell=cell if np.all(np.isfinite(cell)) else None,
        ub=_matrix(block, name),
        space_group=next((g for g in groups if g not in (".", "?", "")), None),
        geometry=_geometry(block),
        frames=frames,
        listed=_listed(block, name, frames.number),
        assumed=assumed,
    )


def _number(text: str) -> float:
    try:
        return float(re.sub(r"\(\d+\)$", "", text))
    except ValueError:
        return np.nan


def _numbers(values: Sequence[str]) -> np.ndarray:
    return np.array([_number(str(v)) for v in values], dtype=float)


def _column(block: CifBlock, key: str) -> np.ndarray | None:
    if key not in block:
        return None
    values = block[key]
    return _numbers([values] if isinstance(values, str) else list(values))


def _equally_long(columns: dict[str, np.ndarray], name: str) -> None:
    """Refuse columns of different lengths: one is not of the loop of the others."""
    (first, column), *others = columns.items()
    for key, other in others:
        if len(other) != len(column):
            raise ValueError(
                f"{name}: {first} has {len(column)} values and {key} has {len(other)}; "
                "they must be of one loop"
            )


def _wavelength(block: CifBlock, name: str, given: float | None) -> float:
    key = "_diffrn_radiation_wavelength"
    found = _number(str(block.get(key, "?"))) if given is None else given
    if not (np.isfinite(found) and found > 0):
        raise ValueError(
            f"{name}: no wavelength ({key}); give wavelength=0.02508 (200 kV) or what "
            "it was"
        )
    return float(found)


def _matrix(block: CifBlock, name: str) -> np.ndarray:
    ub = _numbers([block.get(key, "?") for key in UB]).reshape(3, 3)
    if not np.all(np.isfinite(ub)):
        raise ValueError(
            f"{name}: no orientation matrix ({UB[0]} to _33); nothing says how the "
            "crystal lay"
        )
    volume = np.linalg.det(ub)
    if volume <= 0:
        raise ValueError(
            f"{name}: the orientation matrix ({UB[0]} to _33) has the determinant "
            f"{volume:.3g} Å⁻³, which no right-handed cell has"
        )
    return ub


def _geometry(block: CifBlock) -> str:
    details = str(block.get("_diffrn_measurement_details", ""))
    found = re.search(r"data collection geometry:\s*([^\r\n;]+)", details)
    return found.group(1).strip() if found else ""


def _frames(block: CifBlock, name: str, assumed: list[str]) -> Frames:
    number = _column(block, f"{FRAME}id")
    assert number is not None  # only blocks with frames are read
    if not np.all(np.isfinite(number)) or len(np.unique(number)) < len(number):
        raise ValueError(f"{name}: {FRAME}id is no number, or one is there twice")
    n = len(number)
    names = ("u", "v", "w", "alpha", "beta", "omega", "scale", "precession_angle")
    own = {f"{FRAME}{k}": _column(block, FRAME + k) for k in ("id", *names)}
    _equally_long({k: c for k, c in own.items() if c is not None}, name)

    def column(key: str, default: float | None, told: str) -> np.ndarray:
        found = _column(block, FRAME + key)
        bad = n if found is None else int((~np.isfinite(found)).sum())
        if found is not None and not bad:
            return found
        if default is None:
            raise ValueError(
                f"{name}: {bad} of {n} frames have no {FRAME}{key}; without it the "
                "crystal cannot be placed"
            )
        assumed.append(f"{bad} of {n} frames have no {FRAME}{key}: {told}")
        values = np.full(n, np.nan) if found is None else found
        return np.where(np.isfinite(values), values, default)

    axes = [a for key in "uvw" if (a := _column(block, FRAME + key)) is not None]
    uvw = None
    if len(axes) == 3:
        uvw = np.stack(axes, axis=1)
        if not (np.all(np.isfinite(uvw)) and np.all(np.abs(uvw).max(axis=1) > 0)):
            raise ValueError(f"{name}: {FRAME}u, _v, _w of a frame are no direction")
    else:
        assumed.append(f"no zone axes ({FRAME}u, _v, _w): α, β and ω alone were used")
    return Frames(
        number=number.astype(int),
        uvw=uvw,
        alpha=column("alpha", None, ""),
        beta=column("beta", 0.0, "0° was taken"),
        omega=column("omega", 0.0, "0° was taken"),
        scale=column("scale", 1.0, "1 was taken"),
        semi_angle=column("precession_angle", np.nan, "half a step was taken"),
    )


def _listed(block: CifBlock, name: str, number: np.ndarray) -> Listed:
    if "_refln_index_m_1" in block:
        raise ValueError(
            f"{name}: satellites of a modulated structure (_refln_index_m_1), which "
            "DIALS cannot hold"
        )
    keys = [f"_refln_{key}" for key in ("index_h", "index_k", "index_l")]
    keys += ["_refln_intensity_meas", "_refln_intensity_sigma", "_refln_zone_axis_id"]
    missing = [key for key in keys if key not in block]
    if missing:
        raise ValueError(f"{name}: the list of reflections lacks {', '.join(missing)}")
    columns = {key: c for key in keys if (c := _column(block, key)) is not None}
    _equally_long(columns, name)
    values = np.stack([*columns.values()], axis=1)
    hkl, intensity, sigma, frame = (
        *(values[:, :3], values[:, 3]),
        *(values[:, 4], values[:, 5]),
    )
    place = {k: i for i, k in enumerate(number)}
    where = np.array([place.get(f, -1) for f in frame], dtype=int)
    with np.errstate(invalid="ignore"):
        tests = (
            ~np.all(np.isfinite(values[:, :5]), axis=1)
            | np.any(hkl != np.round(hkl), axis=1)
            | np.any(np.abs(hkl) > 1000, axis=1),
            np.all(hkl == 0, axis=1),
            ~(sigma > 0),
            where < 0,
        )
    reason = np.select(tests, range(len(tests)), default=-1)
    used = reason < 0
    if not used.any():
        raise ValueError(
            f"{name}: none of {len(values)} reflections can be used; the first: "
            f"{REASONS[reason[0]] if len(reason) else 'the list is empty'}"
        )
    return Listed(
        hkl=hkl[used].astype(int),
        intensity=intensity[used],
        sigma=sigma[used],
        frame=where[used],
        dropped={
            told: int((reason == k).sum())
            for k, told in enumerate(REASONS)
            if (reason == k).any()
        },
    )
