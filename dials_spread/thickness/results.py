"""What a simulation at measured experiments found, crystal by crystal and in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from dials_spread.rfactor import RFactors, r_factors
from dials_spread.rfactor.r1 import finite_or_none
from dials_spread.spread.sources.explained import ExplainedSpread
from dials_spread.thickness.curves import Shape
from dials_spread.thickness.fit import ShapeFit
from dials_spread.thickness.settings import StructureSetting


@dataclass(frozen=True)
class CrystalSimulation:
    """
    One crystal.

    Attributes:
        number: Of the experiment.
        shape: As fitted, given, or taken from the other crystals.
        fit: None where the thickness was not fitted.
        origin: "fitted", "given" or "median of the other crystals".
        r1: Of the observations with multiple scattering.
        r1_kinematic: Of the same with single scattering.
        r1_other_hand: With the structure inverted, at the same shape; nan for a
            centrosymmetric one, or where it was not looked for.
        n: Number of observations compared.
        kinematic: Shape (rows,), |F|² [Å²] of every row of the table; 0 where unknown.
        kinematic_variance: Shape (rows,), 0; -1 where unknown.
        dynamical: Shape (rows,), |F|² that would give the dynamical intensity [Å²].
        dynamical_variance: Shape (rows,), from the uncertainty of the shape; -1 where
            unknown.
        path: Shape (rows,), mean path through the crystal [Å]; 0 where unknown.
        lorentz: Shape (rows,), the factor that the intensities lacked; 1 where none.
    """

    number: int
    shape: Shape
    fit: ShapeFit | None
    origin: str
    r1: float
    r1_kinematic: float
    r1_other_hand: float
    n: int
    kinematic: np.ndarray
    kinematic_variance: np.ndarray
    dynamical: np.ndarray
    dynamical_variance: np.ndarray
    path: np.ndarray
    lorentz: np.ndarray

    def as_dict(self) -> dict:
        """For JSON; what is not known becomes None."""
        numbers = {
            "thickness": self.shape.thickness,
            "thickness_su": np.nan,
            "within": self.shape.within,
            "slab_angle": np.nan,
            "r1": self.r1,
            "r1_kinematic": self.r1_kinematic,
            "r1_other_hand": self.r1_other_hand,
            "r1_held_out": np.nan,
            "r1_held_out_kinematic": np.nan,
        }
        if self.shape.slab_angle is not None:
            numbers["slab_angle"] = np.degrees(self.shape.slab_angle)
        document = {"crystal": self.number, "origin": self.origin}
        document.update(law=self.shape.law, observations=self.n)
        if self.fit is not None:
            numbers["thickness_su"] = self.fit.su
            numbers["r1_held_out"] = self.fit.held_out
            numbers["r1_held_out_kinematic"] = self.fit.held_out_kinematic
            document["unique"] = self.fit.n_unique
            document["held_out_by_law"] = self.fit.held_out_by_law
            document["curve"] = {
                "thickness": np.round(self.fit.thicknesses, 1).tolist(),
                "r1": np.round(self.fit.curve, 5).tolist(),
            }
        document.update(zip(numbers, finite_or_none([*numbers.values()])))
        return document


@dataclass(frozen=True)
class MeasuredAndSimulated:
    """
    Observations beside their simulation; arrays of length n.

    Attributes:
        crystal: Number of the crystal.
        unique: Number of the unique reflection.
        miller_index: Shape (n, 3), of the data.
        d_spacing: [Å].
        intensity: With the Lorentz factor, on the scale of the simulation: multiplied
            by the factor of the crystal that minimises R1.
        sigma: Likewise.
        dynamical: [Å²].
        kinematic: [Å²].
    """

    crystal: np.ndarray
    unique: np.ndarray
    miller_index: np.ndarray
    d_spacing: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray
    dynamical: np.ndarray
    kinematic: np.ndarray

    def __len__(self) -> int:
        return len(self.intensity)

    @classmethod
    def joined(cls, parts: Sequence[MeasuredAndSimulated]) -> MeasuredAndSimulated:
        """Those of all crystals, one behind the other."""
        names = [field.name for field in fields(cls)]
        return cls(
            **{
                name: np.concatenate([getattr(p, name) for p in parts])
                for name in names
            }
        )

    def r_factors(self, calculated: np.ndarray) -> RFactors:
        """R1 of all observations with √calculated, one scale for each crystal."""
        n_crystals = int(self.crystal.max(initial=-1)) + 1
        return r_factors(
            self.intensity, self.sigma, np.sqrt(calculated), self.crystal, n_crystals
        )

    def pooled(self, calculated: np.ndarray) -> float:
        """R1 of all observations together, each crystal on its own scale."""
        found = self.r_factors(calculated)
        weight = np.bincount(self.crystal, np.sqrt(calculated), minlength=len(found.r1))
        known = np.isfinite(found.r1)
        return (
            float(np.average(found.r1[known], weights=weight[known]))
            if known.any()
            else float("nan")
        )

    def merged(self, calculated: np.ndarray) -> float:
        """R1 of the merged intensities with the merged calculated ones, one scale."""
        number = np.unique(self.unique, return_inverse=True)[1].ravel()
        n = np.maximum(np.bincount(number), 1)
        means = [np.bincount(number, x) / n for x in (self.intensity, calculated)]
        one = np.zeros(len(n), dtype=int)
        if not len(n):
            return float("nan")
        return float(
            r_factors(means[0], np.ones(len(n)), np.sqrt(means[1]), one, 1).r1[0]
        )


@dataclass(frozen=True)
class MeasuredSimulation:
    """
    The simulation of multiple scattering at measured experiments.

    Attributes:
        crystals: One for each experiment, in their order.
        settings: How the structure could be laid on the data.
        chosen: Number of the setting in use.
        comparison: Observations beside their simulation.
        explained: How much of their spread the simulation explains.
        lorentz_applied_here: Whether the intensities lacked the Lorentz factor.
        intensity: Which intensities were compared.
        n_rows: Rows of all tables.
        n_simulated: Rows that have a dynamical intensity.
    """

    crystals: list[CrystalSimulation]
    settings: list[StructureSetting]
    chosen: int
    comparison: MeasuredAndSimulated
    explained: ExplainedSpread
    lorentz_applied_here: bool
    intensity: str
    n_rows: int
    n_simulated: int

    def as_dict(self) -> dict:
        """For JSON."""
        c = self.comparison
        return {
            "rows": self.n_rows,
            "simulated": self.n_simulated,
            "intensity": self.intensity,
            "lorentz_applied_here": self.lorentz_applied_here,
            "settings": [s.as_dict() for s in self.settings],
            "setting": self.settings[self.chosen].choice.symbol,
            "r1": {
                name: {
                    "observations": finite_or_none([c.pooled(values)])[0],
                    "merged": finite_or_none([c.merged(values)])[0],
                }
                for name, values in (
                    ("kinematic", c.kinematic),
                    ("dynamical", c.dynamical),
                )
            },
            "crystals": [crystal.as_dict() for crystal in self.crystals],
            "explained": self.explained.as_dict(),
        }
