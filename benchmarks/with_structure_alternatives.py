"""
Whether to invert is better than to multiply, and what would be reached with everything known.

    python benchmarks/with_structure_alternatives.py [--data FOLDER] [--nproc N] [--draws 4]
        [--sets quartz glycine abiraterone carbamazepine] [--json FILE]

Measured sets and structures that lack atoms. Amplitudes that are compared:

- "merged", "general": without a structure.
- "factor", "difference": every observation times its kinematic over its dynamical intensity,
  or with their difference added, both simulated from the structure that lacks atoms.
- "step": dials.ml_correct structure=.
- "factor, all", "step, all": the same with the complete structure, which nobody has who
  looks for the atoms that are missing: what is not reached there is not to be reached.

Figures: R1 against the complete structure; height of the omitted atoms in the Fo - Fc map of
the incomplete structure over that with true |F|; hydrogen sites within 0.3 Å of one of as many
highest peaks; mean distance of refined atoms from the published ones [Å].

Minutes a line for abiraterone, seconds for the others.
"""

from __future__ import annotations

import json
import logging

import numpy as np
from correction_limit import by_factor, on_scale_of, with_intensities
from tabulate import tabulate
from with_structure import (
    Data,
    arguments,
    as_measured,
    cases,
    hydrogen_found,
    intensity_sets,
    measured,
    peaks,
    shifts_of,
    structure_input,
    true_intensities,
)

from cctbx import xray

from dials_spread.correction.apply.correct import get_subject
from dials_spread.rfactor import amplitudes, r_factor
from dials_spread.thickness import simulate_measured
from dials_spread.with_structure import (
    correct_with_structure,
)

NAMES = (
    "merged",
    "general",
    "factor",
    "difference",
    "step",
    "factor, all",
    "step, all",
)


def undone(table, crystal, how: str):
    """One crystal with multiple scattering undone; rows that were not simulated stay."""
    known, observed, kinematic, dynamical = on_scale_of(crystal, table)
    changed = observed + kinematic - dynamical
    if how == "factor":
        changed = by_factor(observed, kinematic, dynamical)
    values = np.where(known, changed, observed)
    return with_intensities(table, values, np.ones(len(table), bool))


def by_simulation(data: Data, structure: xray.structure, how: str):
    """Merged intensities and their sigmas, each observation changed by what a structure says."""
    made = simulate_measured(structure, data.experiments, data.tables, nproc=data.nproc)
    tables = [undone(t, c, how) for c, t in zip(made.crystals, data.tables)]
    subject = get_subject(data.experiments, tables, force=True, nproc=data.nproc)
    index = subject.prepared.measured.unique_index
    np.testing.assert_array_equal(index, data.subject.prepared.measured.unique_index)
    return subject.prepared.with_damage.merged(), subject.prepared.merged_sigma


def by_step(data: Data, structure: xray.structure):
    """The second correction with a structure."""
    given = structure_input(data, structure, "given")
    return correct_with_structure(given, hand=False).estimate


def compared(data: Data, structure: xray.structure, complete: dict) -> list:
    """Intensities with sigmas, by NAMES."""
    merged, general, step = intensity_sets(data, by_step(data, structure))
    ways = [
        as_measured(data, data.structure, *by_simulation(data, structure, how))
        for how in ("factor", "difference")
    ]
    return [merged, general, *ways, step, complete["factor"], complete["step"]]


def on_data(data: Data, array) -> np.ndarray:
    """Amplitudes in the order of the data."""
    own = as_measured(data, data.structure, data.F**2, np.ones(len(data.F)))
    found = np.full(len(data.F), np.nan)
    kept = np.flatnonzero(np.isfinite(data.F))
    place = dict(zip(own.indices(), kept))
    for h, value in zip(array.indices(), amplitudes(array.data().as_numpy_array())):
        if h in place:
            found[place[h]] = value
    return found


def line(data: Data, case, complete: dict) -> dict:
    """Figures of one structure that lacks atoms."""
    arrays = compared(data, case.structure, complete)
    sets = [on_data(data, array) for array in arrays]
    told = {"set": data.name, "structure": case.title}
    told["R1"] = []
    for F in sets:
        known = np.isfinite(F) & np.isfinite(data.F)
        told["R1"].append(float(r_factor(F[known], data.F[known])[0]))
    if case.hydrogen:
        every = [*arrays, true_intensities(data)]
        told["H found"] = hydrogen_found(data, every)
        told["of"] = len(case.sites)
    else:
        true = peaks(data, case.structure, data.F, case.sites)[0]
        told["height"] = [
            peaks(data, case.structure, F, case.sites)[0] / true for F in sets
        ]
    return told


def rows(told: list[dict]) -> list[list]:
    """A line for each figure, means over draws of one set."""
    made = []
    for name in dict.fromkeys(one["set"] for one in told):
        for key, form in (
            ("R1", ".3f"),
            ("height", ".2f"),
            ("H found", "d"),
            ("shift", ".3f"),
        ):
            own = [x for x in told if x["set"] == name and key in x]
            if key == "R1":
                own = [x for x in own if "height" in x]
            if not own:
                continue
            kind = int if form == "d" else float
            values = [kind(x) for x in np.mean([x[key] for x in own], axis=0)]
            title = own[0]["structure"] if len(own) == 1 else f"mean of {len(own)}"
            more = f" (true {values[7]}, of {own[0]['of']})" if key == "H found" else ""
            made.append([name, title, key + more, *(f"{x:{form}}" for x in values[:7])])
    return made


def main() -> None:
    """Print the table."""
    sets = ["quartz", "glycine", "carbamazepine", "abiraterone"]
    parser = arguments(__doc__, sets, draws=4)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    told: list[dict] = []
    for name in args.sets:
        data = measured(name, args.data, args.nproc)
        I, sigma = by_simulation(data, data.structure, "factor")
        complete = {
            "factor": as_measured(data, data.structure, I, sigma),
            "step": intensity_sets(data, by_step(data, data.structure))[-1],
        }
        for case in cases(data, args.draws):
            if not case.title.startswith("without"):
                continue
            try:
                told.append(line(data, case, complete))
            except ValueError as error:  # too incomplete to give phases
                print(case.title, str(error).split(". ")[-1], sep=": ", flush=True)
                continue
            print({k: np.round(v, 3).tolist() if isinstance(v, list) else v
                   for k, v in told[-1].items()}, flush=True)  # fmt: skip
        whole = [*intensity_sets(data, data.first)[:2], *complete.values()]
        merged, general, factor, step = shifts_of(data, whole)
        none = float("nan")
        shift = [merged, general, none, none, none, factor, step]
        told.append({"set": name, "structure": "complete", "shift": shift})
        if args.json:
            args.json.write_text(json.dumps(told))
    print(
        tabulate(
            rows(told), ["set", "structure", "figure", *NAMES], disable_numparse=True
        )
    )


if __name__ == "__main__":
    main()
