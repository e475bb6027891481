"""
Train the general model on random synthetic crystals alone.

Usage::

    python -m dials_spread.ml.train FOLDER --compounds 400 --output general.model

Compounds are simulated into FOLDER one by one, each from a seed of its own; what is there
is not simulated again, so that an interrupted run is taken up where it stopped and more
compounds can be added. Then features are made, all sets are corrected by models of the
other folds of compounds, and the figures of that go into the card of the model that is
fitted to all. No measured data and no real structure take part.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dials_spread.ml.boosting import BoostedTrees
from dials_spread.ml.card import Card
from dials_spread.ml.card import TrainingSet as CardSet
from dials_spread.ml.general import GeneralModel, pack
from dials_spread.ml.registry import MODEL_1, REFLECTION_ALL
from dials_spread.ml.store import write_model
from dials_spread.ml.training.compounds import VOLUMES, Store, store_compound
from dials_spread.ml.training.errors import fit_error
from dials_spread.ml.training.gather import TrainingSet, gather_compound
from dials_spread.ml.training.out_of_fold import (
    METHODS,
    Assessed,
    fit,
    out_of_fold,
    summary,
)
from dials_spread.ml.two_models import default_regressor
from dials_spread.simulation.driver import Resources, run_tasks

logger = logging.getLogger("dials.spread.train")

FOLDS = 5


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m dials_spread.ml.train", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("folder", help="where compounds are kept; made if missing")
    parser.add_argument("--compounds", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--seed", type=int, default=0, help="of folds and fits")
    parser.add_argument("--trees", type=int, default=200, help="of each forest")
    parser.add_argument("--volumes", type=float, nargs=2, default=VOLUMES)
    parser.add_argument("--nproc", type=int, default=None)
    parser.add_argument("--scheduler", help="of Dask, as tcp://host:8786")
    parser.add_argument("--output", default="general.model")
    chosen = parser.parse_args(given)
    if chosen.compounds < FOLDS:
        parser.error(f"{FOLDS} folds need as many compounds, not {chosen.compounds}")
    return chosen


def load_sets(store: Store, seeds: Sequence[int], resources: Resources):
    """
    Simulate what is missing, and give the training sets of all compounds.

    Args:
        store: Where compounds are.
        seeds: Of the compounds.
        resources: Where to simulate.
    """
    done = run_tasks(store_compound, store, seeds, resources)
    logger.info("%d of %d compounds could be simulated.", sum(done), len(done))
    folder = store.folder
    return [
        s for lot in run_tasks(gather_compound, folder, seeds, resources) for s in lot
    ]


def regressors(trees: int) -> Callable[[str, int], BoostedTrees]:
    """
    Give what makes unfitted regressors from a loss and a seed.

    Args:
        trees: Of each forest.
    """

    def make(loss: str, seed: int) -> BoostedTrees:
        return default_regressor(loss, seed).set_params(max_iter=trees)

    return make


def train(
    sets: Sequence[TrainingSet], seed: int, trees: int = 200
) -> tuple[GeneralModel, list[Assessed], dict]:
    """
    Assess out of fold, and fit the model to all.

    Args:
        sets: Of all compounds.
        seed: Of folds and fits.
        trees: Of each forest.

    Returns:
        The model, what came out of fold, and the figures for the card.
    """
    make = regressors(trees)
    assessed = out_of_fold(sets, FOLDS, seed, make)
    outcomes = [a.outcome for a in assessed]
    error, how_well = fit_error(assessed, FOLDS, seed, make)
    general = GeneralModel(fit(sets, seed, make), error)
    figures = {
        "R1 before, geometric mean": _geometric([o.before for o in outcomes]),
        **{f"out of fold, {method}": summary(outcomes, method) for method in METHODS},
        **{
            f"out of fold, model, stratum {k}": summary(
                [o for o in outcomes if o.stratum == k]
            )
            for k in sorted({o.stratum for o in outcomes})
        },
        "predicted R1": how_well,
    }
    return general, assessed, figures


def _geometric(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def make_card(sets: Sequence[TrainingSet], figures: dict, how: dict) -> Card:
    """
    Describe the model.

    Args:
        sets: That it was fitted to.
        figures: From train.
        how: The choices of the command line.
    """
    compounds = len({s.compound for s in sets})
    whole = CardSet(
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
        ValueError: Too few compounds gave data that can be corrected.
    """
    Path(chosen.folder).mkdir(parents=True, exist_ok=True)
    store = Store(str(chosen.folder), tuple(chosen.volumes))
    seeds = range(chosen.first, chosen.first + chosen.compounds)
    resources = Resources(chosen.nproc, chosen.scheduler, progress=True)
    sets = load_sets(store, seeds, resources)
    general, _, figures = train(sets, chosen.seed, chosen.trees)
    logger.info(json.dumps(figures, indent=1))
    how = {
        k: getattr(chosen, k)
        for k in ("compounds", "first", "seed", "trees", "volumes")
    }
    checksum = write_model(
        pack(general, make_card(sets, figures, how), {}), chosen.output
    )
    logger.info("Wrote %s (SHA-256 %s)", chosen.output, checksum)


if __name__ == "__main__":
    sys.exit(main())
