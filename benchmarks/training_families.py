"""
Families of thin, precessed, kinematic and X-ray-like data in training: what they change.

    python benchmarks/training_families.py FOLDER [--compounds 156] [--fine 53] [--rich 5]
        [--thin 24] [--precessed 18] [--kinematic 20] [--xray 16] [--nproc N]

FOLDER is that of training_controls.py; what is missing there is simulated first. One fold of four
of the usual compounds and half of those of each family are left out. Networks are trained on

- the usual compounds alone, as the model of the package is;
- as many compounds, of which some are of the families;
- all usual ones and those of the families;
- as many usual ones as are among the second, alone.

Of what is left out, by grade and by family: R1 against kinematic |F| over that of the plain
merge by the network alone, its difference between trainings (of the same sets), and the true R1
over the expected one; and with the program's evidence step and allowance (both merges with
1/σ²): ratio, the largest, and the true R1 over the one that the program would state. The forest
that the evidence rests on is fitted to the compounds of each training; and once more, with the
network that has seen all, to the usual compounds alone. Expected errors are
scaled as in training, to be right for half of the usual sets left out.

Networks and figures are kept in FOLDER. PyTorch is needed. With 214 and 78 compounds: 7 minutes
more of simulation, three networks more of 3 minutes each and 6 minutes for the rest, on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from general_model_tries import some_compounds, with_families
from tabulate import tabulate
from training_controls import divided, network_of, prepared

from dials_spread.correction.model.evidence import (
    Evidence,
    evidence_of,
    expected_differences,
)
from dials_spread.correction.model.general import Corrected, with_unsimulated
from dials_spread.general_model.engines import Work, fit_bias
from dials_spread.general_model.errors import error_scale
from dials_spread.general_model.families import FAMILIES, TRIAL_FAMILIES, family_of
from dials_spread.general_model.faults import GRADES
from dials_spread.general_model.gather import VirtualExperiment
from dials_spread.general_model.out_of_fold import (
    MARGIN,
    Assessed,
    Outcome,
    assess,
    folds,
    summary,
)
from dials_spread.rfactor.r1 import r_factor

USUAL = "usual compounds alone"
REPLACED = "as many, with families"
FEWER = "fewer, usual alone"
KEPT = "all, and families; the first forest"
ADDED = "all, and families"
PROGRAM, EXPECTED, STATED = (
    f", {x}" for x in ("program", "over expected", "over stated")
)

Sets = list[VirtualExperiment]


def name_of(compound: int) -> str:
    """Give the name of the family of a compound: usual, or that of a trial."""
    family = family_of(compound)
    named = [name for name in TRIAL_FAMILIES if FAMILIES[name] == family]
    return named[0] if named else "usual"


def halves(sets: Sequence[VirtualExperiment]) -> tuple[Sets, Sets]:
    """Give the sets of one half of the compounds of each family, and of the other half."""
    first: Sets = []
    second: Sets = []
    for name in TRIAL_FAMILIES:
        own = [s for s in sets if name_of(s.compound) == name]
        if len({s.compound for s in own}) < 2:
            continue
        for one, half in zip(own, folds([s.compound for s in own], 2, 0)):
            (second if half else first).append(one)
    return first, second


def n_compounds(sets: Sequence[VirtualExperiment]) -> int:
    """Give how many compounds sets are of."""
    return len({s.compound for s in sets})


def evidence_from(one: VirtualExperiment, bias) -> Evidence:
    """Look for multiple scattering in a set of which there are features alone."""
    features = one.features
    noise = features.observation[:, features.observation_names.index("noise")]
    sigma = noise.astype(float) * features.N[features.unique]
    known = SimpleNamespace(
        measured=SimpleNamespace(unique=features.unique), E_i=features.E_i,
        E_k=features.E_k, N=features.N, sigma=sigma,
    )  # fmt: skip
    return evidence_of(known, expected_differences(features, bias, 1))


def merged_by_sigma(one: VirtualExperiment) -> np.ndarray:
    """Give amplitudes of the merge with weights 1/σ², shape (u,)."""
    features = one.features
    noise = features.observation[:, features.observation_names.index("noise")]
    weight = 1 / np.maximum(noise.astype(float), 1e-6) ** 2
    J = features.E_i * np.abs(features.E_i)
    merged = np.bincount(features.unique, weight * J)
    merged /= np.bincount(features.unique, weight)
    return np.sqrt(np.maximum(merged, 0) * features.N)


def as_the_program(one: VirtualExperiment, told: Corrected, scale: float, bias) -> dict:
    """Give R1 before and after with the evidence step, and the R1 that would be stated."""
    features = one.features
    column = {n: k for k, n in enumerate(features.reflection_names)}
    r_meas = float(features.reflection[0, column["r_meas"]])
    centric = features.reflection[:, column["centric"]] > 0.5
    scaled = replace(told, error=scale * told.error, error_F=scale * told.error_F)
    n = np.bincount(features.unique, minlength=len(features.E_k))
    stated = with_unsimulated(scaled, r_meas, n, centric)
    evidence = evidence_from(one, bias)
    before = merged_by_sigma(one)
    part = before ** (1 - evidence.strength) * stated.F**evidence.strength
    return {
        "strength": evidence.strength, "slope": evidence.slope,
        "before": r_factor(before, one.F)[0], "after": r_factor(part, one.F)[0],
        "stated": stated.predicted_r1,
    }  # fmt: skip


def judged(
    work: Work, name: str, trained: Sets, of_forest: Sets, left_out: Sets
) -> list[dict]:
    """Train, or read; and judge all that is left out. Figures are kept in the folder."""
    model = network_of(work, name, trained)
    own = "" if len(of_forest) == len(trained) else f"_{len(of_forest)}"
    path = Path(work.folder) / f"families_{name}{own}.json"
    key = [len(trained), n_compounds(trained), len(left_out), n_compounds(left_out)]
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["of"] == key:
            return stored["sets"]
    bias = fit_bias(work, of_forest)
    assessed = [assess(s, model) for s in left_out]
    scale = error_scale([a for a in assessed if name_of(a.outcome.compound) == "usual"])
    sets = [_figures(s, a, scale, bias) for s, a in zip(left_out, assessed)]
    path.write_text(json.dumps({"of": key, "sets": sets}), encoding="utf-8")
    return sets


def _figures(one: VirtualExperiment, a: Assessed, scale: float, bias) -> dict:
    outcome = a.outcome
    return {
        "compound": outcome.compound, "stratum": outcome.stratum,
        "grade": outcome.grade, "before": outcome.before,
        "after": outcome.after["model"], "expected": scale * a.corrected.predicted_r1,
        "program": as_the_program(one, a.corrected, scale, bias),
    }  # fmt: skip


def outcomes_of(tries: dict[str, list[dict]], chosen: Sequence[int]) -> list[Outcome]:
    """
    Give what each training comes to, of chosen sets.

    Of a title there is R1 by the network, and with other words behind it: as by the program,
    and both over what was expected of them, times R1 before, so that `ratio` gives that.
    """
    first = next(iter(tries.values()))
    found = []
    for i in chosen:
        before, after = first[i]["before"], {}
        for title, own in tries.items():
            one, program = own[i], own[i]["program"]
            after[title] = one["after"]
            after[f"{title}{PROGRAM}"] = before * program["after"] / program["before"]
            after[f"{title}{EXPECTED}"] = before * one["after"] / one["expected"]
            after[f"{title}{STATED}"] = before * program["after"] / program["stated"]
        told = first[i]["compound"], first[i]["stratum"], first[i]["grade"]
        found.append(Outcome(*told, np.nan, before, after))
    return found


def told(outcomes: Sequence[Outcome], method: str, reference: str = "") -> str:
    """Give a mean ratio with its error, to R1 before or to that of a reference."""
    if len({o.compound for o in outcomes}) < 2:
        return "-"
    if reference:
        outcomes = [replace(o, before=o.after[reference]) for o in outcomes]
    found = summary(outcomes, method)
    return f"{found['ratio']:.3f} ± {found['standard_error']:.3f}"


def rows_of(tries: dict[str, list[dict]], chosen: Sequence[int]) -> list[list[str]]:
    """A line for each training; what is stated, of sets that all of them correct."""
    outcomes = outcomes_of(tries, chosen)
    corrected = [
        outcome
        for i, outcome in zip(chosen, outcomes)
        if all(own[i]["program"]["strength"] > 0 for own in tries.values())
    ]
    rows = []
    for title, own in tries.items():
        strength = np.mean([own[i]["program"]["strength"] for i in chosen])
        cells = [title]
        for name, reference in ((title, USUAL), (title + PROGRAM, USUAL + PROGRAM)):
            largest = max(o.ratio(name) for o in outcomes)
            worse = sum(o.ratio(name) > MARGIN for o in outcomes)
            cells += [told(outcomes, name), f"{largest:.2f}, {worse} worse",
                      "" if title == USUAL else told(outcomes, name, reference)]  # fmt: skip
        cells.insert(4, told(outcomes, title + EXPECTED))
        cells += [
            f"{strength:.2f}",
            f"{told(corrected, title + STATED)} ({len(corrected)})",
        ]
        rows.append(cells)
    return rows


HEADER = ("trained on", "network: ratio", "largest", "over the first", "true/expected",
          "program: ratio", "largest", "over the first", "mean strength",
          "true/stated (sets)")  # fmt: skip


def print_tables(tries: dict[str, list[dict]]) -> None:
    """A table for each grade and family."""
    first = next(iter(tries.values()))
    for grade in GRADES:
        for family in ("usual", *TRIAL_FAMILIES):
            chosen = [
                i
                for i, s in enumerate(first)
                if s["grade"] == grade and name_of(s["compound"]) == family
            ]
            n = len({first[i]["compound"] for i in chosen})
            if n < 2:
                continue
            before = np.exp(np.mean([np.log(first[i]["before"]) for i in chosen]))
            print(f"\n{family}, {grade}: {len(chosen)} sets of {n} compounds, "
                  f"R1 before {before:.3f}")  # fmt: skip
            print(tabulate(rows_of(tries, chosen), HEADER, disable_numparse=True))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    with_families(parser, ordinary=156, fine=53, rich=5, thin=24, precessed=18,
                  kinematic=20, xray=16)  # fmt: skip
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--nproc", type=int, default=None)
    return parser.parse_args()


def main() -> None:
    """Train, and print all tables."""
    args = arguments()
    work, sets = prepared(args)
    usual = [s for s in sets if name_of(s.compound) == "usual"]
    trained, left_out = divided(usual, args.fold)
    added, test = halves([s for s in sets if name_of(s.compound) != "usual"])
    kept = some_compounds(trained, n_compounds(trained) - n_compounds(added))
    trainings = {
        USUAL: ("base", trained, trained),
        REPLACED: ("replaced", kept + added, kept + added),
        ADDED: ("added", trained + added, trained + added),
        KEPT: ("added", trained + added, trained),
        FEWER: ("fewer", kept, kept),
    }
    for title, (_, own, _) in trainings.items():
        print(f"{title}: {n_compounds(own)} compounds, {len(own)} sets")
    tries = {
        title: judged(work, name, own, of_forest, left_out + test)
        for title, (name, own, of_forest) in trainings.items()
    }
    print_tables(tries)


if __name__ == "__main__":
    main()
