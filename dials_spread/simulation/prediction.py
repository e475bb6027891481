"""Reflections that a virtual experiment records, with the columns of integrated data."""

from __future__ import annotations

import logging

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import Experiment, ExperimentList

from dials_spread.simulation.geometry import SPOT_N_SIGMA, SPOT_SIGMA

_DIALS = logging.getLogger("dials.algorithms.spot_prediction.reflection_predictor")

# DIALS integrates nothing nearer to the rotation axis (profile.gaussian_rs.min_zeta).
MIN_ZETA = 0.05

# Fraction of a reflection within the scan below which it is left out, the default
# min_partiality of dials.scale in DIALS 3.30.
MIN_PARTIALITY = 0.25


def predict(experiments: ExperimentList, d_min: float) -> flex.reflection_table:
    """
    Predict all reflections of all experiments, by the predictor of DIALS.

    Args:
        experiments: Experiments with a goniometer, a scan and a profile model.
        d_min: Resolution limit [Å].

    Returns:
        One row for each crossing of the Ewald sphere by a reflection, with
        identifiers, geometry columns, `lp`, `partiality` and mask sizes.

    Raises:
        ValueError: No reflection at all is predicted.
    """
    tables = [
        predict_crystal(experiment, index, d_min)
        for index, experiment in enumerate(experiments)
    ]
    tables = [table for table in tables if len(table)]
    if not tables:
        raise ValueError(f"No reflection to {d_min} Å crosses the Ewald sphere.")
    reflections = tables[0]
    for table in tables[1:]:
        reflections.extend(table)
    for index, experiment in enumerate(experiments):
        reflections.experiment_identifiers()[index] = experiment.identifier
    reflections["partial_id"] = flex.size_t_range(len(reflections))
    return reflections


def predict_crystal(
    experiment: Experiment, index: int, d_min: float
) -> flex.reflection_table:
    """
    Predict the reflections of one crystal, as `predict` does.

    Args:
        experiment: With goniometer, scan and profile model.
        index: Its number in the list, for the columns id and imageset_id.
        d_min: Resolution limit [Å].

    Returns:
        A table without identifiers, perhaps empty.
    """
    # Two lines a crystal, which nobody needs of a thousand.
    _DIALS.disabled = True
    try:
        table = flex.reflection_table.from_predictions(experiment, dmin=d_min)
    finally:
        _DIALS.disabled = False
    table = table.select(flex.abs(table.compute_zeta(experiment)) >= MIN_ZETA)
    # For scans up to 50 images the index generator of 3.12 goes beyond the limit.
    table["d"] = experiment.crystal.get_unit_cell().d(table["miller_index"])
    table = table.select(table["d"] >= d_min)
    if not len(table):  # the calculations below refuse empty tables
        return table
    own = ExperimentList([experiment])
    table["id"] = flex.int(len(table), 0)
    table.compute_bbox(own)
    table.compute_partiality(own)
    table = table.select(table["partiality"] >= MIN_PARTIALITY)
    table["id"] = flex.int(len(table), index)
    table["imageset_id"] = flex.int(len(table), index)
    table["lp"] = flex.double(
        lorentz_factor(
            table["s1"].as_numpy_array(),
            np.array(experiment.beam.get_s0()),
            np.array(experiment.goniometer.get_rotation_axis()),
        )
    )
    _add_mask_sizes(table)
    return table


def lorentz_factor(s1: np.ndarray, s0: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """
    The factor that turns an integrated rotation intensity into |F|² times a constant.

    The same as the `lp` of DIALS, |s1·(m2 × s0)| / (|s1||s0|), without polarisation,
    which electrons do not have. It is λ|ds/dφ|, s being the excitation error.

    Args:
        s1: Diffracted wave vectors [1/Å], of shape (n, 3).
        s0: Incident wave vector [1/Å], of shape (3,).
        axis: Unit vector along the rotation axis, of shape (3,).

    Returns:
        Factors of shape (n,).
    """
    norms = np.linalg.norm(s1, axis=1) * np.linalg.norm(s0)
    return np.abs(s1 @ np.cross(axis, s0)) / norms


def _add_mask_sizes(table: flex.reflection_table) -> None:
    """Count the pixels that integration would have used, from the bounding boxes."""
    x0, x1, y0, y1, z0, z1 = (p.as_numpy_array() for p in table["bbox"].parts())
    n_pixels = (x1 - x0) * (y1 - y0) * (z1 - z0)
    spot_area = np.pi * (SPOT_N_SIGMA * SPOT_SIGMA) ** 2
    foreground = np.minimum(np.ceil(spot_area * (z1 - z0)), n_pixels)
    for name, count in (
        ("num_pixels.valid", n_pixels),
        ("num_pixels.foreground", foreground),
        ("num_pixels.background", n_pixels - foreground),
        ("num_pixels.background_used", n_pixels - foreground),
    ):
        table[name] = flex.int(np.ascontiguousarray(count, dtype=np.int32))
