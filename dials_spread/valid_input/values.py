"""
What the numbers in a table of reflections can be.

Only rows that could be used are looked at: of an experiment, indexed, and integrated where
any row is. Numbers that are not finite are left out and counted later, as are variances
that are not positive. What is refused here is what no experiment gives, and what no
arithmetic survives.

Functions:
    rows_of_kind: those that have an intensity of a kind
    impossible_values: in the columns of one table
    impossible_geometry: indices, panels and ids that the experiments do not have
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.valid_input.columns import KINDS, ORIGINALS, POSITIONS, PRECESSION

LARGEST_INTENSITY = 1e15
"""More quanta than any detector counts in a reflection, on any scale in use."""

LEAST_SIGMA = 1e-6
"""σ over the intensity, or over the median intensity: 10¹² counts would be needed."""

LEAST_SIGNAL = 1e-6
"""Largest of all intensities over its σ: of nothing but noise it is 1 or more."""

LARGEST_POSITION = 1e6
"""[px], [mm] or [images]."""

LEAST_SPACING = 0.25
"""[Å]; form factors are tabulated to here, and nothing is measured beyond."""

BEYOND_EDGE = 1.1
"""Indices may reach so much further than the corners of the detector."""


@dataclass(frozen=True)
class Range:
    """
    From least to most; `zero` where 0 and less are left out later.

    Attributes:
        least: Smallest number that can be meant.
        most: Largest one.
        why: What a number outside would be.
        zero: Whether numbers that are not positive are dealt with later.
        finite: Whether numbers that are not finite are impossible, too.
    """

    least: float
    most: float
    why: str
    zero: bool = False
    finite: bool = False


_INTENSITY = Range(-LARGEST_INTENSITY, LARGEST_INTENSITY, "no intensity is so large")
_VARIANCE = Range(0, LARGEST_INTENSITY**2, "no variance is so large", zero=True)
_POSITION = Range(-LARGEST_POSITION, LARGEST_POSITION, "beyond any detector or scan")

RANGES: dict[str, Range] = {
    **{f"intensity.{kind}.value": _INTENSITY for kind in KINDS},
    **{f"intensity.{kind}.variance": _VARIANCE for kind in KINDS},
    **{n: _INTENSITY if n.endswith("value") else _VARIANCE for n in ORIGINALS},
    "background.mean": _INTENSITY,
    **{f"ml_correction.offset.{kind}": _INTENSITY for kind in KINDS},
    "ml_correction": Range(0, 1e6, "no correction factor", finite=True),
    "ml_correction.sigma": Range(0, 1e9, "no uncertainty of a correction factor"),
    "inverse_scale_factor": Range(1e-9, 1e9, "no scale factor", zero=True),
    # dials.scale joins the parts of a reflection, and these may add up to more than 1.
    "partiality": Range(-np.inf, 2, "a part of a reflection is at most all of it"),
    "lp": Range(1e-9, 1e3, "no Lorentz-polarisation factor", zero=True),
    "qe": Range(1e-6, 1, "a quantum efficiency is between 0 and 1", zero=True),
    "dqe": Range(1e-6, 1, "a quantum efficiency is between 0 and 1", zero=True),
    PRECESSION: Range(0, 45, "no semi-angle of a precession"),
    "zeta": Range(-1.001, 1.001, "zeta is between -1 and 1"),
    "d": Range(-np.inf, 1e6, "no spacing of lattice planes"),
    "profile.correlation": Range(-1.001, 1.001, "no correlation coefficient"),
    **dict.fromkeys((*POSITIONS, "xyzobs.mm.value", "bbox"), _POSITION),
}
"""By column, of those that are read."""


def usable_rows(table: flex.reflection_table) -> np.ndarray:
    """Say which rows could be used, shape (n,): of an experiment, indexed, integrated."""
    usable = table["id"].as_numpy_array() >= 0
    usable &= ~(table["miller_index"] == (0, 0, 0)).as_numpy_array()
    flags = table.flags
    integrated = table.get_flags(flags.integrated, all=False).as_numpy_array()
    # Old tables set no integration flag at all: then every row counts.
    return usable & integrated if integrated.any() else usable


def rows_of_kind(table: flex.reflection_table, kind: str) -> np.ndarray:
    """
    Say which rows have an intensity of a kind, shape (n,).

    dials.scale writes scaled values of rows that it left out, too: summed ones over a
    partiality of 1e-13 and less, 1e16 and more. Those that it rejected as outliers count.
    Where no row has a flag of the step, as in old tables, every row does.

    Args:
        table: n reflections.
        kind: "prf", "sum" or "scale".
    """
    flags = table.flags
    wanted, step = {
        "scale": (flags.scaled | flags.outlier_in_scaling, flags.scaled),
        "prf": (flags.integrated_prf, flags.integrated),
        "sum": (flags.integrated_sum, flags.integrated),
    }[kind]
    done = table.get_flags(step, all=False)
    if not done.count(True):
        return np.ones(len(table), dtype=bool)
    return table.get_flags(wanted, all=False).as_numpy_array()


def impossible_values(table: flex.reflection_table, filename: str) -> list[str]:
    """
    Say which columns hold numbers that nothing measured can have.

    Args:
        table: n reflections; the columns are of the right types.
        filename: Of it.

    Returns:
        One line for each such column.
    """
    usable = usable_rows(table)
    of_kind = {kind: usable & rows_of_kind(table, kind) for kind in KINDS}
    problems = []
    for name, allowed in RANGES.items():
        if name in table:
            values = _numbers(table, name)
            if _within(values, allowed):
                continue
            with np.errstate(invalid="ignore"):
                bad = (values > allowed.most) | (values < allowed.least)
                if allowed.zero:
                    bad &= values > 0
            known = np.isfinite(values)
            bad = bad | ~known if allowed.finite else bad & known
            own = (
                of_kind[name.split(".")[1]] if name.startswith("intensity.") else usable
            )
            problems += _told(filename, name, values, _rows(bad) & own, allowed.why)
    for kind in KINDS:
        if f"intensity.{kind}.value" in table:
            problems += _too_exact(table, filename, kind, of_kind[kind])
    ids = table["id"].as_numpy_array()
    problems += _told(filename, "id", ids, ids < -1, "-1 stands for no experiment")
    return problems


def _within(values: np.ndarray, allowed: Range) -> bool:
    """Whether all numbers are as they should be, nan apart; this is the usual case."""
    least = -np.inf if allowed.zero else allowed.least
    if allowed.zero and allowed.least > 0:
        return False
    with np.errstate(invalid="ignore"):
        return bool(values.min() >= least and values.max() <= allowed.most)


def _numbers(table: flex.reflection_table, name: str) -> np.ndarray:
    column = table[name]
    if name == "bbox":
        return np.stack([part.as_numpy_array() for part in column.parts()], axis=1)
    return column.as_numpy_array()


def _rows(bad: np.ndarray) -> np.ndarray:
    return bad if bad.ndim == 1 else bad.any(axis=1)


def _told(
    filename: str, name: str, values: np.ndarray, bad: np.ndarray, why: str
) -> list[str]:
    """Give one line about the rows that are bad, if there are any."""
    if not bad.any():
        return []
    first = int(np.argmax(bad))
    value = ", ".join(f"{x:g}" for x in np.atleast_1d(values[first]))
    n = int(np.count_nonzero(bad))
    return [
        f"{filename}: column {name} of {n} row{'s' if n > 1 else ''} (first row {first}: "
        f"{value}): {why}"
    ]


def _too_exact(
    table: flex.reflection_table, filename: str, kind: str, usable: np.ndarray
) -> list[str]:
    """Find σ that no number of counts gives."""
    intensity = np.abs(table[f"intensity.{kind}.value"].as_numpy_array())
    variance = table[f"intensity.{kind}.variance"].as_numpy_array()
    known = usable & (intensity <= LARGEST_INTENSITY)
    known &= np.isfinite(variance) & (variance > 0)
    if not known.any():
        return []
    strongest = float(np.max(intensity[known] / np.sqrt(variance[known])))
    if 0 < strongest < LEAST_SIGNAL:
        return [
            f"{filename}: column intensity.{kind}.value of {np.count_nonzero(known)} rows: "
            f"the largest is {strongest:g} σ, so that intensities and variances are not "
            "in the same units"
        ]
    scale = np.maximum(intensity, np.median(intensity[known]))
    with np.errstate(invalid="ignore", over="ignore"):
        bad = known & (variance < np.square(LEAST_SIGMA * scale))
    why = "so small beside the intensities that no number of counts gives it"
    return _told(filename, f"intensity.{kind}.variance", variance, bad, why)


def largest_d_star(experiment: Experiment) -> float:
    """
    Give how far from the origin of reciprocal space an experiment can reach.

    Args:
        experiment: One with beam and detector.

    Returns:
        [Å⁻¹], to the corners of the detector and some more.
    """
    s0 = np.array(experiment.beam.get_s0())
    k = float(np.linalg.norm(s0))
    corners = []
    for panel in experiment.detector:
        nx, ny = panel.get_image_size()
        corners += [
            panel.get_pixel_lab_coord(c) for c in ((0, 0), (nx, 0), (0, ny), (nx, ny))
        ]
    found = np.array(corners)
    found *= k / np.linalg.norm(found, axis=1, keepdims=True)
    reach = BEYOND_EDGE * float(np.linalg.norm(found - s0, axis=1).max())
    return min(reach, 2 * k, 1 / LEAST_SPACING)


def impossible_geometry(
    table: flex.reflection_table,
    filename: str,
    experiments: Mapping[int, Experiment],
    known: Sequence[int],
) -> list[str]:
    """
    Say which rows are of reflections, panels or experiments that there are not.

    Args:
        table: n reflections.
        filename: Of it.
        experiments: By id; those that were given.
        known: Ids of experiments that the table names, given or not; none in old tables,
            whose further ids are of crystals that were left out.

    Returns:
        One line for each column.
    """
    ids = table["id"].as_numpy_array()
    problems = []
    if known:
        strange = ~np.isin(ids, [-1, *known, *experiments])
        n = len(known)
        why = (
            f"the table names {n} experiment{'s' if n > 1 else ''}, and none of that id"
        )
        problems += _told(filename, "id", ids, strange, why)
    usable = usable_rows(table)
    hkl = table["miller_index"].as_vec3_double().as_numpy_array().reshape(-1, 3)
    panel = table["panel"].as_numpy_array() if "panel" in table else None
    far, off = np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype=bool)
    order = np.argsort(ids, kind="stable")
    ends = np.searchsorted(ids[order], sorted(experiments), side="right")
    begins = np.searchsorted(ids[order], sorted(experiments), side="left")
    d_least = np.inf
    reaches: dict[tuple[int, int], tuple] = {}
    for number, begin, end in zip(sorted(experiments), begins, ends):
        experiment, rows = experiments[number], order[begin:end]
        own = experiment.beam, experiment.detector
        models = id(own[0]), id(own[1])
        if models not in reaches:
            # Kept beside it: the ids of objects that are gone are given away again.
            reaches[models] = largest_d_star(experiment), own
        reach = reaches[models][0]
        basis = np.array(experiment.crystal.get_B()).reshape(3, 3)
        squared = np.sum((hkl[rows] @ basis.T) ** 2, axis=1)
        far[rows] = squared > reach**2
        d_least = min(d_least, 1 / reach)
        if panel is not None:
            off[rows] = panel[rows] >= len(experiment.detector)
    why = f"beyond what the detector can reach (about {d_least:.2f} Å)"
    problems += _told(filename, "miller_index", hkl, far & usable, why)
    if panel is not None:
        problems += _told(
            filename, "panel", panel, off & usable, "the detector has no such panel"
        )
    return problems
