"""
What further cycles of correction and refinement give, and what left-out observations say of them.

    python benchmarks/with_structure_cycles.py FOLDER [--data FOLDER] [--nproc N] [--cycles 3]
        [--only own abtem kinematic solved controls measured measured_solved] [--sets NAME ...]
        [--random 4] [--compounds 6] [--json FILE]

Every cycle is made, whether the one before is kept or not. One line for each cycle: R1 against
kinematic |F| of the plain merge, of the general model, and of this cycle; steps that it took; by
how much the refinement before it changed structure factors; of the observations set apart, Σ|ΔF|/ΣFo as the cycle before and as this one predicts them, and z.

- own, abtem: simulated data and structures of with_structure_potential.py.
- kinematic: crystals of with_structure.py without multiple scattering, where nothing is to gain.
- solved, controls: sets of general_model_sets.py, the structure solved from the data (as
  structure=solve, elements not told). FOLDER is theirs.
- measured, measured_solved: the five measured sets, with the published structure complete, with
  atoms moved and without some, and solved with the composition. No figure of theirs may choose a rule.

At the end, for several rules of when a cycle is kept: how R1 of what is written changes.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace

import general_model_sets
import numpy as np
from solved_structures import COMPOSITIONS
from tabulate import tabulate
from with_structure import (
    MEASURED,
    MORE,
    Data,
    measured,
    moved,
    structure_input,
    three_crystals,
    without,
)
from with_structure_potential import outside, own, parser_of, structures

from cctbx import xray

from dials_spread.correction.apply.correct import get_subject
from dials_spread.refinement.model import hydrogen_atoms
from dials_spread.rfactor import r_factor
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.with_structure import complete_structure, correct_with_structure
from dials_spread.with_structure.cycles import gain_of, refine_against, refined_between
from dials_spread.with_structure.right_hand import in_right_hand
from dials_spread.with_structure.solved import LIKELIER, NotSolved, solve_structure

DRAWS = 3
"""Of the atoms that a measured structure lacks."""

RULES = (0.0, 0.5, 1.0, 1.5, 2.0)
"""z of the observations set apart from which a cycle is kept."""


def kinematic(args) -> Iterator[Data]:
    """Random compounds that scatter once."""
    for number in range(3):
        rng = np.random.default_rng([23, number])
        structure = random_compound(rng, Wishes(kind="organic", volume=(400, 800)))
        *of, F = three_crystals(structure, rng, "kinematic", args.nproc)
        yield Data(f"kinematic {number + 1}", *of, structure, F, args.nproc)


def published(args) -> Iterator[Data]:
    """The measured sets."""
    for name in (*MEASURED, *MORE):
        if not args.sets or name in args.sets:
            yield measured(name, args.data, args.nproc)


def incomplete(data: Data) -> Iterator[tuple[str, xray.structure]]:
    """Complete, without hydrogen, with atoms moved, and without some."""
    structure, rng = data.structure, np.random.default_rng(15)
    yield "complete", structure
    hydrogen = hydrogen_atoms(structure)
    if hydrogen.any():
        yield "no hydrogen", without(structure, hydrogen)
    for by in (0.1, 0.3):
        yield f"moved by {by} Å", moved(structure, by, rng)
    heavy = np.flatnonzero(~hydrogen)
    n = 1 if len(heavy) <= 10 else round(0.15 * len(heavy))
    for _ in range(DRAWS):
        left_out = np.zeros(len(hydrogen), bool)
        left_out[rng.choice(heavy, n, replace=False)] = True
        yield "atoms lack", without(structure, left_out)


def solvable(args, part: str) -> Iterator[Data]:
    """Sets of general_model_sets, whose structure is solved."""
    family = general_model_sets.PARTS[part]
    for one in family(args):
        if args.sets and not any(x in one.name for x in args.sets):
            continue
        try:
            subject = get_subject(one.experiments, one.tables, nproc=args.nproc)
        except ValueError:
            continue
        F = general_model_sets.truth_of(one, subject)
        given = (subject, one.experiments, one.tables, None, F, args.nproc)
        yield Data(f"{one.family}: {one.name}", *given)


def solved(data: Data, args):
    """The correction with a structure solved here, in its hand, and what refines it."""
    composition = COMPOSITIONS.get(data.name.split(": ")[-1])
    found = solve_structure(data.subject, data.first, composition, nproc=data.nproc)
    given = structure_input(data, found.structure, "solved")
    right = in_right_hand(replace(given, solved=True), LIKELIER)

    def between(structure, array):
        return complete_structure(structure, array, composition, 0).refinement

    return right.given, right.correction, between


def every_cycle(data: Data, given, correction, between, args) -> Iterator[dict]:
    """Figures of each cycle; where a refinement fails the last."""
    known = np.isfinite(data.F)

    def r1(F: np.ndarray) -> float:
        return float(r_factor(F[known], data.F[known])[0])

    before, change, start = None, None, time.process_time()
    for number in range(1, args.cycles + 1):
        if correction is None:
            correction = correct_with_structure(given, hand=False)
        gain = gain_of(before, correction) if before else None
        told = correction.by_observation
        yield {
            "cycle": number, "R1": [r1(data.plain), r1(data.first.F), r1(correction.estimate.F)],
            "steps": correction.n_steps, "z of step": told.z, "needed": correction.needed,
            "held out": [told.before, told.after],
            "change": change, "apart": gain and [gain.before, gain.after], "z": gain and gain.z,
            "structure taken": bool(correction.believed),
            "structure": r1(correction.calculated),
            "s": time.process_time() - start,
        }  # fmt: skip
        if number == args.cycles:
            return
        refined, reason = refined_between(given, correction, between)
        if refined is None or reason:
            return
        before_, after = (
            structure_factors(x, data.subject.prepared.measured.unique_index)
            for x in (given.structure, refined.structure)
        )
        change = float(np.abs(after - before_).sum() / np.abs(before_).sum())
        given = replace(given, structure=refined.structure)
        before, correction, start = correction, None, time.process_time()


def written(cycles: list[dict], bound: float) -> float:
    """R1 of what is written where a cycle stays above some z."""
    R1, steps = cycles[0]["R1"][2], cycles[0]["steps"]
    for one in cycles[1:]:
        # Without a step the first correction is written, and not kept after a better one.
        if not one["z"] > bound or (steps and not one["steps"]):
            break
        steps = one["steps"]
        R1 = one["R1"][2]
    return R1


def rules(told: list[dict]) -> list[list[str]]:
    """A row for each family and kind of structure."""
    groups: dict[tuple[str, str], list[list[dict]]] = {}
    for one in told:
        groups.setdefault((one["family"], one["kind"]), []).append(one["cycles"])
    rows = []
    for (family, kind), some in groups.items():
        first = np.array([c[0]["R1"][2] for c in some])
        row = [family, kind, str(len(some)), f"{first.mean():.4f}"]
        for bound in RULES:
            own = np.array([written(c, bound) for c in some])
            off = own - first
            row.append(f"{np.mean(own):.4f} ({off.min():+.3f} to {off.max():+.3f})")
        best = np.mean([min(x["R1"][2] for x in c) for c in some])
        rows.append([*row, f"{best:.4f}"])
    return rows


def made(args) -> Iterator[tuple[str, str, Data, xray.structure | None]]:
    """Family, kind and structure, None where it is solved."""
    families = {"own": own, "abtem": outside, "kinematic": kinematic}
    for part in args.only:
        if part in families:
            for data in families[part](args):
                for kind, structure, _, _ in structures(data):
                    yield part, kind, data, structure
        elif part == "measured":
            for data in published(args):
                for kind, structure in incomplete(data):
                    yield part, kind, data, structure
        else:
            name = {"solved": "held_out", "measured_solved": "measured"}.get(part, part)
            name = {"abtem_solved": "abtem"}.get(name, name)
            for data in solvable(args, name):
                yield part, data.name.split(": ")[0], data, None


def main() -> None:
    """Print the tables."""
    parser = parser_of(__doc__, ["own", "abtem", "kinematic"])
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--compounds", type=int, default=6)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    told: list[dict] = []
    for family, kind, data, structure in made(args):
        correction = None
        try:
            if structure is None:
                given, correction, between = solved(data, args)
            else:
                given, between = structure_input(data, structure, kind), refine_against
            cycles = []
            for one in every_cycle(data, given, correction, between, args):
                cycles.append(one)
                shown = {
                    k: np.round(np.array(v, float), 4).tolist()
                    for k, v in one.items()
                    if v is not None
                }
                print(data.name, kind, shown, flush=True)
        except (ValueError, NotSolved) as error:  # too incomplete to give phases
            print(data.name, kind, str(error)[:60], flush=True)
            continue
        told.append(
            {"family": family, "kind": kind, "set": data.name, "cycles": cycles}
        )
        if args.json:
            args.json.write_text(json.dumps(told))
    header = ["family", "structure", "sets", "R1, one cycle"]
    header += [f"cycles with z above {x}" for x in RULES] + ["best"]
    print(tabulate(rules(told), header, disable_numparse=True))


if __name__ == "__main__":
    main()
