"""
Reflection tables in, observations out.

Functions:
    build_observations: of all crystals, the entry point
    reference_cell: the mean cell
    intensities_before_scaling: what was measured, before scaling
    unscaled_with_lorentz: the same of unscaled data
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cctbx import uctbx
from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import Experiment, ExperimentList

from dials_spread import orientation
from dials_spread.observations.canonical_order import order_of_crystals, order_of_rows
from dials_spread.observations.images import (
    Images,
    describe_images,
    frame_ranges,
    frames_per_image,
    spread_entries,
)
from dials_spread.observations.indices import (
    Absences,
    as_array,
    as_flex,
    unique_indices,
)
from dials_spread.observations.intensities import (
    REASONS,
    applied_corrections,
    choose_intensity,
    find_dropped,
    intensity_and_variance,
)
from dials_spread.observations.table import Observations
from dials_spread.stages import stage
from dials_spread.versions import is_still, probe


@dataclass(frozen=True)
class Choices:
    """
    What a user may choose about observations and images.

    Attributes:
        intensity: "auto", "scale", "profile" or "sum".
        image_width: Width [°] to which consecutive frames are joined; 0 keeps frames.
        assign: "centroid" counts an observation for the image of its calculated
            centroid, "extent" for every image that its bounding box touches.
        friedel: Take Friedel mates as equivalent.
        partiality_cutoff: Lowest partiality kept.
        keep_outliers: Keep what dials.scale rejected as outliers.
        min_zeta: Least |zeta| kept of a crystal that rotates.
    """

    intensity: str = "auto"
    image_width: float = 1.0
    assign: str = "centroid"
    friedel: bool = True
    partiality_cutoff: float = 0.4
    keep_outliers: bool = False
    min_zeta: float = 0.05


@dataclass(frozen=True)
class _OneCrystal:
    """
    What counts of one crystal's reflections.

    Attributes:
        row: Shape (n,), rows of the table.
        miller_index: Shape (n, 3).
        intensity: Shape (n,).
        variance: Shape (n,).
        entry: Shape (m,), the observation of each entry.
        entry_bin: Shape (m,), the image of each entry, counted from 0 in its scan.
        reasons: Reflections left out, by intensities.REASONS.
        outside: Centroids beyond the ends of the scan.
    """

    row: np.ndarray
    miller_index: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    entry: np.ndarray
    entry_bin: np.ndarray
    reasons: np.ndarray
    outside: int


def _read_crystal(
    experiment: Experiment,
    table: flex.reflection_table,
    choice: str,
    chosen: Choices,
    absences: Absences,
) -> _OneCrystal:
    """
    Take what counts out of one crystal's reflections.

    Args:
        experiment: The crystal.
        table: Its reflections.
        choice: The intensity in use.
        chosen: What the user chose.
        absences: The systematic ones.

    Returns:
        What is kept, and what was left out.
    """
    intensity, variance = intensity_and_variance(table, choice)
    reason = find_dropped(
        table,
        choice,
        intensity,
        variance,
        absences,
        chosen.partiality_cutoff,
        chosen.keep_outliers,
        0.0 if is_still(experiment) else chosen.min_zeta,
    )
    kept = np.flatnonzero(reason < 0)
    table = table.select(cctbx_flex.size_t(kept.astype(np.uint64)))
    first, last, outside = frame_ranges(experiment, table, chosen.assign)
    joined = frames_per_image(experiment, chosen.image_width)
    begin = 0 if is_still(experiment) else experiment.scan.get_array_range()[0]
    hkl = as_array(table["miller_index"])
    order = order_of_rows(first, table)
    kept, hkl, first, last = kept[order], hkl[order], first[order], last[order]
    entry, entry_bin = spread_entries(
        (first - begin) // joined, (last - begin) // joined
    )
    return _OneCrystal(
        row=kept,
        miller_index=hkl,
        intensity=intensity[kept],
        variance=variance[kept],
        entry=entry,
        entry_bin=entry_bin,
        reasons=np.bincount(reason[reason >= 0], minlength=len(REASONS)),
        outside=outside,
    )


def reference_cell(experiments: Sequence[Experiment]) -> uctbx.unit_cell:
    """
    Give the mean cell of all crystals, made to obey the symmetry.

    Args:
        experiments: At least one, all of one space group.

    Returns:
        The cell whose parameters are the arithmetic means.
    """
    parameters = [e.crystal.get_unit_cell().parameters() for e in experiments]
    mean = uctbx.unit_cell(tuple(np.mean(parameters, axis=0)))
    return experiments[0].crystal.get_space_group().average_unit_cell(mean)


@stage("Observations")
def build_observations(
    experiments: ExperimentList,
    tables: Sequence[flex.reflection_table],
    dataset: Sequence[int] | None = None,
    without_experiment: int = 0,
    **choices,
) -> Observations:
    """
    Turn experiments and their reflections into observations on images.

    Args:
        experiments: One a crystal, of one space group and similar cells.
        tables: The reflections of each experiment, in the same order.
        dataset: The number of each experiment's input list; all 0 by default.
        without_experiment: Reflections whose experiment was not given, to be counted.
        choices: Attributes of Choices.

    Returns:
        The observations.

    Raises:
        ValueError: No intensity serves all tables, or no reflection is left.
    """
    chosen = Choices(**choices)
    choice = choose_intensity(tables, chosen.intensity)
    group = experiments[0].crystal.get_space_group()
    absences = Absences(group, sum(map(len, tables)))
    parts = [
        _read_crystal(e, t, choice, chosen, absences)
        for e, t in zip(experiments, tables)
    ]
    dropped = _count_dropped(parts, choice, without_experiment)
    columns = _columns(parts)
    entries = _lay_out_entries(parts, columns["crystal"])
    cell = reference_cell(experiments)
    unique_index, unique = unique_indices(
        columns["miller_index"], group, chosen.friedel
    )
    return Observations(
        crystal=columns["crystal"],
        row=columns["row"],
        miller_index=columns["miller_index"],
        intensity=columns["intensity"],
        variance=columns["variance"],
        unique=unique,
        entry_image=entries.image,
        entry=entries.observation,
        images=_images(experiments, entries, chosen.image_width, cell),
        unique_index=unique_index,
        d_spacing=cell.d(as_flex(unique_index)).as_numpy_array(),
        unit_cell=cell,
        space_group=group,
        friedel=chosen.friedel,
        choice=choice,
        corrections=applied_corrections(tables, choice),
        radiation=probe(experiments[0].beam),
        dataset=np.array([0] * len(parts) if dataset is None else dataset),
        dropped=dropped,
        outside_scan=sum(p.outside for p in parts),
    )


def _columns(parts: list[_OneCrystal]) -> dict[str, np.ndarray]:
    """Put crystals in their order, and join what they have."""
    order = order_of_crystals([p.intensity for p in parts])
    parts[:] = [parts[k] for k in order]
    columns = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("row", "miller_index", "intensity", "variance")
    }
    return {"crystal": np.repeat(order, [len(p.row) for p in parts]), **columns}


def _count_dropped(
    parts: Sequence[_OneCrystal], choice: str, without_experiment: int
) -> dict[str, int]:
    reasons = np.sum([p.reasons for p in parts], axis=0)
    reasons[REASONS.index("no experiment")] += without_experiment
    dropped = {r: int(n) for r, n in zip(REASONS, reasons) if n}
    if not any(len(p.row) for p in parts):
        told = ", ".join(f"{r}: {n}" for r, n in dropped.items()) or "empty tables"
        raise ValueError(f"No reflection is left with intensity={choice} ({told})")
    return dropped


@dataclass(frozen=True)
class _Entries:
    observation: np.ndarray
    image: np.ndarray
    crystal_of_image: np.ndarray
    bin_of_image: np.ndarray


def _images(experiments, entries: _Entries, width: float, cell) -> Images:
    return describe_images(
        experiments,
        entries.crystal_of_image,
        entries.bin_of_image,
        width,
        orientation.reciprocal_basis(cell),
    )


def _lay_out_entries(parts: Sequence[_OneCrystal], crystal: np.ndarray) -> _Entries:
    """Number the images that have an observation, and sort the entries by image."""
    sizes = np.array([len(p.row) for p in parts])
    offsets = np.cumsum(sizes) - sizes
    entry = np.concatenate([p.entry + o for p, o in zip(parts, offsets)])
    entry_bin = np.concatenate([p.entry_bin for p in parts])
    span = int(entry_bin.max()) + 1
    key, image = np.unique(crystal[entry] * span + entry_bin, return_inverse=True)
    image = image.ravel()
    order = np.argsort(image, kind="stable")
    return _Entries(entry[order], image[order], key // span, key % span)


class Integrated(NamedTuple):
    """
    Intensities before scaling, with the Lorentz factor; each of shape (n,).

    Attributes:
        intensity: nan where a reflection was not integrated in that way.
        variance: Likewise.
        scale: By which they differ from those of Observations, noise apart.
    """

    intensity: np.ndarray
    variance: np.ndarray
    scale: np.ndarray


def unscaled_with_lorentz(
    observations: Observations, lorentz: np.ndarray
) -> Integrated:
    """
    Give the intensities of observations that have not been scaled.

    Args:
        observations: n of them.
        lorentz: Shape (n,), the Lorentz factor where it is missing in the tables.
    """
    return Integrated(
        observations.intensity * lorentz, observations.variance * lorentz**2, lorentz
    )


def intensities_before_scaling(
    observations: Observations,
    tables: Sequence[flex.reflection_table],
    lorentz: np.ndarray,
) -> Integrated | None:
    """
    Give the intensities of the same observations before they were scaled.

    Args:
        observations: n of them.
        tables: The reflections of each crystal.
        lorentz: Shape (n,), the Lorentz factor where it is missing in the tables.

    Returns:
        The intensities; None where the tables have neither profile-fitted nor summed
        ones.
    """
    if not observations.scaled:
        return unscaled_with_lorentz(observations, lorentz)
    for kind in ("profile", "sum"):
        try:
            choose_intensity(tables, kind)
        except ValueError:
            continue
        found = np.full((3, len(observations)), np.nan)
        for own, table in zip(observations.by_crystal(len(tables)), tables):
            rows = observations.row[own]
            value, variance = intensity_and_variance(table, kind)
            scale = table["inverse_scale_factor"].as_numpy_array()
            found[:, own] = value[rows], variance[rows], scale[rows]
        found[:, ~(found[1] > 0)] = np.nan
        return Integrated(found[0] * lorentz, found[1] * lorentz**2, found[2] * lorentz)
    return None
