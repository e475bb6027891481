"""
Train the general model on random synthetic crystals alone.

Usage::

    python -m dials_spread.general_model.train FOLDER --compounds 400 --output general.safetensors

Compounds are simulated into FOLDER one by one, each from a seed of its own; what is there
is not simulated again, so that an interrupted run is taken up where it stopped and more
compounds can be added. Then features are made, and all sets are corrected by models of the
other folds of compounds, whose figures go into the card. The model is the mean of these
networks; of boosted trees it is fitted to all compounds. No measured data and no real
structure take part.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL
from dials_spread.correction.model.card import Card, TrainingSummary
from dials_spread.correction.model.general import (
    GeneralModel,
    SetModel,
    TreeModel,
    pack,
)
from dials_spread.correction.model.model_file import write_model
from dials_spread.correction.model.network.fit import torch_or_explain
from dials_spread.general_model.compounds import N_STRATA, Store, store_compound
from dials_spread.general_model.engines import (
    ENGINES,
    FoldResult,
    Work,
    read_sets,
    regressors,
    run_part,
)
from dials_spread.general_model.errors import error_scale, fit_error, judge
from dials_spread.general_model.families import (
    ANY_VOLUME,
    FAMILIES,
    TRIAL_FAMILIES,
    family_of,
)
from dials_spread.general_model.faults import GRADES
from dials_spread.general_model.gather import VirtualExperiment, gather_counts
from dials_spread.general_model.out_of_fold import METHODS, Assessed, Outcome, summary
from dials_spread.simulation.driver import Resources, run_tasks

logger = logging.getLogger("dials.spread.train")

FOLDS = 4

MULTIPLICITIES = (
    ("multiplicity below 3", 0.0, 3.0),
    ("multiplicity 3 to 12", 3.0, 12.0),
    ("multiplicity from 12", 12.0, np.inf),
)

TOLD = (
    *("compounds", "rich", "fine", "first", "seed", "volumes", "engine"),
    *("trees", "epochs", "width", *TRIAL_FAMILIES),
)
"""Arguments that go into the card."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m dials_spread.general_model.train",
        description=__doc__.split("\n\n")[0],
    )
    parser.add_argument("folder", help="where compounds are kept; made if missing")
    parser.add_argument("--compounds", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--seed", type=int, default=0, help="of folds and fits")
    parser.add_argument("--rich", type=int, default=0, help="more, of 12-24 crystals")
    parser.add_argument("--fine", type=int, default=0, help="more, to 0.5-0.75 Å")
    for name in TRIAL_FAMILIES:
        parser.add_argument(f"--{name}", type=int, default=0, help="more, for a trial")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--epochs", type=int, default=12, help="of a network")
    parser.add_argument("--width", type=int, default=64, help="of its layers")
    parser.add_argument("--trees", type=int, default=200, help="of each forest")
    parser.add_argument("--volumes", type=float, nargs=2, default=ANY_VOLUME)
    parser.add_argument("--nproc", type=int, default=None)
    parser.add_argument("--scheduler", help="of Dask, as tcp://host:8786")
    parser.add_argument("--output", default="general.safetensors")
    chosen = parser.parse_args(given)
    if chosen.compounds < FOLDS:
        parser.error(f"{FOLDS} folds need as many compounds, not {chosen.compounds}")
    return chosen


def prepare_sets(
    work: Work, volumes: tuple[float, float], resources: Resources
) -> None:
    """
    Simulate what is missing, and make features of it.

    Args:
        work: Folder and seeds.
        volumes: Limits of the volume of the cell [Å³].
        resources: Where to simulate.
    """
    store = Store(work.folder, volumes)
    with _timed("Compounds"):
        simulate = replace(resources, title="Compounds")
        done = run_tasks(store_compound, store, work.seeds, simulate)
    logger.info("%d of %d compounds could be simulated.", sum(done), len(done))
    with _timed("Features"):
        gather = replace(resources, title="Features")
        run_tasks(gather_counts, work.folder, work.seeds, gather)


@contextmanager
def _timed(title: str) -> Iterator[None]:
    """Log how long a part took; of a run that was taken up, what was left of it."""
    start = time.perf_counter()
    yield
    logger.info("%s: %.1f minutes", title, (time.perf_counter() - start) / 60)


def train(
    work: Work, resources: Resources
) -> tuple[GeneralModel, list[Assessed], dict]:
    """
    Assess on held-out compounds, and make the model.

    Of networks the model is the mean of those of all folds: each has seen most of the
    compounds, together they have seen all, and no further one has to be trained.

    Args:
        work: What is to be fitted, and how.
        resources: Where to fit.

    Returns:
        The model, results of held-out compounds, and the figures for the card.
    """
    last = "bias" if work.engine == "network" else "trees"
    tasks = [*(("fold", k) for k in range(work.n_folds)), (last, 0)]
    done = run_tasks(run_part, work, tasks, replace(resources, title="Fits"))
    *folds, whole = done
    assessed = [a for fold in folds for a in fold.assessed]
    general, how_well = _complete(work, whole, folds, assessed)
    return general, assessed, {**figures_of(assessed), **how_well}


def _complete(
    work: Work, whole, folds: Sequence[FoldResult], assessed: Sequence[Assessed]
) -> tuple[GeneralModel, dict]:
    """Put the parts together with what tells of errors; and how well it does."""
    if work.engine == "network":
        models = [fold.model for fold in folds if isinstance(fold.model, SetModel)]
        networks = [n for model in models for n in model.networks]
        scale = error_scale(assessed)
        return SetModel(tuple(networks), whole, scale), _judged(assessed, scale)
    error, told = fit_error(assessed, work.n_folds, work.seed, regressors(work.trees))
    return TreeModel(whole, error), _judged(told)


def _judged(assessed: Sequence[Assessed], scale: float = 1.0) -> dict:
    """Say for each grade how well R1 is predicted."""
    told = {}
    for grade in GRADES:
        own = [a for a in assessed if a.outcome.grade == grade]
        if own:
            told[f"predicted R1, {grade} sets"] = judge(own, scale)
    return told


def figures_of(assessed: Sequence[Assessed]) -> dict:
    """
    Sum up results of held-out compounds.

    Args:
        assessed: All sets.

    Returns:
        Figures of plain sets, for some selections of them too, and of rough sets.
    """
    outcomes = [a.outcome for a in assessed]
    plain = [o for o in outcomes if o.grade == GRADES[0]]
    rough = [o for o in outcomes if o.grade != GRADES[0]]
    told = _summaries("out of fold", plain)
    for title, some in _selections(plain).items():
        told[f"out of fold, model, {title}"] = summary(some)
    return {**told, **_summaries("rough sets out of fold", rough)}


def readable(figures: dict) -> dict:
    """Name figures for the log; a card's own keys, which files have, stay as they are."""
    return {
        key.replace("out of fold", "of held-out compounds"): figures[key]
        for key in figures
    }


def _summaries(title: str, outcomes: Sequence[Outcome]) -> dict:
    """Give R1 before and the figures of all methods, if there is any set."""
    if not outcomes:
        return {}
    before = float(np.exp(np.mean(np.log([o.before for o in outcomes]))))
    methods = {f"{title}, {m}": summary(outcomes, m) for m in METHODS}
    return {f"{title}, R1 before, geometric mean": before, **methods}


def _selections(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """
    Give those of each stratum, of ranges of multiplicity, of each family, and of each
    stratum of it: a sum over families depends on how many each has.
    """
    found = {
        f"stratum {k}": [o for o in outcomes if o.stratum == k] for k in range(N_STRATA)
    }
    for title, low, high in MULTIPLICITIES:
        found[title] = [o for o in outcomes if low <= o.multiplicity < high]
    for name, family in FAMILIES.items():
        own = found[name] = [o for o in outcomes if family_of(o.compound) == family]
        for k in range(N_STRATA):
            found[f"{name}, stratum {k}"] = [o for o in own if o.stratum == k]
    return {title: some for title, some in found.items() if some}


def make_card(sets: Sequence[VirtualExperiment], figures: dict, how: dict) -> Card:
    """
    Describe the model.

    Args:
        sets: That it was fitted to.
        figures: From train.
        how: The choices of the command line.
    """
    compounds = len({s.compound for s in sets})
    whole = TrainingSummary(
        name=f"{len(sets)} virtual experiments of {compounds} random compounds",
        crystals=sum(len(np.unique(s.features.crystal)) for s in sets),
        observations=sum(len(s.features.unique) for s in sets),
        unique=sum(len(s.F) for s in sets),
    )
    return Card(
        name="general",
        description=(
            "Corrects electron-diffraction intensities for multiple scattering; trained "
            "on random synthetic crystals, for compounds that it has never seen. "
            "Made with: " + json.dumps(how)
        ),
        features=tuple(f.as_dict() for f in (*MODEL_1, *REFLECTION_ALL)),
        training=(whole,),
        validation=figures,
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the training; what cannot be done is told in one line, with status 1."""
    chosen = arguments(given)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        run(chosen)
    except (OSError, ValueError) as error:
        logger.error("%s", error)
        return 1
    return 0


def run(chosen: argparse.Namespace) -> None:
    """
    Simulate, assess, fit and write.

    Args:
        chosen: From arguments.

    Raises:
        ValueError: Too few compounds gave data that can be corrected, or PyTorch is
            not installed.
    """
    if chosen.engine == "network":
        torch_or_explain()  # before hours of simulation
    Path(chosen.folder).mkdir(parents=True, exist_ok=True)
    work = Work(
        folder=str(chosen.folder),
        seeds=(
            *FAMILIES["ordinary"].seeds(chosen.compounds, chosen.first),
            *FAMILIES["rich"].seeds(chosen.rich),
            *FAMILIES["fine"].seeds(chosen.fine),
            *(
                seed
                for name in TRIAL_FAMILIES
                for seed in FAMILIES[name].seeds(getattr(chosen, name))
            ),
        ),
        engine=chosen.engine,
        n_folds=FOLDS,
        seed=chosen.seed,
        trees=chosen.trees,
        epochs=chosen.epochs,
        width=chosen.width,
    )
    resources = Resources(chosen.nproc, chosen.scheduler, progress=True)
    prepare_sets(work, chosen.volumes, resources)
    with _timed("Fits"):
        general, _, figures = train(work, resources)
    logger.info(json.dumps(readable(figures), indent=1))
    how = {k: v for k, v in vars(chosen).items() if k in TOLD}
    card = make_card(read_sets(work), figures, how)
    checksum = write_model(pack(general, card), chosen.output)
    logger.info("Wrote %s (SHA-256 %s)", chosen.output, checksum)


if __name__ == "__main__":
    sys.exit(main())
