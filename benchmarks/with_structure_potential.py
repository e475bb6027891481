"""
Whether amplitudes between those of data and structure are better to simulate with.

    python benchmarks/with_structure_potential.py FOLDER [--data FOLDER] [--nproc N]
        [--only own abtem] [--sets NAME ...] [--random 4] [--json FILE]

Simulated data, of which the truth is known: those of with_structure.py, and crystals of abTEM
(outside_engine; FOLDER keeps its rocking curves), one thickness for each compound. One line for
each structure: R1 against true |F| of the plain merge, of the general model, and after a step
with amplitudes of the data in the potential ("data") and with those that the program takes
("program": between those of data and structure, where held-out observations are predicted
better so). Then height over that with true |F|: of the atoms that lack in the Fo - Fc map of
the structure, or of a false atom, which has 1 where the data deny it as they should; and z of held-out
observations. "pull" is the slope of errors against what the structure is wrong by: 0 where none is
drawn to the structure, 1 where the structure is given back.

Structures: complete; without hydrogen; atoms moved by 0.1 and 0.3 Å; a false atom; without 15 % of
the atoms, or one of ten and fewer, twice. At the end means of each kind.

Half a minute to a minute a line for small cells, minutes for abiraterone.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import outside_engine
from tabulate import tabulate
from with_structure import (
    Data,
    height_at,
    moved,
    one_more,
    peaks,
    simulated,
    structure_input,
    without,
)

from cctbx import xray

from dials_spread.correction.apply.correct import get_subject
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.refinement.model import hydrogen_atoms
from dials_spread.rfactor import r_factor
from dials_spread.with_structure import correct_with_structure
from dials_spread.with_structure.believed_amplitudes import BelievedAmplitudes
from dials_spread.with_structure.problem import StructureProblem

WAYS = ("data", "program")


def outside(args) -> Iterator[Data]:
    """Crystals of abTEM, each compound in one of three ranges of thickness."""
    every = outside_engine.compounds(args.data, args.random)
    for number, (name, structure, d_min) in enumerate(every):
        if args.sets and name not in args.sets:
            continue
        n = outside_engine.CRYSTALS[number % len(outside_engine.CRYSTALS)]
        path = args.folder / f"{name.replace(' ', '_')}_{n}.npz"
        made = outside_engine.simulated(structure, d_min, n, 5000 + number, path)
        place = number % len(outside_engine.RANGES)
        rng = np.random.default_rng([number, n, place])
        limits, noise = outside_engine.RANGES[place], outside_engine.draw_noise(rng)
        experiments, tables = outside_engine.data_set(made, limits, d_min, rng, noise)
        subject = get_subject(experiments, tables, force=True, nproc=args.nproc)
        F = true_amplitudes(subject.observations, tables)
        yield Data(
            f"abTEM {name}",
            subject,
            list(experiments),
            tables,
            structure,
            F,
            args.nproc,
        )


def own(args) -> Iterator[Data]:
    """As with_structure.py has them."""
    for data in simulated(args.nproc):
        if not args.sets or data.name in args.sets:
            yield data


def structures(data: Data) -> Iterator[tuple[str, xray.structure, np.ndarray, bool]]:
    """Kind, structure, sites that it lacks, or of the atom that is too many."""
    structure, rng = data.structure, np.random.default_rng(15)
    sites, none = np.array(structure.sites_frac()), np.empty((0, 3))
    hydrogen = hydrogen_atoms(structure)
    yield "complete", structure, none, False
    if hydrogen.any():
        yield "no hydrogen", without(structure, hydrogen), sites[hydrogen], False
    for by in (0.1, 0.3):
        yield f"moved by {by} Å", moved(structure, by, rng), none, False
    other, site = one_more(structure, rng)
    yield "false atom", other, site[None], True
    heavy = np.flatnonzero(~hydrogen)
    n = 1 if len(heavy) <= 10 else round(0.15 * len(heavy))
    for _ in range(2):
        left_out = np.zeros(len(sites), bool)
        left_out[rng.choice(heavy, n, replace=False)] = True
        yield "atoms lack", without(structure, left_out), sites[left_out], False


@contextmanager
def amplitudes_of(way: str) -> Iterator[None]:
    """Simulate with amplitudes of the data alone, where that is the way."""
    kept = StructureProblem.believed
    if way == "data":
        StructureProblem.believed = lambda _, F, sigma: BelievedAmplitudes(  # type: ignore
            F, np.zeros(len(F)), 1.0, ()
        )
    try:
        yield
    finally:
        StructureProblem.believed = kept  # type: ignore


def line(data: Data, kind: str, structure: xray.structure, sites, false: bool) -> dict:
    """Figures of one structure."""
    known = np.isfinite(data.F)

    def height(F: np.ndarray) -> float:
        if false:
            return height_at(data, structure, F, sites[0])
        return peaks(data, structure, F, sites)[0] if len(sites) else np.nan

    def error(F: np.ndarray) -> np.ndarray:
        scale = r_factor(F[known], data.F[known])[1]
        return scale * F[known] - data.F[known]

    told: dict = {"set": data.name, "kind": kind, "z": [], "R1": [], "height": []}
    told |= {"pull": [], "steps": [], "share": []}
    sets = [data.plain, data.first.F]
    for way in WAYS:
        with amplitudes_of(way):
            given = structure_input(data, structure, kind)
            found = correct_with_structure(given, hand=False)
        sets.append(found.estimate.F)
        told["z"].append(found.by_observation.z)
        told["steps"].append(found.n_steps)
        wrong = error(found.problem.potential.calculated)
        off = error(found.estimate.F)
        told["pull"].append(
            float(wrong @ off / (wrong @ wrong)) if kind != "complete" else np.nan
        )
        told["share"].append(found.believed.mean_share if found.believed else 0.0)
    true = height(np.where(known, data.F, np.nan))
    for F in sets:
        told["R1"].append(float(r_factor(F[known], data.F[known])[0]))
        told["height"].append(height(F) / true)
    return told


def means(told: list[dict]) -> list[list[str]]:
    """A row for each family and kind."""
    rows = []
    groups: dict[tuple[str, str], list[dict]] = {}
    for one in told:
        family = "abTEM" if one["set"].startswith("abTEM") else "own engine"
        groups.setdefault((family, one["kind"]), []).append(one)
    for (family, kind), some in groups.items():
        worse = sum(x["R1"][3] > x["R1"][2] + 0.0015 for x in some)
        row = [family, kind, str(len(some))]
        for key, form in (("R1", ".3f"), ("height", ".2f"), ("z", ".1f"), ("pull", ".2f")):  # fmt: skip
            row.append(" / ".join(f"{x:{form}}" for x in np.mean([x[key] for x in some], axis=0)))  # fmt: skip
        taken = sum(x["share"][1] > 0 for x in some)
        rows.append([*row, str(taken), str(worse)])
    return rows


def parser_of(about: str, only: list[str]) -> argparse.ArgumentParser:
    """The arguments of benchmarks that take sets of general_model_sets.py one by one."""
    parser = argparse.ArgumentParser(description=about.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--nproc", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=only)
    parser.add_argument("--sets", nargs="*", help="names of compounds")
    parser.add_argument("--random", type=int, default=4)
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser


def main() -> None:
    """Print the tables."""
    args = parser_of(__doc__, ["own", "abtem"]).parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    told: list[dict] = []
    for part, made in (("own", own), ("abtem", outside)):
        for data in made(args) if part in args.only else ():
            for kind, structure, sites, false in structures(data):
                try:
                    told.append(line(data, kind, structure, sites, false))
                except ValueError as error:  # too incomplete to give phases
                    print(data.name, kind, str(error)[:60], flush=True)
                    continue
                print({k: np.round(v, 3).tolist() if isinstance(v, list) else v
                       for k, v in told[-1].items()}, flush=True)  # fmt: skip
                if args.json:
                    args.json.write_text(json.dumps(told))
    header = ["family", "structure", "sets", "R1: merge / general / data / program"]
    header += ["height: the same", "z: data / program", "pull", "structure taken", "R1 worse"]  # fmt: skip
    print(tabulate(means(told), header, disable_numparse=True))


if __name__ == "__main__":
    main()
