"""
Structures that are solved from the first correction, and what the second makes of them.

    python benchmarks/solved_structures.py FOLDER [--only measured abtem own controls held_out
        shuffled] [--data FOLDER] [--random 4] [--compounds 6] [--cycles 1] [--composition]

The way of dials.ml_correct structure=solve, on the sets of general_model.py. One line for each:
R1 against kinematic |F| of the plain merge (the better of two), after the first correction and
after the second; the R1 that the program states; how many starts it took; R1 of |F| of the
structure that was found with the true ones (0.6 or so where they have nothing in common); z of what
was left out, and of the hand.

- measured, abtem, own, held_out: as in general_model.py. FOLDER may be the same: simulated
  data are kept there.
- controls: kinematic data and crystals of 50 Å (800 electrons), which a second correction must not harm.
- shuffled: the amplitudes of measured and abtem sets (one thickness) exchanged within shells of resolution:
  there is nothing to solve.

Elements are not told, so that all atoms are carbon or what scatters like them; --composition
tells those of measured compounds. The table at the end is of all parts that are in FOLDER.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
from general_model_sets import PARTS, DataSet, _r1, abtem, read_arguments, truth_of
from general_model_sets import measured as measured_sets
from tabulate import tabulate

from cctbx.array_family import flex

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import SHIPPED, estimate
from dials_spread.correction.model.model_file import Model, read_model
from dials_spread.refinement.model import hydrogen_atoms
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.shells import resolution_shells
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution import solve
from dials_spread.with_structure import (
    NotSolved,
    StructureInput,
    correct_solved,
    lay_on_data,
    solve_structure,
)
from dials_spread.with_structure.solved import believed, first_intensities

COMPOSITIONS = {
    "quartz": "Si O2",
    "abiraterone": "C26 H33 N O2",
    "glycine": "C2 H5 N O2",
    "natrolite": "Na2 Al2 Si3 O12 H4",
    "carbamazepine": "C15 H12 N2 O",
}

RIGHT = 0.4
"""R1 of |F| of a structure with the true ones, below which it is that structure."""

ONE_THICKNESS = "500–700 Å"
ONE_GRADE = " 800 electrons"

MOST_R1 = 0.6
STARTS = 500
TRIES, SHUFFLED_STARTS = 5, 100


def run_set(data: DataSet, model: Model, args) -> dict | None:
    """Correct one set as structure=solve does; None where it is refused."""
    try:
        subject = get_subject(data.experiments, data.tables, nproc=args.nproc)
    except ValueError:
        return None
    result = correct_intensities(subject, model, nproc=args.nproc)
    F = truth_of(data, subject)
    plain = amplitudes(subject.prepared.with_damage.merged())
    before = [_r1(x, F) for x in (plain, result.F_before)]
    if not min(before) < MOST_R1:
        return None
    found = {
        "family": data.family, "name": data.name, "before": min(before),
        "before by σ": before[1], "first": _r1(result.F, F),
        "strength": result.strength, "n": int(np.isfinite(F).sum()),
    }  # fmt: skip
    composition = COMPOSITIONS.get(data.name) if args.composition else None
    first, began = estimate(subject.counted, model, args.nproc), time.monotonic()
    try:
        solved = solve_structure(
            subject, first, composition, STARTS, seed=0, nproc=args.nproc
        )
    except NotSolved as error:
        seconds = time.monotonic() - began
        return {**found, "second": found["first"], "not solved": str(error),
                "seconds": [seconds, 0.0]}  # fmt: skip
    middle = time.monotonic()
    laid = lay_on_data(solved.structure, "solved", subject, np.random.default_rng(0))
    given = StructureInput(
        subject, first, laid.structure, laid.choice, data.experiments, data.tables,
        seed=0, nproc=args.nproc,
    )  # fmt: skip
    cycles, solved = correct_solved(given, solved, args.cycles)
    correction = cycles.last.correction
    final = correct_intensities(
        subject, model, ready=correction.estimate, nproc=args.nproc
    )
    index = subject.prepared.measured.unique_index
    F_structure = np.abs(structure_factors(solved.structure, index))
    atoms = hydrogen_atoms(solved.structure)
    hands = correction.hands
    expected = correction.estimate.predicted_r1
    found |= {
        "second": _r1(final.F, F), "expected": expected, "steps": correction.n_steps,
        "z": correction.by_observation.z, "hand": hands and hands.z,
        "turned": solved.turned, "starts": solved.assigned.n_starts,
        "agree": solved.assigned.n_agree, "d_min": solved.d_min,
        "r1 of structure": solved.completed.refinement.r1_all,
        "r1 left out": solved.r1_left_out,
        "right": _r1(F_structure, F), "kept": cycles.n_kept,
        # Of the first step, whether it was taken or not.
        "if taken": _r1(correction.step.F / correction.to_F, F),
        "atoms": [int((~atoms).sum()), int(atoms.sum())],
        "seconds": [middle - began, time.monotonic() - middle],
    }  # fmt: skip
    if correction.n_steps:
        sigma, known = correction.estimate.sigma_F, np.isfinite(F)
        k = np.sum(F[known] * correction.estimate.F[known]) / np.sum(F[known] ** 2)
        z = np.abs(k * F - correction.estimate.F)[known] / sigma[known]
        found["within"] = [float(np.mean(z < 1)), float(np.mean(z < 2))]
    return found


def shuffled(args) -> Iterator[tuple[str, object, object]]:
    """Name, subject and first estimate of sets that can be solved."""
    for family in (measured_sets, abtem):
        for data in family(args):
            if family is abtem and not data.name.endswith(ONE_THICKNESS):
                continue
            try:
                yield data.name, get_subject(data.experiments, data.tables, nproc=1)
            except ValueError:
                continue


def _tried(mixed, seed: int, args) -> dict:
    """What comes out, and whether a structure is believed where a map obeys the space group."""
    solutions = solve(
        mixed, n_starts=SHUFFLED_STARTS, seed=seed, nproc=args.nproc, until_solved=True
    )
    told, solved = "", False
    if solutions.n_solved:
        try:
            solved = bool(believed(solutions, mixed, None, seed))
        except NotSolved as error:
            told = str(error)
    return {
        "starts": len(solutions), "agreement": solutions.best.agreement, "why not": told,
        "threshold": solutions.threshold, "solved": solved,
    }  # fmt: skip


def run_shuffled(model: Model, args) -> list[dict]:
    """Try to solve what has no structure."""
    told = []
    for name, subject in shuffled(args):
        array = first_intensities(subject, estimate(subject.counted, model, 1))
        shells = resolution_shells(array.d_spacings().data().as_numpy_array(), 20)
        values, mixed = array.data().as_numpy_array(), np.arange(array.size())
        for seed in range(TRIES):
            rng = np.random.default_rng([7, seed])
            for k in range(len(shells)):
                own = np.flatnonzero(shells.shell == k)
                mixed[own] = rng.permutation(own)
            other = array.customized_copy(data=flex.double(values[mixed]))
            one = {"name": name, **_tried(other, seed, args)}
            told.append(one)
            print(f"  {name:34s} {one['starts']} starts, agreement {one['agreement']:.2f}, needed "
                  f"{one['threshold']:.2f}, believed {one['solved']}; {one['why not']}", flush=True)  # fmt: skip
    return told


def show(one: dict) -> str:
    """One line of a set."""
    told = f"  {one['family']:24s} {one['name']:34s} R1 {one['before']:.3f} → {one['first']:.3f}"
    if "not solved" in one:
        return f"{told}, not solved in {one['seconds'][0]:.0f} s"
    hand = "" if one["hand"] is None else f", hand {one['hand']:.1f}"
    turned = " (turned)" if one["turned"] else ""
    return (
        f"{told} → {one['second']:.3f}, expected {one['expected']:.3f}; {one['starts']} starts, "
        f"{one['atoms'][0]} atoms, {one['atoms'][1]} H, R1 with true |F| {one['right']:.2f}; "
        f"z {one['z']:.1f}, {one['steps']} steps{hand}{turned}; "
        f"{one['seconds'][0]:.0f} + {one['seconds'][1]:.0f} s"
    )


def _mean(values) -> float:
    return float(np.exp(np.mean(np.log(values)))) if len(values) else float("nan")


def table(parts: dict[str, list[dict]]) -> list[list[str]]:
    """A row for each family."""
    families: dict[str, list[dict]] = {}
    for sets in parts.values():
        for one in sets:
            families.setdefault(one.get("family", "shuffled"), []).append(one)
    rows = []
    for family, sets in families.items():
        if family == "shuffled":
            rows.append(
                [family, str(len(sets)), str(sum(s["solved"] > 0 for s in sets))]
            )
            continue
        there = [s for s in sets if "not solved" not in s]
        taken = [s for s in there if s["steps"]]
        worse = sum(s["second"] > 1.005 * s["first"] for s in sets)
        ratios = [
            f"{_mean([s[key] / s['before'] for s in sets]):.2f}"
            for key in ("first", "second")
        ]
        told = [s["second"] / s["expected"] for s in taken]
        within = (
            np.mean([s["within"] for s in taken], axis=0) if taken else (np.nan, np.nan)
        )
        by_sigma = [s["second"] / s["before by σ"] for s in sets]
        rows.append([
            family, str(len(sets)), str(len(there)),
            str(sum(s["right"] < RIGHT for s in there)), str(len(taken)), *ratios,
            str(worse), f"{_mean(by_sigma):.3f} ({max(by_sigma):.2f})",
            f"{_mean(told):.2f} ({min(told):.2f} to {max(told):.2f})" if told else "",
            f"{100 * within[0]:.0f}, {100 * within[1]:.0f}" if taken else "",
        ])  # fmt: skip
    return rows


HEADER = [
    "family", "sets", "solved", "right", "step taken", "R1 first / merge", "second / merge",
    "second worse than first", "second / merge by σ (largest)", "R1 / expected, where taken", "within 1, 2 σ (%)",
]  # fmt: skip


def main() -> None:
    """Run parts and print the table."""
    args = read_arguments(
        __doc__, [*PARTS, "shuffled"], 6,
        ("--cycles", {"type": int, "default": 1}),
        ("--composition", {"action": "store_true"}),
    )  # fmt: skip
    model = read_model(SHIPPED)
    for part in args.only:
        print(part, flush=True)
        told = []
        try:
            if part == "shuffled":
                told = run_shuffled(model, args)
            for data in PARTS[part](args) if part != "shuffled" else ():
                if part == "controls" and not data.name.endswith(ONE_GRADE):
                    continue
                one = run_set(data, model, args)
                if one is not None:
                    told.append(one)
                    print(show(one), flush=True)
        except ImportError as error:
            print(f"  left out: {error}")
            continue
        name = f"solved_{part}{'_named' if args.composition else ''}.json"
        (args.folder / name).write_text(json.dumps(told, indent=1), encoding="utf-8")
    parts = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(args.folder.glob("solved_*.json"))
    }
    for name, sets in parts.items():
        print(f"\n{name}")
        print(tabulate(table({name: sets}), HEADER, tablefmt="github"))


if __name__ == "__main__":
    main()
