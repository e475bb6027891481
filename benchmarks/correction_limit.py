"""
How far a correction of measured data could go, were the structure known.

    python benchmarks/correction_limit.py [--model FILE] [--data FOLDER] [--nproc N]

The published structure gives the dynamical intensity of every observation in the orientation
in which it was measured, with a thickness fitted to each crystal. Two questions follow.

- "undone": every observation times its kinematic over its dynamical intensity, then merged.
  What R1 is left is of errors that no theory of multiple scattering explains: of the
  measurement, of the crystal, of the structure. A correction that does not know the
  structure cannot be expected to get below it by much.
- "calculated": the dynamical intensities themselves in place of the measured ones. What the
  model does for them is what it does for multiple scattering in these orientations and at
  this multiplicity, without any other error.

All rows of a set that could be simulated are used, and none else. Minutes, most of them for
abiraterone.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
from general_model_controls import MEASURED, Case, model_amplitudes, r1
from tabulate import tabulate

from dials.array_family import flex

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.general import GeneralModel, unpack
from dials_spread.correction.model.model_file import read_model
from dials_spread.input_files import read_files
from dials_spread.prepare.prepared import prepare
from dials_spread.structures.structure_files import read_structure
from dials_spread.thickness import simulate_measured

WEAKEST = 0.05
"""A dynamical intensity counts as at least this part of the kinematic one."""

COLUMNS = ("intensity.prf.value", "intensity.sum.value")


def with_intensities(table, values: np.ndarray, kept: np.ndarray):
    """Some rows of a table, with other intensities."""
    new = table.select(flex.bool(kept))
    for name in COLUMNS:
        if name in new:
            new[name] = flex.double(values[kept])
    return new


def on_scale_of(crystal, table) -> tuple[np.ndarray, ...]:
    """
    Simulated intensities on the scale of the measured ones, and with what lp these lack.

    Returns:
        Which rows were simulated; measured, kinematic and dynamical intensities, the last two
        1 where nothing was.
    """
    known = crystal.dynamical_variance >= 0
    name = next(c for c in COLUMNS if c in table)
    observed = table[name].as_numpy_array()
    # What the table lacks, or has in its column lp, it is to lack or have here too.
    lp = table["lp"].as_numpy_array() if "lp" in table else np.ones(len(table))
    bare = 1 / np.where(np.ptp(lp) > 0, np.maximum(lp, 1e-3), crystal.lorentz)
    dynamical = np.where(known, crystal.dynamical * bare, 1.0)
    variance = table[name.replace("value", "variance")].as_numpy_array()
    use = known & (observed > 3 * np.sqrt(np.maximum(variance, 0)))
    scale = np.sum(observed[use] * dynamical[use]) / np.sum(dynamical[use] ** 2)
    kinematic = np.where(known, scale * crystal.kinematic * bare, 1.0)
    return known, observed, kinematic, np.where(known, scale * dynamical, 1.0)


def by_factor(observed, kinematic, dynamical) -> np.ndarray:
    """Each intensity times its kinematic over its dynamical one."""
    return observed * kinematic / np.maximum(dynamical, WEAKEST * kinematic + 1e-12)


def versions(crystal, table) -> dict:
    """One crystal as measured, with multiple scattering undone, and as calculated."""
    known, observed, kinematic, dynamical = on_scale_of(crystal, table)
    kept = {
        "measured": observed,
        "undone": by_factor(observed, kinematic, dynamical),
        "calculated": dynamical,
    }
    return {title: with_intensities(table, v, known) for title, v in kept.items()}


def cases(name: str, folder: Path, nproc: int | None) -> dict[str, Case]:
    """The three versions of a measured set."""
    stem, structure_name = MEASURED[name]
    path = folder / stem
    data = read_files([f"{path}.expt"], [f"{path}.refl"])
    result = simulate_measured(
        read_structure(structure_name), data.experiments, data.tables, nproc=nproc
    )
    made = [versions(c, t) for c, t in zip(result.crystals, data.tables)]
    found = {}
    for title in made[0]:
        tables = [m[title] for m in made]
        subject = get_subject(data.experiments, tables, force=True)
        reference = find_reference(subject.observations, structure_name)
        matched = match(reference, subject.prepared, np.random.default_rng(0))
        measured = subject.prepared.measured
        found[title] = Case(f"{name}, {title}", "R", measured, matched.f_calc)
    return found


def row(name: str, own: dict[str, Case], model: GeneralModel) -> list:
    """R1 of a set by the plain merge and the model, then undone and calculated."""
    told: list = [name]
    for title in ("measured", "undone", "calculated"):
        prepared = prepare(own[title].measured)
        told.append(
            r1(np.sqrt(np.maximum(prepared.with_damage.merged(), 0)), own[title])
        )
        if title != "undone":
            told.append(r1(model_amplitudes(prepared, model), own[title]))
    return told


def main() -> None:
    """Print the table, and the geometric means of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default=str(SHIPPED))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--nproc", type=int, default=None)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    model = unpack(read_model(args.model))
    rows = [row(n, cases(n, args.data, args.nproc), model) for n in MEASURED]
    header = ["set", "merge", "model", "undone", "calculated", "calculated, model"]
    print(tabulate(rows, header, floatfmt=".3f"))
    values = np.array([r[1:] for r in rows], dtype=float)
    for title, above, below in (
        ("model / merge", 1, 0),
        ("undone / merge", 2, 0),
        ("calculated: model / merge", 4, 3),
    ):
        ratio = np.exp(np.mean(np.log(values[:, above] / values[:, below])))
        print(f"{title:28s}{ratio:.3f}")


if __name__ == "__main__":
    main()
