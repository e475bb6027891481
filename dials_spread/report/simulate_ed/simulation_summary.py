"""
What a simulated data set is like: crystals, resolution shells, and what multiple
scattering does to the agreement with the kinematic amplitudes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from cctbx import crystal, miller
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.report.page.labels import digits
from dials_spread.rfactor import RFactors, amplitudes, r_factor, r_factors
from dials_spread.rfactor.r1 import finite_or_none
from dials_spread.rfactor.shells import resolution_shells

N_SHELLS = 10


@dataclass(frozen=True)
class SimulationSummary:
    """
    A simulated data set in numbers.

    Attributes:
        crystals: A dict for each crystal: reflections, thickness [Å], scale, R1.
        shells: A dict for each resolution shell.
        merged: R1 of merged intensities against kinematic amplitudes, without noise
            (r1_dynamical) and as recorded (r1_observed), and their number. Before
            merging each crystal is scaled to the kinematic amplitudes.
        n_reflections: Of all crystals.
        n_unique: Unique under the Laue group.
        i_over_sigma: Median of all observations.
        recorded: Least fraction of a spot that the detector counted.
    """

    crystals: list[dict]
    shells: list[dict]
    merged: dict
    n_reflections: int
    n_unique: int
    i_over_sigma: float
    recorded: float

    def as_dict(self) -> dict:
        """Give all of it under the names of the attributes."""
        return dict(vars(self))


def summarise_simulation(
    experiments: Sequence[Experiment], reflections: flex.reflection_table
) -> SimulationSummary:
    """
    Describe a simulated data set.

    Args:
        experiments: One for each crystal.
        reflections: With the columns of truth.

    Returns:
        The summary. R1 compares amplitudes with one scale for all of a group.
    """
    column = {
        name: reflections[name].as_numpy_array()
        for name in ("id", "d", "lp", "truth.scale", "truth.recorded")
    }
    value = reflections["intensity.prf.value"].as_numpy_array()
    sigma = np.sqrt(reflections["intensity.prf.variance"].as_numpy_array())
    kinematic = reflections["intensity.kinematic.value"].as_numpy_array()
    wave = "dynamical" if "intensity.dynamical.value" in reflections else "kinematic"
    true = reflections[f"intensity.{wave}.value"].as_numpy_array()
    unique = unique_numbers(experiments[0], reflections["miller_index"])
    observed = value * column["lp"] / column["truth.scale"]
    r1 = r_factors(
        true,
        np.zeros(len(true)),
        amplitudes(kinematic),
        column["id"],
        len(experiments),
    )
    # Thick crystals lose more to multiple scattering: scaling would level that.
    factor = np.nan_to_num(r1.scale, nan=1.0)[column["id"]] ** 2
    data = (true * factor, observed * factor, kinematic)
    return SimulationSummary(
        crystals=_crystals(experiments, reflections, r1, value / sigma),
        shells=_shells(column["d"], unique, value / sigma, data),
        merged=_merged(unique, data),
        n_reflections=len(reflections),
        n_unique=int(unique.max()) + 1,
        i_over_sigma=float(np.median(value / sigma)),
        recorded=float(column["truth.recorded"].min()),
    )


def unique_numbers(experiment: Experiment, indices: flex.miller_index) -> np.ndarray:
    """
    Number reflections so that those equivalent under the Laue group share one.

    Args:
        experiment: Of any crystal, for the space group.
        indices: Miller indices, n of them.

    Returns:
        Integers from 0 of shape (n,).
    """
    symmetry = crystal.symmetry(
        unit_cell=experiment.crystal.get_unit_cell(),
        space_group=experiment.crystal.get_space_group(),
    )
    mapped = miller.set(symmetry, indices, anomalous_flag=False).map_to_asu()
    asu = mapped.indices().as_vec3_double().as_numpy_array().astype(int)
    return np.unique(asu, axis=0, return_inverse=True)[1].ravel()


def _crystals(
    experiments: Sequence[Experiment],
    reflections: flex.reflection_table,
    r1: RFactors,
    ratio: np.ndarray,
) -> list[dict]:
    """Describe each crystal; ratio is I/σ of each reflection."""
    ids = reflections["id"].as_numpy_array()
    found = []
    for index, experiment in enumerate(experiments):
        own = np.flatnonzero(ids == index)
        described = {
            "crystal": index,
            "identifier": experiment.identifier,
            "images": len(experiment.scan),
            "reflections": len(own),
            "thickness": None,
            "scale": None,
            "i_over_sigma": None,
            "orientation": list(experiment.crystal.get_U()),
            "r1_dynamical": finite_or_none(r1.r1[[index]])[0],
        }
        if len(own):
            first = int(own[0])
            described["scale"] = reflections["truth.scale"][first]
            described["i_over_sigma"] = float(np.median(ratio[own]))
            if "truth.thickness" in reflections:
                path = reflections["truth.thickness"].as_numpy_array()[own]
                described["thickness"] = float(np.mean(path))
        found.append(described)
    return found


def _merged(unique: np.ndarray, data: Sequence[np.ndarray]) -> dict:
    """R1 of unweighted means."""
    counts = np.bincount(unique)
    true, observed, kinematic = (np.bincount(unique, x) / counts for x in data)
    truth, scale, n = r_factor(amplitudes(true), amplitudes(kinematic))
    return {
        "r1_dynamical": truth,
        "r1_observed": r_factor(amplitudes(observed), amplitudes(kinematic))[0],
        "scale": scale,
        "n": n,
    }


def _shells(
    d: np.ndarray, unique: np.ndarray, ratio: np.ndarray, data: Sequence[np.ndarray]
) -> list[dict]:
    """Describe resolution shells of equally many observations."""
    shells = resolution_shells(d, N_SHELLS)
    found = []
    for shell in range(len(shells)):
        own = shells.shell == shell
        numbers = np.unique(unique[own], return_inverse=True)[1].ravel()
        merged = _merged(numbers, [x[own] for x in data])
        found.append(
            {
                "d_max": shells.d_max[shell],
                "d_min": shells.d_min[shell],
                "reflections": int(own.sum()),
                "unique": merged["n"],
                "i_over_sigma": float(np.median(ratio[own])),
                "r1_dynamical": merged["r1_dynamical"],
                "r1_observed": merged["r1_observed"],
            }
        )
    return found


def crystals_table(
    summary: SimulationSummary, most: int = 30, wave: str = "dynamical"
) -> str:
    """
    Give the crystals as a table for the log, the first ones where there are many.

    R1 is from rfactor.r1.r_factors; a kinematic simulation, wave="kinematic", has none.
    """
    rows = [
        [
            c["crystal"],
            c["images"],
            c["reflections"],
            digits(c["thickness"], 3),
            digits(c["scale"], 3),
            digits(c["i_over_sigma"], 3),
            digits(c["r1_dynamical"], 3),
        ]
        for c in summary.crystals[:most]
    ]
    header = ["crystal", "images", "observations", "mean thickness [Å]", "scale"]
    header += ["median I/σ", "R1"]
    caption = (
        "Crystals (R1 of unmerged dynamical amplitudes, without noise, against kinematic "
        "Fc):"
    )
    if wave == "kinematic":  # R1 is zero
        rows, header, caption = [r[:-1] for r in rows], header[:-1], "Crystals:"
    table = tabulate(rows, header, tablefmt="rst", disable_numparse=True)
    hidden = len(summary.crystals) - most
    return f"{caption}\n\n" + table + (f"\n... and {hidden} more" if hidden > 0 else "")


def shells_table(summary: SimulationSummary, wave: str = "dynamical") -> str:
    """
    Give the resolution shells as a table for the log.

    R1 is from rfactor.r1.r_factor; that without noise is zero of a kinematic simulation,
    wave="kinematic", and left out.
    """
    rows = [
        [
            f"{s['d_max']:.2f} – {s['d_min']:.2f}",
            s["reflections"],
            s["unique"],
            digits(s["i_over_sigma"], 3),
            digits(s["r1_dynamical"], 3),
            digits(s["r1_observed"], 3),
        ]
        for s in summary.shells
    ]
    header = ["d [Å]", "observations", "unique", "median I/σ"]
    header += ["R1 without noise", "R1 as recorded"]
    if wave == "kinematic":
        rows = [r[:-2] + r[-1:] for r in rows]
        header.remove("R1 without noise")
    return (
        "Resolution shells (R1 of merged amplitudes against kinematic Fc):\n\n"
        + tabulate(rows, header, tablefmt="rst", disable_numparse=True)
    )
