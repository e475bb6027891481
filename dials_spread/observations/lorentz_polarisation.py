"""
Whether the column `lp` of a reflection table is the factor that it should be.

DIALS multiplies integrated intensities by `lp`, the Lorentz factor over the polarisation
factor. Other programs write other things under that name: dials.import_xds of DIALS 3.12
the reciprocal, so that the product is wrong by the square of the factor, which looks like
a displacement factor; converters a constant. The column is therefore compared with what the
geometry of the experiment gives.

The factor of a reflection with the wave vector s1 is L/P with
``L = |s1 · (m × s0)| / (|s0| |s1|)``, 1 for stills, and
``P = (1 - 2p) (1 - (n · s1)²/|s1|²) + p (1 + cos² 2θ)`` for X-rays, 1 for electrons, where
m is the rotation axis, n the normal of the plane of polarisation and p the fraction in it
(Kabsch (1988), J. Appl. Cryst. 21, 916; Kahn et al. (1982), J. Appl. Cryst. 15, 330).

Functions:
    factor_of_geometry: what the column should be
    judge_column: what it is
"""

from __future__ import annotations

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations.intensities import (
    centroid_array_index,
    centroid_column,
)
from dials_spread.orientation import on_indices, reciprocal_basis
from dials_spread.versions import is_still, probe

KINDS = (
    *("geometry", "reciprocal", "lorentz", "unpolarised", "other", "unchecked"),
    *("constant", "one", "absent"),
)
"""What a column can be: right, the reciprocal (with polarisation or without), the Lorentz
factor alone, that of an unpolarised beam, something else, without a geometry to go by; one
constant, 1 throughout, not there."""

LACKING = ("constant", "one", "absent")
"""Kinds that are no factor at all."""

SAME = 0.03
"""Largest relative difference, up to one factor, that nine of ten rows may have."""

FEWEST = 10
"""Rows that a column is judged by."""

OFF_SPHERE = 0.05
"""Median distance from the Ewald sphere, times d, beyond which the geometry is no guide."""


def factor_of_geometry(
    experiment: Experiment,
    table: flex.reflection_table,
    polarisation: float | None = None,
) -> np.ndarray:
    """
    Give the Lorentz factor over the polarisation factor.

    Args:
        experiment: Of all reflections in the table.
        table: n reflections with indices and centroids; their `s1` is taken where it fits
            the indices, else the crystal is turned to the centroid.
        polarisation: Fraction in the plane of polarisation instead of that of the beam;
            0.5 is an unpolarised beam, and 0 stands for no such factor.

    Returns:
        Shape (n,); nan where neither tells where the reflection was, or it has no index.
    """
    hkl = table["miller_index"].as_vec3_double().as_numpy_array().reshape(-1, 3)
    d_star = np.linalg.norm(
        hkl @ reciprocal_basis(experiment.crystal.get_unit_cell()).T, axis=1
    )
    for products in (_from_s1, _from_crystal):
        found = products(experiment, table, hkl, d_star)
        if found is not None:
            found = _factor(experiment, found, polarisation)
            return np.where(d_star > 0, found, np.nan)
    return np.full(len(table), np.nan)


def _axes(experiment: Experiment) -> np.ndarray:
    """The vectors whose products with s1 matter: m × s0 (or 0), s0 and n, unit ones."""
    s0 = np.array(experiment.beam.get_s0())
    s0 = s0 / np.linalg.norm(s0)
    across = np.zeros(3)
    if not is_still(experiment):
        across = np.cross(experiment.goniometer.get_rotation_axis(), s0)
    normal = np.array(experiment.beam.get_polarization_normal())
    return np.array([across, s0, normal])


def _from_s1(experiment, table, hkl, d_star) -> np.ndarray | None:
    """By the column s1; None where it is not there or of other reflections."""
    if "s1" not in table:
        return None
    s1 = table["s1"].as_numpy_array().reshape(-1, 3)
    length = np.linalg.norm(s1, axis=1)
    known = (length > 0) & (d_star > 0)
    if not known.any():
        return None
    off = np.linalg.norm(s1 - np.array(experiment.beam.get_s0()), axis=1) - d_star
    if not np.median(np.abs(off[known]) / d_star[known]) < OFF_SPHERE:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return (s1 / length[:, None]) @ _axes(experiment).T


def _from_crystal(experiment, table, hkl, d_star) -> np.ndarray | None:
    """By turning the crystal to the centroid; None where it is not on the sphere then."""
    try:
        centroid_column(table)
    except ValueError:
        return None
    z = centroid_array_index(experiment, table)
    s0 = np.array(experiment.beam.get_s0())
    wave = float(np.linalg.norm(s0))
    axes = _axes(experiment)
    products = np.empty((len(hkl), 3))
    for k, axis in enumerate(axes):
        on = on_indices(experiment, z, np.broadcast_to(axis, (len(hkl), 3)))
        products[:, k] = np.sum(hkl * on, axis=1) / wave + axis @ s0 / wave
    # |s1|²/K² = 1 + 2 (s1 · s0/K² - 1) + d*²/K²: from r = s1 - s0
    length = np.sqrt(np.maximum(2 * products[:, 1] - 1 + (d_star / wave) ** 2, 1e-12))
    known = d_star > 0
    if not known.any():
        return None
    off = np.abs(length - 1) * wave / np.maximum(d_star, 1e-12)
    if not np.median(off[known]) < OFF_SPHERE:
        return None
    return products / length[:, None]


def _factor(
    experiment: Experiment, products: np.ndarray, fraction: float | None
) -> np.ndarray:
    """Give L/P from the products of the unit vector along s1 with `_axes`."""
    lorentz = np.abs(products[:, 0])
    if is_still(experiment):
        lorentz = np.ones(len(products))
    if probe(experiment.beam) != "X-rays" or fraction == 0:
        return lorentz
    p = experiment.beam.get_polarization_fraction() if fraction is None else fraction
    polarisation = (1 - 2 * p) * (1 - products[:, 2] ** 2)
    polarisation += p * (1 + products[:, 1] ** 2)
    with np.errstate(divide="ignore"):
        return lorentz / polarisation


def judge_column(
    experiment: Experiment, table: flex.reflection_table
) -> tuple[str, np.ndarray, float]:
    """
    Say what the column `lp` of one crystal is.

    Args:
        experiment: The crystal.
        table: n reflections.

    Returns:
        One of `KINDS`; the factor of the geometry, shape (n,); and by what factor two
        reflections would be wrong against each other with the column, nan where this
        is not known.
    """
    factor = factor_of_geometry(experiment, table)
    if "lp" not in table:
        return "absent", factor, float("nan")
    lp = table["lp"].as_numpy_array().astype(float)
    counts = np.isfinite(lp) & (lp != 0)  # 0 in rows that were never integrated
    if not counts.any():
        return "constant", factor, float("nan")
    usable = counts & (lp > 0) & np.isfinite(factor) & (factor > 0)
    if np.all(lp[counts] == 1):
        return "one", factor, float("nan")
    constant = bool(np.ptp(lp[counts]) <= 1e-6 * np.abs(lp[counts]).max())
    if usable.sum() < min(FEWEST, counts.sum()) or not usable.any():
        return "constant" if constant else "unchecked", factor, float("nan")
    column, right = np.log(lp[usable]), np.log(factor[usable])
    worst = float(np.exp(np.ptp(column - right)))
    if constant and not _alike(column, right):
        return "constant", factor, worst
    if _alike(column, right):
        return "geometry", factor, worst
    alone = np.log(factor_of_geometry(experiment, table, 0.0)[usable])
    unpolarised = np.log(factor_of_geometry(experiment, table, 0.5)[usable])
    candidates = (
        ("reciprocal", -right), ("reciprocal", -alone), ("lorentz", alone),
        ("unpolarised", unpolarised), ("reciprocal", -unpolarised),
    )  # fmt: skip
    for kind, other in candidates:
        if _alike(column, other):
            return kind, factor, worst
    return "other", factor, worst


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether logarithms are the same but for a constant, some outliers aside."""
    difference = a - b
    off = np.abs(difference - np.median(difference))
    return bool(np.quantile(off, 0.9) < SAME)
