"""
Controls of training: what a network learns from multiple scattering, and what from less.

    python benchmarks/training_controls.py FOLDER [--compounds 156] [--fine 53] [--rich 5]
        [--exchanged 20] [--nproc N]

FOLDER is that of `python -m dials_spread.general_model.train`, with the same compounds; what is
missing there is simulated first. One fold of four of the compounds is left out. Of its sets R1
against kinematic |F|, over that of the plain merge (geometric means, standard errors over
compounds, and differences of the same sets from the network as it should be), of

- the network, and the same from another seed;
- the network without what tells of multiple scattering: couplings, geometry, neighbours. It is
  of the same size, and sees amplitudes, agreement, noise, strength and resolution;
- amplitudes drawn to a mean, by one part that is best for the training sets: to the mean of the
  set, or to what Wilson's distribution expects; and by the part that is best for the set;
- French–Wilson: what Wilson's distribution and σ of the merge expect;
- the coupling-weighted mean, without any learning;
- a network trained on targets that were exchanged among reflections of one shell of resolution
  of the same set, against true targets and against such;
- the network, given data of which intensities were exchanged within shells (--exchanged
  compounds, plain).

Networks are kept in FOLDER. PyTorch is needed. With 214 compounds: simulation 25 minutes on two
busy cores, then four networks of 3 to 5 minutes each and 5 minutes for the rest, on one.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from general_model_gains import french_wilson, shuffled
from general_model_sets import DataSet
from general_model_tries import wanted, with_families
from scipy import optimize
from tabulate import tabulate

from dials_spread.correction.features.all_features import FeatureSet, make_features
from dials_spread.correction.model.general import SetModel
from dials_spread.correction.model.network.shapes import Network
from dials_spread.correction.model.posterior import MEAN_ACENTRIC, MEAN_OF_NORMAL
from dials_spread.general_model.compounds import load_compound
from dials_spread.general_model.engines import Work, fit_model, read_sets
from dials_spread.general_model.families import ANY_VOLUME, TRIAL_FAMILIES
from dials_spread.general_model.faults import GRADES
from dials_spread.general_model.gather import (
    VirtualExperiment,
    is_offered,
    measured_of,
    true_amplitudes,
)
from dials_spread.general_model.out_of_fold import Outcome, assess, folds, summary
from dials_spread.general_model.train import FOLDS, prepare_sets
from dials_spread.general_model.virtual import virtual_experiments
from dials_spread.rfactor.r1 import r_factor
from dials_spread.rfactor.shells import shuffled_within
from dials_spread.simulation.driver import Resources

OF_SCATTERING = (
    "coupling", "strongest_path", "excited", "signed", "rate", "mean_o10", "mean_o30",
    "triplets", "mean_pair", "largest_pair", "double_index", "half_index",
)  # fmt: skip
"""How inputs begin that tell of multiple scattering."""

NETWORK = "the network"
OTHER_SEED = "the same, another seed"
BLANK = "without inputs on multiple scattering"
PERMUTED = "trained on exchanged targets"
FIGURES = ("R1 before", "ratio", "±", "worse (%)", "over the network", "±")


def blanked(one: VirtualExperiment) -> VirtualExperiment:
    """Give a set without what tells of multiple scattering."""
    features, changed = one.features, {}
    for table in ("observation", "reflection"):
        names = getattr(features, f"{table}_names")
        changed[table] = getattr(features, table).copy()
        changed[table][:, [n.startswith(OF_SCATTERING) for n in names]] = np.nan
    return replace(one, features=replace(features, **changed))


def with_permuted_targets(one: VirtualExperiment) -> VirtualExperiment:
    """Give a set whose normalised true amplitudes are exchanged within shells."""
    features = one.features
    shell = features.reflection[:, features.reflection_names.index("shell")]
    rng = np.random.default_rng([one.compound, one.stratum, GRADES.index(one.grade)])
    root_N = np.sqrt(features.N)
    return replace(one, F=root_N * shuffled_within(one.F / root_N, shell, rng))


def mean_of_set(features: FeatureSet) -> np.ndarray:
    """Mean amplitude, shape (u,)."""
    return np.full(len(features.E_k), features.E_k.mean())


def wilson_mean(features: FeatureSet) -> np.ndarray:
    """What Wilson's distribution expects of an amplitude, shape (u,)."""
    centric = features.reflection[:, features.reflection_names.index("centric")]
    return np.where(centric > 0.5, MEAN_OF_NORMAL, MEAN_ACENTRIC)


def r1_of_pulled(one: VirtualExperiment, mean: np.ndarray, part: float) -> float:
    """R1 where amplitudes are drawn to a mean by some part; away from it below nought."""
    E = np.maximum(one.features.E_k + part * (mean - one.features.E_k), 0)
    return r_factor(E * np.sqrt(one.features.N), one.F)[0]


def best_part(sets: Sequence[VirtualExperiment], mean_of: Callable) -> float:
    """Give the part by which amplitudes are best drawn to a mean, of all sets alike."""
    means = [mean_of(s.features) for s in sets]

    def loss(part: float) -> float:
        return np.mean([np.log(r1_of_pulled(s, m, part)) for s, m in zip(sets, means)])

    found = optimize.minimize_scalar(loss, bounds=(-0.5, 1), method="bounded",
                                     options={"xatol": 2e-3})  # fmt: skip
    return float(found.x)


def r1_of_french_wilson(one: VirtualExperiment) -> float:
    """R1 of what Wilson's distribution and σ of the plain merge expect."""
    features = one.features
    column = {name: k for k, name in enumerate(features.reflection_names)}
    J = np.bincount(features.unique, features.E_i * np.abs(features.E_i))
    J /= np.bincount(features.unique)
    noise, centric = (features.reflection[:, column[x]] for x in ("noise", "centric"))
    N = features.N
    F = french_wilson(J * N, noise.astype(float) * N, N, centric > 0.5)
    return r_factor(F, one.F)[0]


def divided(
    sets: Sequence[VirtualExperiment], fold: int
) -> tuple[list[VirtualExperiment], list[VirtualExperiment]]:
    """Give the sets of the folds that are trained on, and of the one that is left out."""
    of = folds([s.compound for s in sets], FOLDS, 0)
    return (
        [s for s, f in zip(sets, of) if f != fold],
        [s for s, f in zip(sets, of) if f == fold],
    )


def network_of(
    work: Work, name: str, sets: Sequence[VirtualExperiment], seed: int = 0
) -> SetModel:
    """
    Train a network, or read it where it was trained on as many sets of these compounds.

    Args:
        work: Folder and sizes.
        name: Of the file in the folder.
        sets: To train on.
        seed: Of all random numbers.
    """
    path = Path(work.folder) / f"network_{name}.npz"
    of = np.array([len(sets), *sorted({s.compound for s in sets}), work.epochs])
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            if np.array_equal(stored["of"], of):
                names = [tuple(map(str, stored[k])) for k in ("rows", "columns")]
                arrays = {k[2:]: stored[k] for k in stored.files if k.startswith("a.")}
                return SetModel((Network(*names, work.width, arrays),))
    start = time.perf_counter()
    model = fit_model(work, sets, seed)
    assert isinstance(model, SetModel)
    (network,) = model.networks
    np.savez(
        path, of=of, rows=network.observation_names, columns=network.reflection_names,
        **{f"a.{k}": a for k, a in network.arrays.items()},
    )  # fmt: skip
    minutes = (time.perf_counter() - start) / 60
    print(f"{name}: {len(sets)} sets, {minutes:.1f} minutes", flush=True)
    return model


def judged(
    sets: Sequence[VirtualExperiment], models: dict[str, SetModel]
) -> list[Outcome]:
    """R1 before, and after by each model, of the same sets."""
    found = []
    for one in sets:
        outcome = assess(one, next(iter(models.values()))).outcome
        after = {"weights": outcome.after["weights"]}
        for title, model in models.items():
            seen = blanked(one) if title == BLANK else one
            after[title] = assess(seen, model).outcome.after["model"]
        found.append(replace(outcome, after=after))
    return found


def with_shrinkage(
    outcomes: Sequence[Outcome],
    sets: Sequence[VirtualExperiment],
    trained: Sequence[VirtualExperiment],
) -> list[Outcome]:
    """Add R1 of amplitudes that are drawn to a mean, and of French–Wilson."""
    means = {"the mean": mean_of_set, "Wilson's": wilson_mean}
    parts = {title: best_part(trained, mean_of) for title, mean_of in means.items()}
    found = []
    for outcome, one in zip(outcomes, sets):
        after = dict(outcome.after)
        for title, mean_of in means.items():
            told = f"drawn to {title} by {parts[title]:.2f}"
            after[told] = r1_of_pulled(one, mean_of(one.features), parts[title])
        wilson = wilson_mean(one.features)
        best = best_part([one], wilson_mean)
        after["drawn to Wilson's, by what is best for the set"] = r1_of_pulled(
            one, wilson, best
        )
        after["one amplitude for all"] = r1_of_pulled(one, wilson, 1.0)
        after["French–Wilson"] = r1_of_french_wilson(one)
        found.append(replace(outcome, after=after))
    return found


def figures(
    outcomes: Sequence[Outcome], method: str, reference: str = NETWORK
) -> list[str]:
    """Give R1 before, ratio, its error and how many are worse; and over the reference."""
    told = summary(outcomes, method)
    before = float(np.exp(np.mean(np.log([o.before for o in outcomes]))))
    cells = [f"{before:.3f}", f"{told['ratio']:.4f}", f"{told['standard_error']:.4f}",
             f"{100 * told['worse']:.1f}"]  # fmt: skip
    if reference == method or reference not in outcomes[0].after:
        return [*cells, "", ""]
    own = [replace(o, before=o.after[reference]) for o in outcomes]
    over = summary(own, method)
    return [*cells, f"{over['ratio']:.4f}", f"{over['standard_error']:.4f}"]


def print_by_grade(outcomes: Sequence[Outcome], title: str) -> None:
    """A table for each grade, a line for each method."""
    for grade in GRADES:
        own = [o for o in outcomes if o.grade == grade]
        if len({o.compound for o in own}) < 2:
            continue
        n = len({o.compound for o in own})
        rows = [[method, *figures(own, method)] for method in own[0].after]
        print(f"\n{title}, {grade}: {len(own)} sets of {n} compounds")
        print(tabulate(rows, ["", *FIGURES], disable_numparse=True))


def exchanged_sets(folder: str, seeds: Sequence[int]) -> Iterator[VirtualExperiment]:
    """Plain sets of compounds, intensities exchanged within shells of resolution."""
    grade = GRADES[0]
    for seed in seeds:
        compound = load_compound(folder, seed)
        # As in training: the same sets, but for the exchange.
        rng = np.random.default_rng([seed, 1 + GRADES.index(grade)])
        for experiments, tables, how in virtual_experiments(*compound, rng, 1, grade):
            try:
                if not is_offered(measured_of(experiments, tables)[0]):
                    continue
                mixed = shuffled(DataSet(grade, "", experiments, tables))[0]
                observations, measured = measured_of(experiments, mixed.tables)
                features = make_features(measured, nproc=1)
            except ValueError:
                continue
            F = true_amplitudes(observations, mixed.tables)
            nothing = np.zeros(len(F))
            yield VirtualExperiment(
                seed, how["stratum"], grade, features, F, features.E_k, nothing
            )


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    with_families(parser, ordinary=156, fine=53, rich=5)
    parser.add_argument("--exchanged", type=int, default=20)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--nproc", type=int, default=None)
    return parser.parse_args()


def prepared(args: argparse.Namespace) -> tuple[Work, list[VirtualExperiment]]:
    """Simulate what is missing, and read all sets."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    Path(args.folder).mkdir(parents=True, exist_ok=True)
    work = Work(args.folder, wanted(args), n_folds=FOLDS, epochs=args.epochs,
                width=args.width)  # fmt: skip
    prepare_sets(work, ANY_VOLUME, Resources(args.nproc))
    sets = read_sets(work)
    known = [s for s in sets if np.isfinite(s.features.N).all()]
    if len(known) < len(sets):
        print(f"{len(sets) - len(known)} of {len(sets)} sets have no normalisation.")
    return work, known


def main() -> None:
    """Train, and print all tables."""
    args = arguments()
    if any(getattr(args, name) for name in TRIAL_FAMILIES):
        raise SystemExit("Families for trials are for training_families.py.")
    work, sets = prepared(args)
    trained, left_out = divided(sets, args.fold)
    wrong = [with_permuted_targets(s) for s in trained]
    models = {
        NETWORK: network_of(work, "base", trained),
        OTHER_SEED: network_of(work, "base_1", trained, 1),
        BLANK: network_of(work, "blank", [blanked(s) for s in trained]),
        PERMUTED: network_of(work, "permuted", wrong),
    }
    n = len({s.compound for s in trained})
    print(f"Trained on {len(trained)} sets of {n} compounds.")
    outcomes = with_shrinkage(judged(left_out, models), left_out, trained)
    print_by_grade(outcomes, "Held out")
    wrong = [with_permuted_targets(s) for s in left_out]
    outcomes = judged(wrong, {k: models[k] for k in (NETWORK, PERMUTED)})
    print_by_grade(with_shrinkage(outcomes, wrong, wrong), "Targets exchanged")
    compounds = sorted({s.compound for s in left_out})
    some = np.random.default_rng(2).permutation(compounds)[: args.exchanged]
    mixed = [*exchanged_sets(work.folder, [int(c) for c in some])]
    if mixed:
        outcomes = judged(mixed, {k: models[k] for k in (NETWORK, BLANK)})
        print_by_grade(
            with_shrinkage(outcomes, mixed, trained), "Intensities exchanged"
        )


if __name__ == "__main__":
    main()
