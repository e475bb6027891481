"""
The table of observations that all stages hand on.

It carries the index, the unique index, crystal, image, intensity and variance of every
observation, and the geometry once that is known. It is never changed: its verbs give
new tables, so that they can be chained, and a stage adds columns where another class
would copy them.

Terms: an observation is one row of a reflection table, a crystal one experiment, a
dataset one input experiment list, an image a frame of a scan, some consecutive frames
joined to one, or a still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cctbx import sgtbx, uctbx

from dials_spread.observations.crossings import first_listings, number_crossings
from dials_spread.observations.images import Images
from dials_spread.observations.indices import as_flex as as_flex
from dials_spread.observations.indices import unique_indices as unique_indices
from dials_spread.orientation import reciprocal_basis
from dials_spread.statistics.groups import group_means

OFTEN = 1.2
"""Observations for each crossing above which agreement of neighbours says little."""

WITHOUT_INTENSITY = ("d_star_sq", "epsilon", "centric", "n_passages", "_crossings")
"""What is worked out once, and does not depend on intensities."""

LARGEST_GAP = 2.0
"""Listings of one index in one crystal no further apart are of one crossing [°]."""


@dataclass(frozen=True)
class Geometry:
    """
    How n observations were excited, in the frame of the reference crystal.

    Attributes:
        beam: Shape (n, 3), unit vectors along the beam when the reflection is excited.
        rate: Shape (n,) [Å⁻¹/rad], |(axis × r) · k̂|: how fast the excitation error
            changes with the rotation; nan for a still.
        angle: Shape (n,) [°], of the scan; 0 for a still.
        excitation: Shape (n,) [Å⁻¹], the excitation error at the recorded moment.
        wavelength: [Å], the mean over crystals.
    """

    beam: np.ndarray
    rate: np.ndarray
    angle: np.ndarray
    excitation: np.ndarray
    wavelength: float

    def select(self, kept: np.ndarray) -> Geometry:
        """Give that of some of the observations: bool of shape (n,), or numbers."""
        return replace(
            self,
            beam=self.beam[kept],
            rate=self.rate[kept],
            angle=self.angle[kept],
            excitation=self.excitation[kept],
        )

    def means(self, group: np.ndarray, n_groups: int) -> Geometry:
        """
        Average over groups of observations.

        Args:
            group: Shape (n,), the group of each.
            n_groups: How many there are, none of them empty.
        """
        beam = np.stack([group_means(c, group, n_groups) for c in self.beam.T], axis=1)
        return replace(
            self,
            beam=beam / np.linalg.norm(beam, axis=1)[:, None],
            rate=group_means(self.rate, group, n_groups),
            angle=group_means(self.angle, group, n_groups),
            excitation=group_means(self.excitation, group, n_groups),
        )


@dataclass(frozen=True)
class Observations:
    """
    The observations of many crystals on their images.

    Attributes:
        crystal: Shape (n,), number of the experiment; for the order see canonical_order.
        row: Shape (n,), row in the table of that crystal's file.
        miller_index: Shape (n, 3), as indexed.
        unique: Shape (n,), number of the unique reflection.
        intensity: Shape (n,).
        variance: Shape (n,), positive.
        entry_image: Shape (m,), increasing: the image of each entry. With images
            assigned by centroid an observation has one entry, by extent one or more.
        entry: Shape (m,), the observation of each entry.
        images: The images that had an observation when the tables were read.
        unique_index: Shape (u, 3), the unique reflections in the asymmetric unit.
        d_spacing: Shape (u,) [Å], from the reference cell.
        unit_cell: The reference cell, the mean over crystals.
        space_group: Of all crystals.
        friedel: Whether Friedel mates count as one unique reflection.
        choice: The intensity in use: "scale", "profile" or "sum".
        radiation: "electrons", "neutrons" or "X-rays".
        dataset: Shape (experiments,), the input experiment list of each crystal, of
            those without observations, too.
        dropped: Number of reflections left out, by reason.
        outside_scan: Centroids beyond the scan's ends, put on its first or last image.
        geometry: How each was excited; None until prepare.geometry has added it.
        lorentz_applied_here: Whether the Lorentz factor was missing in the tables and
            has been multiplied in.
        of_precession: Whether that was the factor of precession, not of rotation.
        corrections: Of lp, qe, partiality, what was applied on reading all tables.
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
    geometry: Geometry | None = None
    lorentz_applied_here: bool = False
    of_precession: bool = False
    corrections: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.intensity)

    @property
    def sigma(self) -> np.ndarray:
        """Shape (n,), standard deviations."""
        return np.sqrt(self.variance)

    @property
    def scaled(self) -> bool:
        """Whether all intensities are on one scale."""
        return self.choice == "scale"

    @property
    def n_crystals(self) -> int:
        """Number of crystals that have an observation."""
        return len(np.unique(self.images.crystal))

    @property
    def n_experiments(self) -> int:
        """Number of crystals, those without observations included."""
        return len(self.dataset)

    @property
    def n_unique(self) -> int:
        """Number of unique reflections."""
        return len(self.unique_index)

    @cached_property
    def d_star_sq(self) -> np.ndarray:
        """Shape (u,), 1/d² [Å⁻²]."""
        vectors = self.unique_index @ reciprocal_basis(self.unit_cell).T
        return np.sum(vectors**2, axis=1)

    @cached_property
    def epsilon(self) -> np.ndarray:
        """Shape (u,), factor of the mean intensity from symmetry."""
        epsilon = self.space_group.epsilon
        return np.array([epsilon(hkl) for hkl in self._indices()], dtype=float)

    @cached_property
    def centric(self) -> np.ndarray:
        """Shape (u,), bool: phases are restricted by symmetry."""
        is_centric = self.space_group.is_centric
        return np.array([is_centric(hkl) for hkl in self._indices()], dtype=bool)

    def _indices(self) -> list[tuple[int, ...]]:
        return [tuple(int(x) for x in hkl) for hkl in self.unique_index]

    def _known_geometry(self) -> Geometry:
        if self.geometry is None:
            raise ValueError(
                f"The geometry of these observations ({len(self)}) is not known; "
                "prepare.geometry.add_geometry gives it"
            )
        return self.geometry

    @property
    def beam(self) -> np.ndarray:
        """Shape (n, 3), see Geometry; ValueError where there is none yet."""
        return self._known_geometry().beam

    @property
    def rate(self) -> np.ndarray:
        """Shape (n,) [Å⁻¹/rad], likewise."""
        return self._known_geometry().rate

    @property
    def angle(self) -> np.ndarray:
        """Shape (n,) [°], likewise."""
        return self._known_geometry().angle

    @property
    def excitation(self) -> np.ndarray:
        """Shape (n,) [Å⁻¹], likewise."""
        return self._known_geometry().excitation

    @property
    def wavelength(self) -> float:
        """[Å], likewise."""
        return self._known_geometry().wavelength

    @cached_property
    def n_passages(self) -> int:
        """Number of crossings of the Ewald sphere: "Independent observations"."""
        return int(self.crossings().max(initial=-1)) + 1

    @property
    def often_repeated(self) -> bool:
        """Whether so many are listed again that agreement of neighbours says little."""
        return len(self) > OFTEN * self.n_passages

    def within(self, d_min: float) -> np.ndarray:
        """Say which observations are of reflections with d ≥ d_min [Å], shape (n,)."""
        return (self.d_star_sq <= (1 + 1e-9) / d_min**2)[self.unique]

    def select(self, kept: np.ndarray) -> Observations:
        """
        Give some of the observations, and the unique reflections that they are of.

        Args:
            kept: Shape (n,), bool, or numbers of observations in any order.
        """
        kept = np.asarray(kept)
        rows = np.flatnonzero(kept) if kept.dtype == bool else kept
        reflections, unique = np.unique(self.unique[rows], return_inverse=True)
        # Entries of each observation, one list after the other.
        by_observation = np.argsort(self.entry, kind="stable")
        count = np.bincount(self.entry, minlength=len(self))
        start = np.cumsum(count) - count
        entry = np.repeat(np.arange(len(rows)), count[rows])
        within = np.arange(len(entry)) - np.repeat(
            np.cumsum(count[rows]) - count[rows], count[rows]
        )
        image = self.entry_image[by_observation[start[rows][entry] + within]]
        order = np.argsort(image, kind="stable")
        return replace(
            self,
            crystal=self.crystal[rows],
            row=self.row[rows],
            miller_index=self.miller_index[rows],
            unique=np.ravel(unique).astype(np.int32),
            intensity=self.intensity[rows],
            variance=self.variance[rows],
            entry_image=image[order],
            entry=entry[order],
            unique_index=self.unique_index[reflections],
            d_spacing=self.d_spacing[reflections],
            geometry=self.geometry and self.geometry.select(rows),
        )

    def with_intensity(self, intensity: np.ndarray, sigma: np.ndarray) -> Observations:
        """
        Give the same observations with other intensities.

        Args:
            intensity: Shape (n,).
            sigma: Shape (n,), positive.
        """
        found = replace(self, intensity=intensity, variance=sigma**2)
        # What was worked out of the rest stays as it is.
        known = {k: v for k, v in self.__dict__.items() if k in WITHOUT_INTENSITY}
        found.__dict__.update(known)
        return found

    def multiplied(self, factor: np.ndarray) -> Observations:
        """Multiply intensities and their σ by a positive factor, shape (n,)."""
        return self.with_intensity(self.intensity * factor, self.sigma * factor)

    def divided(self, scale: np.ndarray) -> Observations:
        """Divide intensities and their σ by a positive scale, shape (n,)."""
        return self.with_intensity(self.intensity / scale, self.sigma / scale)

    def with_geometry(self, geometry: Geometry) -> Observations:
        """Give the same observations with columns of how each was excited."""
        return replace(self, geometry=geometry)

    def with_beam(self, beam: np.ndarray) -> Observations:
        """Give the same with other beam directions, shape (n, 3), for a control."""
        return self.with_geometry(replace(self._known_geometry(), beam=beam))

    @property
    def first_image(self) -> np.ndarray:
        """Shape (n,), the image of each observation, the first of several."""
        image = np.full(len(self), -1, dtype=np.int64)
        image[self.entry[::-1]] = self.entry_image[::-1]
        return image

    def crossings(self) -> np.ndarray:
        """
        Number the crossings of the Ewald sphere.

        By angle where the geometry is known, else by runs of neighbouring images.

        Returns:
            Shape (n,), the crossing of each observation, in the order in which they
            first appear.
        """
        return self._crossings

    @cached_property
    def _crossings(self) -> np.ndarray:
        if self.geometry is not None:
            ends = (self.angle, self.angle, LARGEST_GAP)
        else:
            image = self.first_image
            ends = (self.images.first[image], self.images.last[image], 1.0)
        return number_crossings(self.crystal, self.miller_index, *ends)

    def without_repeats(self) -> tuple[Observations, np.ndarray]:
        """
        Make one observation of all listings of a crossing of the Ewald sphere.

        Converted virtual frames overlap, and list a reflection on each of several
        neighbours. That is one measurement at one orientation: what multiple scattering
        does to it is the same each time, and counted apart such listings would pass for
        equivalents that agree.

        Returns:
            One observation a crossing, with the mean intensity, the mean σ (overlapping
            frames share what they counted), and the mean direction and angle; and the
            crossing of each of the n, shape (n,).
        """
        crossing = self.crossings()
        n = int(crossing.max(initial=-1)) + 1
        if n == len(crossing):
            return self, crossing
        first = first_listings(crossing)
        pairs = np.stack([self.entry_image, crossing[self.entry]], axis=1)
        image, entry = np.unique(pairs, axis=0).T
        joined = replace(
            self,
            crystal=self.crystal[first],
            row=self.row[first],
            miller_index=self.miller_index[first],
            unique=self.unique[first],
            entry_image=image,
            entry=entry,
            geometry=self._known_geometry().means(crossing, n),
        )
        means = (group_means(x, crossing, n) for x in (self.intensity, self.sigma))
        return joined.with_intensity(*means), crossing

    def merged(
        self, values: np.ndarray | None = None, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """
        Average over the observations of each unique reflection.

        Args:
            values: Shape (n,); intensities by default.
            weights: Shape (n,); equal by default.

        Returns:
            Shape (u,); nan where a reflection weighs nothing.
        """
        values = self.intensity if values is None else values
        return group_means(values, self.unique, self.n_unique, weights)

    def in_rows(
        self, values: np.ndarray, lengths: Sequence[int], other: float = 1.0
    ) -> list[np.ndarray]:
        """
        Give each row of each crystal's reflection table the value of its observation.

        Args:
            values: Shape (n,).
            lengths: Number of rows of the table of each crystal.
            other: Value of rows that are no observation.

        Returns:
            One array a crystal.
        """
        result = [np.full(length, float(other)) for length in lengths]
        for array, own in zip(result, self.by_crystal(len(result))):
            array[self.row[own]] = values[own]
        return result

    def by_crystal(self, n_crystals: int) -> list[np.ndarray]:
        """
        Give the observations of each crystal.

        Args:
            n_crystals: Number of crystals in the numbering.

        Returns:
            Numbers of observations, rising; one array a crystal.
        """
        order = np.argsort(self.crystal, kind="stable")
        ends = np.searchsorted(self.crystal[order], np.arange(n_crystals + 1))
        return [order[first:stop] for first, stop in zip(ends[:-1], ends[1:])]
