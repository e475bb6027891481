"""
Reflection tables in, arrays out.

Observations hold, for every reflection that counts, one intensity, the crystal, the
image and the unique index, and for every image the direction of the beam in the
crystal. All further work uses them and never looks into a table again.

Terms: an observation is one row of a reflection table, a crystal one experiment, a
dataset one input experiment list, an image a frame of a scan, some consecutive frames
joined to one, or a still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cctbx import miller, sgtbx, uctbx
from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import Experiment, ExperimentList

from dials_spread import orientation
from dials_spread.observations.images import Images, describe_images
from dials_spread.observations.intensities import REASONS, choose_intensity
from dials_spread.observations.one_crystal import Choices, OneCrystal, read_crystal
from dials_spread.observations.passages import number_passages
from dials_spread.versions import probe

OFTEN = 1.2
"""Observations for each passage above which agreement of neighbours says little."""


@dataclass(frozen=True)
class Observations:
    """
    The observations of many crystals on their images.

    Attributes:
        crystal: Shape (n,), number of the experiment.
        row: Shape (n,), row in the table of that crystal's file.
        miller_index: Shape (n, 3), as indexed.
        unique: Shape (n,), number of the unique reflection.
        intensity: Shape (n,).
        variance: Shape (n,), positive.
        entry_image: Shape (m,), increasing: the image of each entry. With images
            assigned by centroid an observation has one entry, by extent one or more.
        entry: Shape (m,), the observation of each entry.
        images: The images that have an observation.
        unique_index: Shape (u, 3), the unique reflections in the asymmetric unit.
        d_spacing: Shape (u,) [Å], from the reference cell.
        unit_cell: The reference cell, the mean over crystals.
        space_group: Of all crystals.
        friedel: Whether Friedel mates count as one unique reflection.
        choice: The intensity in use: "scale", "profile" or "sum".
        radiation: "electrons", "neutrons" or "X-rays".
        dataset: Shape (crystals,), the input experiment list of each crystal.
        dropped: Number of reflections left out, by reason.
        outside_scan: Number of observations with their centroid beyond the scan's
            ends; they count for the first or last image.
    """

    crystal: np.ndarray
    row: np.ndarray
    miller_index: np.ndarray
    unique: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    entry_image: np.ndarray
    entry: np.ndarray
    images: Images
    unique_index: np.ndarray
    d_spacing: np.ndarray
    unit_cell: uctbx.unit_cell
    space_group: sgtbx.space_group
    friedel: bool
    choice: str
    radiation: str
    dataset: np.ndarray
    dropped: dict[str, int]
    outside_scan: int

    def __len__(self) -> int:
        return len(self.intensity)

    @property
    def sigma(self) -> np.ndarray:
        """Shape (n,), standard deviations."""
        return np.sqrt(self.variance)

    @cached_property
    def n_passages(self) -> int:
        """Runs of neighbouring images that list the same index in the same crystal."""
        image = np.empty(len(self), dtype=np.int64)
        image[self.entry[::-1]] = self.entry_image[::-1]
        ends = self.images.first[image], self.images.last[image]
        number = number_passages(self.crystal, self.miller_index, *ends, gap=1)
        return int(number.max(initial=-1)) + 1

    @property
    def often_repeated(self) -> bool:
        """Whether so many are listed again that agreement of neighbours says little."""
        return len(self) > OFTEN * self.n_passages

    @property
    def scaled(self) -> bool:
        """Whether all intensities are on one scale."""
        return self.choice == "scale"

    @property
    def n_crystals(self) -> int:
        """Number of crystals that have an observation."""
        return len(np.unique(self.images.crystal))


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


def _as_flex(miller_index: np.ndarray) -> cctbx_flex.miller_index:
    columns = [cctbx_flex.int(np.ascontiguousarray(c)) for c in miller_index.T]
    return cctbx_flex.miller_index(*columns)


def unique_indices(
    miller_index: np.ndarray, space_group: sgtbx.space_group, friedel: bool
) -> tuple[np.ndarray, np.ndarray]:
    """
    Map indices to the asymmetric unit of reciprocal space.

    Args:
        miller_index: Shape (n, 3), int.
        space_group: Of the crystals.
        friedel: Take Friedel mates as equivalent.

    Returns:
        The unique indices, shape (u, 3), and the number of each observation's among
        them, shape (n,).
    """
    hkl = _as_flex(miller_index)
    miller.map_to_asu(space_group.type(), not friedel, hkl)
    mapped = hkl.as_vec3_double().as_numpy_array().reshape(-1, 3).astype(np.int64)
    span = 2 * int(np.abs(mapped).max(initial=0)) + 1
    keys = ((mapped[:, 0] * span) + mapped[:, 1]) * span + mapped[:, 2]
    _, where, number = np.unique(keys, return_index=True, return_inverse=True)
    return mapped[where].astype(np.int32), number.ravel().astype(np.int32)


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
    parts = [read_crystal(e, t, choice, chosen) for e, t in zip(experiments, tables)]
    dropped = _count_dropped(parts, choice, without_experiment)
    entries = _lay_out_entries(parts)
    cell = reference_cell(experiments)
    space_group = experiments[0].crystal.get_space_group()
    miller_index = np.concatenate([p.miller_index for p in parts])
    unique_index, unique = unique_indices(miller_index, space_group, chosen.friedel)
    return Observations(
        crystal=np.repeat(np.arange(len(parts)), [len(p.row) for p in parts]),
        row=np.concatenate([p.row for p in parts]),
        miller_index=miller_index,
        unique=unique,
        intensity=np.concatenate([p.intensity for p in parts]),
        variance=np.concatenate([p.variance for p in parts]),
        entry_image=entries.image,
        entry=entries.observation,
        images=describe_images(
            experiments,
            entries.crystal_of_image,
            entries.bin_of_image,
            chosen.image_width,
            orientation.reciprocal_basis(cell),
        ),
        unique_index=unique_index,
        d_spacing=cell.d(_as_flex(unique_index)).as_numpy_array(),
        unit_cell=cell,
        space_group=space_group,
        friedel=chosen.friedel,
        choice=choice,
        radiation=probe(experiments[0].beam),
        dataset=np.array([0] * len(parts) if dataset is None else dataset),
        dropped=dropped,
        outside_scan=sum(p.outside for p in parts),
    )


def _count_dropped(
    parts: Sequence[OneCrystal], choice: str, without_experiment: int
) -> dict[str, int]:
    reasons = sum(p.reasons for p in parts)
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


def _lay_out_entries(parts: Sequence[OneCrystal]) -> _Entries:
    """Number the images that have an observation, and sort the entries by image."""
    sizes = np.array([len(p.row) for p in parts])
    crystal = np.repeat(np.arange(len(parts)), sizes)
    offsets = np.cumsum(sizes) - sizes
    entry = np.concatenate([p.entry + o for p, o in zip(parts, offsets)])
    entry_bin = np.concatenate([p.entry_bin for p in parts])
    span = int(entry_bin.max()) + 1
    key, image = np.unique(crystal[entry] * span + entry_bin, return_inverse=True)
    image = image.ravel()
    order = np.argsort(image, kind="stable")
    return _Entries(entry[order], image[order], key // span, key % span)
