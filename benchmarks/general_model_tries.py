"""
What one fold of random compounds says of a way to train the general model.

    python benchmarks/general_model_tries.py FOLDER --compounds 600 [--fine 300] [--rich 36]
        [--sizes 40 120 240] [--engine trees] [--width 96] [--epochs 12]
        [--train-grades plain] [--train-families ordinary rich] [--nproc N]

FOLDER is that of `python -m dials_spread.general_model.train`, with the same compounds; what is missing
there is simulated first. A model is fitted to three folds of four, or to as many of their
compounds as --sizes says (the learning curve), and corrects the fourth. Printed are the ratios
of R1 to the plain merge, geometric means with their standard errors over compounds, of plain
sets and of rough ones. Variants are chosen by these figures and no others.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from dials_spread.general_model.engines import ENGINES, Work, fit_model, read_sets
from dials_spread.general_model.families import ANY_VOLUME, FAMILIES, family_of
from dials_spread.general_model.faults import GRADES
from dials_spread.general_model.gather import VirtualExperiment
from dials_spread.general_model.out_of_fold import Outcome, assess, folds, summary
from dials_spread.general_model.train import FOLDS, prepare_sets
from dials_spread.simulation.driver import Resources, run_tasks


@dataclass(frozen=True)
class Trial:
    """What is fitted, and to which sets: see the options of the command."""

    work: Work
    grades: tuple[str, ...]
    families: tuple[str, ...]
    fold: int


def with_families(parser: argparse.ArgumentParser, **numbers: int) -> None:
    """Add the folder and how many compounds of each family there are to be."""
    parser.add_argument("folder")
    for name in FAMILIES:
        option = "compounds" if name == "ordinary" else name
        parser.add_argument(f"--{option}", dest=name, type=int,
                            default=numbers.get(name, 0))  # fmt: skip


def wanted(args: argparse.Namespace) -> tuple[int, ...]:
    """Give the seeds of all compounds that were asked for."""
    return tuple(s for k in FAMILIES for s in FAMILIES[k].seeds(getattr(args, k)))


def some_compounds(sets: list[VirtualExperiment], size: int) -> list[VirtualExperiment]:
    """Give the sets of `size` compounds, drawn at random; of all for 0."""
    compounds = sorted({s.compound for s in sets})
    chosen = set(np.random.default_rng(1).permutation(compounds)[: size or None])
    return [s for s in sets if s.compound in chosen]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    with_families(parser)
    parser.add_argument("--sizes", type=int, nargs="*", default=[0])
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--train-grades", nargs="+", choices=GRADES, default=GRADES)
    parser.add_argument("--train-families", nargs="+", choices=[*FAMILIES],
                        default=[*FAMILIES])  # fmt: skip
    parser.add_argument("--nproc", type=int, default=None)
    return parser.parse_args()


def run_trial(
    trial: Trial, size: int, threads: int | None = 1
) -> tuple[int, int, list[Outcome]]:
    """Fit to `size` compounds (0: all), and correct the fold that was left out."""
    sets = read_sets(trial.work)
    fold = folds([s.compound for s in sets], trial.work.n_folds, trial.work.seed)
    allowed = [FAMILIES[name] for name in trial.families]
    others = [
        s
        for s, f in zip(sets, fold)
        if f != trial.fold
        and s.grade in trial.grades
        and family_of(s.compound) in allowed
    ]
    others = some_compounds(others, size)
    model = fit_model(trial.work, others, trial.fold)
    left_out = [s for s, f in zip(sets, fold) if f == trial.fold]
    n_compounds = len({s.compound for s in others})
    return n_compounds, len(others), [assess(s, model).outcome for s in left_out]


def row(n_compounds: int, n_sets: int, outcomes: list[Outcome]) -> list[str]:
    """One line of the table."""
    cells = [str(n_compounds), str(n_sets)]
    ordinary = [o for o in outcomes if family_of(o.compound) != FAMILIES["fine"]]
    fine = [o for o in outcomes if family_of(o.compound) == FAMILIES["fine"]]
    for some in (ordinary, fine):
        for grade in GRADES:
            own = [o for o in some if o.grade == grade]
            cells.append(_figure(own))
    for stratum in (0, 2):
        own = [o for o in ordinary if o.grade == "plain" and o.stratum == stratum]
        cells.append(_figure(own))
    return cells


def _figure(outcomes: list[Outcome]) -> str:
    if len({o.compound for o in outcomes}) < 2:
        return "-"
    told = summary(outcomes)
    return (
        f"{told['ratio']:.4f} ± {told['standard_error']:.4f} "
        f"({100 * told['worse']:.1f} % worse, {told['sets']})"
    )


def main() -> None:
    """Print a line for each size."""
    args = arguments()
    logging.basicConfig(level=logging.WARNING)
    work = Work(args.folder, wanted(args), engine=args.engine, n_folds=FOLDS,
                epochs=args.epochs, width=args.width)  # fmt: skip
    prepare_sets(work, ANY_VOLUME, Resources(args.nproc))
    trial = Trial(work, tuple(args.train_grades), tuple(args.train_families), args.fold)
    rows = [
        row(*found)
        for found in run_tasks(run_trial, trial, args.sizes, Resources(args.nproc))
    ]
    header = ["compounds", "sets", "plain", "rough", "fine, plain", "fine, rough"]
    print(tabulate(rows, [*header, "plain, thin", "plain, thick"]))


if __name__ == "__main__":
    main()
