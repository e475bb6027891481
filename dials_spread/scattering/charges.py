"""
Charged atoms: which of them are, and what difference it makes to a measurement.

Functions:
    parse_charges: "Na=+1 Cl=-1" or "O1=-0.5 N1=+0.5"
    apply_charges: a structure with these ions
    net_charge: of the cell
    compare_charges: charged against neutral, reflection by reflection
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cctbx import miller, xray

from dials_spread.scattering.form_factors import charge_shift, parse_type, type_name
from dials_spread.scattering.structure_factors import (
    separate_charges,
    structure_factors,
)

logger = logging.getLogger("dials.spread.charges")

# A cell may bear this charge before it is called charged: rounding of partial charges.
NEUTRAL = 0.005

# Reflections listed one by one, those that differ most.
LISTED = 50

# |z| from which one reflection shows the charge by itself, and the same for all of them
# together.
SEEN, SEEN_TOGETHER = 3.0, 5.0

phil_str = """
charges = None
  .type = str
  .help = "Charges of atoms in units of the elementary charge, by element or by label,"
          "such as 'Na=+1 Cl=-1' or 'N1=+0.5 O1=-0.5'. The charge of a label overrules"
          "that of its element. Atoms that are not named stay as they are in the"
          "structure."
charges_counts = 1000
  .type = float(value_min=1, value_max=1e12)
  .help = "Counts (electrons) in a mean reflection for which the difference between"
          "charged and neutral atoms is compared with counting noise."
"""


def parse_charges(text: str | None) -> dict[str, float]:
    """
    Read charges as a user writes them.

    Args:
        text: Name and charge joined by an equals sign, separated by spaces or commas.

    Returns:
        Charge by the name of an element or an atom.

    Raises:
        ValueError: An entry is not of that form, or a name comes twice.
    """
    charges: dict[str, float] = {}
    for entry in (text or "").replace(",", " ").split():
        name, _, value = entry.partition("=")
        try:
            charge = float(value)
        except ValueError:
            charge = np.nan
        if not name or not np.isfinite(charge):
            raise ValueError(
                f"charges: {entry} is not of the form Na=+1 or O1=-0.5, without spaces "
                "about the equals sign."
            )
        if name in charges:
            raise ValueError(f"charges: {name} is given twice.")
        charges[name] = charge
    return charges


def apply_charges(
    structure: xray.structure, charges: Mapping[str, float]
) -> xray.structure:
    """
    Give atoms their charges, as scattering types that `structure_factors` knows.

    Args:
        structure: It is not changed.
        charges: By element or by label, which goes before its element.

    Returns:
        A copy with scattering types such as Na1+ and O0.5-.

    Raises:
        ValueError: There is no such atom, or its element cannot bear the charge.
    """
    scatterers = list(structure.scatterers())
    elements = [parse_type(atom.scattering_type)[0] for atom in scatterers]
    labels = [atom.label.strip() for atom in scatterers]
    unknown = [name for name in charges if name not in {*elements, *labels}]
    if unknown:
        raise ValueError(
            f"charges: no atom or element is called {', '.join(unknown)}; the elements "
            f"are {', '.join(sorted({*elements}))}."
        )
    charged = structure.deep_copy_scatterers()
    for atom, element, label in zip(charged.scatterers(), elements, labels):
        charge = charges.get(label, charges.get(element))
        if charge is not None:
            charge_shift(element, charge, np.array([0.1]))  # refuses what cannot be
            atom.scattering_type = type_name(element, charge)
    return charged


def net_charge(structure: xray.structure) -> float:
    """The charge of the cell [e], with multiplicities and occupancies."""
    return float(
        sum(
            parse_type(atom.scattering_type)[1] * atom.occupancy * atom.multiplicity()
            for atom in structure.scatterers()
        )
    )


def warn_if_charged(structure: xray.structure) -> float:
    """Log a warning where the cell as a whole bears a charge, and return it [e]."""
    charge = net_charge(structure)
    if abs(charge) > NEUTRAL:
        logger.warning(
            "The cell has a net charge of %+.3g: no crystal has. Give charges that add "
            "up to zero.",
            charge,
        )
    return charge


@dataclass(frozen=True)
class ChargeEffect:
    """
    Charged against neutral atoms; arrays of length n, one unique reflection each.

    Attributes:
        charges: Charge by scattering type.
        net_charge: Of the cell [e].
        miller_index: Shape (n, 3).
        d_spacing: [Å].
        neutral: |F|² of neutral atoms [Å²], on the scale of the charged ones.
        charged: |F|² [Å²].
        counts: Mean counts of a reflection.
        z: Difference over its counting noise, at these counts.
        r1: Σ||F_charged| - |F_neutral|| / Σ|F_charged|.
        z_all: The excess of Σz² over n in standard deviations of noise alone, √(2n).
        counts_needed: Mean counts at which z_all is 5; infinite where nothing differs.
    """

    charges: dict[str, float]
    net_charge: float
    miller_index: np.ndarray
    d_spacing: np.ndarray
    neutral: np.ndarray
    charged: np.ndarray
    counts: float
    z: np.ndarray
    r1: float
    z_all: float
    counts_needed: float

    def as_dict(self) -> dict:
        """For JSON: the summary, and the reflections that differ most."""
        most = np.argsort(-np.abs(self.z))[:LISTED]
        return {
            "charges": self.charges,
            "net_charge": self.net_charge,
            "reflections": len(self.z),
            "r1": self.r1,
            "mean_counts": self.counts,
            "seen": int((np.abs(self.z) > SEEN).sum()),
            "z_all": self.z_all,
            "counts_needed": (
                self.counts_needed if np.isfinite(self.counts_needed) else None
            ),
            "largest": [self._row(i) for i in most],
        }

    def _row(self, i: int) -> dict:
        """One reflection for the table."""
        return {
            "miller_index": [int(x) for x in self.miller_index[i]],
            "d": float(self.d_spacing[i]),
            "neutral": float(self.neutral[i]),
            "charged": float(self.charged[i]),
            "z": float(self.z[i]),
        }


def compare_charges(
    structure: xray.structure,
    d_min: float,
    counts: float = 1000.0,
    background: float = 10.0,
) -> ChargeEffect:
    """
    Compare the kinematic intensities of ions with those of their neutral atoms.

    Args:
        structure: With charges.
        d_min: Resolution limit [Å].
        counts: Mean counts of a unique reflection: the dose.
        background: Counts below a spot, which add to its noise.

    Returns:
        The effect on every unique reflection, Friedel mates being one.

    Raises:
        ValueError: Nothing is charged, or there is no reflection.
    """
    atoms, ions = separate_charges(structure)
    if not ions:
        raise ValueError("No atom of the structure bears a charge.")
    unique = miller.build_set(
        structure.crystal_symmetry(), anomalous_flag=False, d_min=d_min
    )
    if not unique.size():
        raise ValueError(f"There is no reflection to {d_min} Å.")
    indices = np.array(list(unique.indices()), dtype=int).reshape(-1, 3)
    neutral, charged = (
        np.abs(structure_factors(s, indices)) ** 2 for s in (atoms, structure)
    )
    z, scale = difference_in_noise(neutral, charged, counts, background)
    amplitudes = np.sqrt(scale * neutral), np.sqrt(charged)
    z_all = (z @ z) / np.sqrt(2 * len(z))
    return ChargeEffect(
        charges={type_name(element, charge): charge for element, charge in ions},
        net_charge=net_charge(structure),
        miller_index=indices,
        d_spacing=unique.d_spacings().data().as_numpy_array(),
        neutral=scale * neutral,
        charged=charged,
        counts=counts,
        z=z,
        r1=float(np.abs(amplitudes[1] - amplitudes[0]).sum() / amplitudes[1].sum()),
        z_all=float(z_all),
        counts_needed=_counts_needed(scale * neutral, charged, background),
    )


def difference_in_noise(
    neutral: np.ndarray, charged: np.ndarray, counts: float, background: float
) -> tuple[np.ndarray, float]:
    """
    Differences of intensities over their counting noise.

    Args:
        neutral: Shape (n,), on any scale.
        charged: Shape (n,).
        counts: Mean counts of a reflection.
        background: Counts below a spot.

    Returns:
        z of shape (n,), and the scale of the neutral intensities that makes Σz² least:
        a measurement has no absolute scale.
    """
    to_counts = counts / charged.mean()
    variance = charged * to_counts + max(background, 1.0)
    weight = neutral / variance
    scale = float((weight @ charged) / (weight @ neutral))
    return to_counts * (charged - scale * neutral) / np.sqrt(variance), scale


def _counts_needed(
    neutral: np.ndarray, charged: np.ndarray, background: float
) -> float:
    """Mean counts for z_all = SEEN_TOGETHER, by bisection of their logarithm."""

    def together(log_counts: float) -> float:
        z, _ = difference_in_noise(neutral, charged, np.exp(log_counts), background)
        return float(z @ z) / np.sqrt(2 * len(z))

    low, high = np.log(1e-3), np.log(1e12)
    if together(high) < SEEN_TOGETHER:
        return np.inf
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (
            (low, middle) if together(middle) > SEEN_TOGETHER else (middle, high)
        )
    return float(np.exp(high))
