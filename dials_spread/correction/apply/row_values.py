"""
What a correction does to each row of the reflection tables that it was made from.

Rows that are no observation lie next to the rotation axis, where no Lorentz factor holds,
were recorded in part, or lie beyond the resolution limit.

Classes:
    RowValues: factors, errors and offsets, crystal by crystal
    Correction: what they are made of
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from dials.array_family import flex

from dials_spread.correction.apply.subject import Beyond
from dials_spread.correction.apply.table_errors import LARGEST_INFLATION
from dials_spread.observations import Observations, unique_indices
from dials_spread.observations.correction_state import column, intensity_name
from dials_spread.observations.indices import as_array
from dials_spread.observations.intensities import COLUMN
from dials_spread.prepare.geometry import factor_from_zeta
from dials_spread.statistics.groups import group_means

OTHERS = {
    **{"factor": 1.0, "inflation": 1.0},
    **{"uncertainty": 0.0, "common": 0.0, "offset": 0.0, "taken_in": 0.0},
}
"""Values of rows that are no observation: as uncertain as they are corrected, not at all."""


class Correction(Protocol):
    """
    What is to be done to the rows of reflection tables.

    Attributes:
        measured: n observations, made of these tables, with their geometry.
        column: Shape (n,), factors of the intensities in the tables.
        offset: Shape (n,), what is added to the products, as Observations has them.
        uncertainty: Shape (n,), standard deviation of the factors; None where unknown.
        inflation: Shape (n,), of variances beyond the square of the factor; None for 1.
        common: Shape (n,), error shared by a reflection's observations, in units of their
            σ; None where unknown.
        beyond: Observations beyond the resolution limit; None for none.
        taken_in: Shape (n,), bool: outliers of dials.scale that count now; None for none.
    """

    @property
    def measured(self) -> Observations: ...  # noqa: D102
    @property
    def column(self) -> np.ndarray: ...  # noqa: D102
    @property
    def offset(self) -> np.ndarray: ...  # noqa: D102
    @property
    def uncertainty(self) -> np.ndarray | None: ...  # noqa: D102
    @property
    def inflation(self) -> np.ndarray | None: ...  # noqa: D102
    @property
    def common(self) -> np.ndarray | None: ...  # noqa: D102
    @property
    def beyond(self) -> Beyond | None: ...  # noqa: D102
    @property
    def taken_in(self) -> np.ndarray | None: ...  # noqa: D102


class RowValues:
    """
    What a correction does to the rows of each crystal's table.

    Args:
        result: The correction.
        n_crystals: Crystals that it is of, in the numbers of its observations.
    """

    def __init__(self, result: Correction, n_crystals: int) -> None:
        measured, beyond = result.measured, result.beyond
        self.measured, self.beyond = measured, beyond
        self._own = measured.by_crystal(n_crystals)
        self._far = beyond.measured.by_crystal(n_crystals) if beyond else None
        self._number_of = {
            tuple(hkl): k for k, hkl in enumerate(measured.unique_index.tolist())
        }
        self._values = {"factor": result.column}
        offset = result.offset if np.any(result.offset) else None
        taken_in = result.taken_in
        if taken_in is not None and not taken_in.any():
            taken_in = None
        more = {
            "taken_in": taken_in,
            "inflation": result.inflation,
            "uncertainty": result.uncertainty,
            "common": result.common,
            "offset": offset,
        }
        self._values.update({k: v for k, v in more.items() if v is not None})

    @property
    def names(self) -> list[str]:
        """Of what there is to be said of rows, as arguments of apply_factors."""
        return [*self._values]

    def of(self, number: int, table: flex.reflection_table) -> dict[str, np.ndarray]:
        """
        Give the values for one crystal.

        Args:
            number: Of the crystal, as observations have it.
            table: Its n reflections: indices, intensities, and zeta where there is one.

        Returns:
            Shape (n,) each, by name.
        """
        own, n = self._own[number], len(table)
        row = self.measured.row[own]
        found = {}
        for name, values in self._values.items():
            found[name] = np.full(n, OTHERS[name])
            found[name][row] = values[own]
        left = np.ones(n, dtype=bool)
        left[row] = False
        self._add_lorentz(found["factor"], left, table)
        if self.beyond is not None and self._far is not None:
            far = self._far[number]
            row_of_far = self.beyond.measured.row[far]
            found["factor"][row_of_far] = self.beyond.lorentz[far]
            if "inflation" in found:
                found["inflation"][row_of_far] = self.beyond.inflation[far]
            left[row_of_far] = False
        if "inflation" in found and left.any() and len(own):
            self._doubt_others(found["inflation"], found["factor"], own, left, table)
        return found

    def _add_lorentz(
        self, factor: np.ndarray, left: np.ndarray, table: flex.reflection_table
    ) -> None:
        """Where it was missing, rows that are no observation get it, too."""
        if not self.measured.lorentz_applied_here or "zeta" not in table:
            return
        d_star = np.sqrt(self.measured.unit_cell.d_star_sq(table["miller_index"]))
        if self.measured.of_precession:  # which has no slow ones next to an axis
            own = np.sqrt(self.measured.d_star_sq)[self.measured.unique]
            factor[left] = (d_star / np.median(own))[left]
            return
        rate = float(np.median(self.measured.rate))
        found = factor_from_zeta(column(table, "zeta"), d_star, rate)
        factor[left] = found[left]

    def _doubt_others(
        self,
        inflation: np.ndarray,
        factor: np.ndarray,
        own: np.ndarray,
        left: np.ndarray,
        table: flex.reflection_table,
    ) -> None:
        """
        Give rows that are no observation σ as large as the intensity of their reflection.

        Nothing was found for them. Multiplied by a small Lorentz factor with nothing but
        their counting errors they would be wrong, and the best of all rows of the table.
        """
        measured, name = self.measured, COLUMN[self.measured.choice]
        row = measured.row[own]
        value, variance = (
            column(table, intensity_name(name, what)) for what in ("value", "variance")
        )
        corrected = np.abs(value * factor)
        level = np.full(len(table), np.median(corrected[row]))
        mean = group_means(corrected[row], measured.unique[own], measured.n_unique)
        place, number = self._known(table, left)
        known = np.isfinite(mean[number])
        level[place[known]] = mean[number[known]]
        left = left & (variance > 0)
        counted = variance[left] * factor[left] ** 2
        inflation[left] = np.clip(
            1 + level[left] ** 2 / counted, 1.0, LARGEST_INFLATION
        )

    def _known(
        self, table: flex.reflection_table, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give those rows whose unique reflection was observed, and its number."""
        place = np.flatnonzero(rows)
        hkl = as_array(table["miller_index"])[place].astype(int)
        measured = self.measured
        mapped, number = unique_indices(hkl, measured.space_group, measured.friedel)
        known = [self._number_of.get(tuple(h), -1) for h in mapped.tolist()]
        found = np.array(known, dtype=int)[number]
        return place[found >= 0], found[found >= 0]
