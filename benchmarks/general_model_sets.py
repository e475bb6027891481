"""
Families of data sets, and what dials.ml_correct makes of each set.

Functions:
    read_arguments: of the command lines of benchmarks
    measured, abtem, own_engine, controls, undecided, held_out: families
    judge: figures of one set, corrected as the command does
    by_expected: expected and true errors of reflections that are expected to be alike
    left_out: figures of measured compounds, the size of the allowance from the others
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import errors
import evidence
import numpy as np
import outside_engine
from general_model_controls import D_MIN, split
from scipy import optimize

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import (
    CorrectionResult,
    correct_intensities,
    get_subject,
)
from dials_spread.correction.apply.merged_files import merged_intensities
from dials_spread.correction.model import general
from dials_spread.correction.model.model_file import Model
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.reference import Reference
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.noise import NoiseModel
from dials_spread.structures.structure_files import read_structure

LEFT_OUT_SIZES = np.linspace(0.0, 3.0, 13)
"""Sizes of the allowance that are tried, relative to that of the program."""

BINS = 8
"""Of the reflections of a set, by their expected relative error."""

UNDECIDED = 10
"""Random compounds, each kinematic and with five thicknesses."""

MOST_R1 = 0.6
"""Sets with a plain merge worse than this have next to no signal."""


@dataclass(frozen=True)
class DataSet:
    """
    A data set.

    Attributes:
        family, name: Which it is.
        experiments, tables: One each a crystal, as dials.integrate would write them.
        source: File of the structure; empty where the tables hold the truth.
    """

    family: str
    name: str
    experiments: Any
    tables: Any
    source: str = ""


def read_arguments(
    doc: str, parts: Sequence[str], compounds: int, *flags: tuple[str, dict]
) -> argparse.Namespace:
    """
    Read what the benchmarks of these families are told, and make the folder.

    Args:
        doc: Of the benchmark.
        parts: That may be chosen; all by default.
        compounds: Random ones of the held-out part, by default.
        flags: Further arguments, each a name and what argparse is told of it.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", choices=parts, default=[*parts])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--random", type=int, default=4)
    parser.add_argument("--compounds", type=int, default=compounds)
    parser.add_argument("--nproc", type=int, default=1)
    for name, told in flags:
        parser.add_argument(name, **told)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    args.folder.mkdir(parents=True, exist_ok=True)
    return args


def measured(args) -> Iterator[DataSet]:
    """The five measured compounds."""
    for name, source, experiments, tables in errors.measured_files(args.data):
        yield DataSet("measured", name, experiments, tables, source)


def abtem(args) -> Iterator[DataSet]:
    """Of another engine and another noise model."""
    cache = args.folder / "abtem"
    for one in outside_engine.outside_sets(args.data, cache, args.random):
        yield DataSet(*one)


def own_engine(args) -> Iterator[DataSet]:
    """The built-in structures as 3, 6 and 24 crystals of some 420 Å."""
    for number, (name, d_min) in enumerate(D_MIN.items()):
        for n in (3, 6, 24):
            rng = np.random.default_rng([number, n])
            widths = [float(w) for w in rng.uniform(40, 80, n)]
            experiments, table = simulate_experiments(
                read_structure(name), rng, n_crystals=n, scan_width=widths, d_min=d_min,
                wave="dynamical", resources=Resources(args.nproc),
                thickness=ThicknessModel(median=420.0, spread=0.5, within=0.4),
                noise=NoiseModel(mean_counts=800.0, extra_error=0.05, image_spread=0.03),
            )  # fmt: skip
            family = f"own engine, {'24' if n == 24 else '3–6'} crystals"
            title = f"{name}, {n} crystals"
            yield DataSet(family, title, experiments, split(table, len(experiments)))


def controls(args) -> Iterator[DataSet]:
    """Kinematic data, and crystals of 50 Å: 300 to 3,000 electrons."""
    for _, name, structure, d_min, n in evidence.compounds(args.random, args.data):
        n = max(n, 3)
        rng = np.random.default_rng(sum(map(ord, name)) + 1)
        made = evidence.simulate(structure, d_min, n, rng, (50.0,))
        for family, column in (
            ("kinematic", evidence.KINEMATIC), ("50 Å thick", "thickness.0"),
        ):  # fmt: skip
            for seed, noise in enumerate(evidence.KINEMATIC_GRADES):
                own = evidence.noisy(made, d_min, column, noise, 100 + seed)
                title = f"{name}, {noise.mean_counts:.0f} electrons"
                yield DataSet(family, title, *own)


def undecided(args) -> Iterator[DataSet]:
    """Random compounds, thin ones too: the data often do not decide how they scatter."""
    for part, name, structure, d_min, n in evidence.compounds(UNDECIDED, args.data):
        if part != "random":
            continue
        rng = np.random.default_rng(sum(map(ord, name)) + 7)
        made = evidence.simulate(structure, d_min, n, rng)
        for family, column, grades in evidence.families():
            for seed, noise in enumerate(grades):
                own = evidence.noisy(made, d_min, column, noise, 100 + seed)
                title = f"{name}, {noise.mean_counts:.0f} electrons"
                yield DataSet(f"random compounds, {family}", title, *own)


def held_out(args) -> Iterator[DataSet]:
    """Random compounds that no network has seen, made as for training."""
    folder = args.folder / "held_out"
    for grade, *own in errors.virtual_sets(folder, args.compounds):
        yield DataSet(f"random compounds, {grade}", "", *own)


PARTS = {
    "measured": measured, "abtem": abtem, "own": own_engine, "controls": controls,
    "undecided": undecided, "held_out": held_out,
}  # fmt: skip


def truth_of(data: DataSet, subject) -> np.ndarray:
    """Give true amplitudes of the unique reflections; nan where not known."""
    if not data.source:
        return true_amplitudes(subject.observations, data.tables)
    reference: Reference = find_reference(subject.observations, data.source)
    found = match(reference, subject.prepared, np.random.default_rng(0))
    return np.asarray(found.f_calc)


def judge(data: DataSet, model: Model) -> dict | None:
    """
    Correct a set as the command does, and compare.

    Args:
        data: The set.
        model: The model file.

    Returns:
        Figures for a JSON file; None where the command refuses, or nothing is signal.
    """
    try:
        subject = get_subject(data.experiments, data.tables, nproc=1)
    except ValueError:
        return None
    result = correct_intensities(subject, model, nproc=1)
    F = truth_of(data, subject)
    known = np.isfinite(F)
    plain = amplitudes(subject.prepared.with_damage.merged())
    before = [_r1(x, F) for x in (plain, result.F_before)]
    after = _r1(result.F, F)
    if not min(before) < MOST_R1:
        return None
    d_star_sq = subject.prepared.measured.d_star_sq
    with_b = [_r1_with_b(x, F, d_star_sq) for x in (plain, result.F_before, result.F)]
    found = {
        "family": data.family, "name": data.name, "before": min(before), "after": after,
        "before by σ": before[1], "before with B": min(with_b[:2]), "after with B": with_b[2],
        "n": int(known.sum()), "strength": result.strength,
        "limit": subject.limit.d_min if subject.limit else None,
        "lorentz": errors.lorentz_verdicts(subject.prepared.measured),
    }  # fmt: skip
    if result.strength > 0:
        found["expected"] = result.expected.value
        found["limits"] = result.expected.limits
        found["network"] = result.estimate.simulated_r1
        told = result.estimate
        found["shells"] = by_expected(told.F, told.error_F, F)
    return {**found, **_coverage(result, F)}


def _r1(F_o: np.ndarray, F: np.ndarray) -> float:
    known = np.isfinite(F)
    return float(r_factor(F_o[known], F[known])[0])


def by_expected(F_o: np.ndarray, error: np.ndarray, F: np.ndarray) -> list[list[float]]:
    """
    Compare expected with true errors, reflections in the order of their relative error.

    Args:
        F_o: Shape (u,), corrected amplitudes.
        error: Shape (u,), their expected absolute errors.
        F: Shape (u,), true amplitudes; nan where not known.

    Returns:
        Of each of BINS bins with as many reflections: expected and true Σ|ΔF|/ΣF (the
        scale is that of all reflections), and their number.
    """
    known = np.flatnonzero(np.isfinite(F))
    F_o, error, F = F_o[known], error[known], F[known]
    true = F / r_factor(F_o, F)[1]
    order = np.argsort(error / np.maximum(F_o, 1e-30), kind="stable")
    return [
        [float(error[own].sum() / F_o[own].sum()),
         float(np.abs(F_o - true)[own].sum() / true[own].sum()), len(own)]
        for own in np.array_split(order, BINS)
    ]  # fmt: skip


def _r1_with_b(F_o: np.ndarray, F: np.ndarray, d_star_sq: np.ndarray) -> float:
    """R1 with an overall B that is fitted as the scale is."""
    found = optimize.minimize_scalar(
        lambda B: _r1(F_o * np.exp(B * d_star_sq / 4), F),
        bounds=(-4, 4),
        method="bounded",
    )
    return float(found.fun)


def _coverage(result: CorrectionResult, F: np.ndarray) -> dict:
    """What lies within 1 and 2 σ, and beyond 10: of amplitudes, where written, and F²."""
    array = merged_intensities(result)
    I, sigma = (np.array(x) for x in (array.data(), array.sigmas()))
    told = {"I": (I, sigma, 2)}
    if result.strength == 1:
        told["F"] = (result.estimate.F, result.estimate.sigma_F, 1)
    known = np.isfinite(F)
    k = r_factor(np.sqrt(np.maximum(I, 0))[known], F[known])[1]
    found = {}
    for name, (value, sd, power) in told.items():
        z = np.abs((F / k) ** power - value)[known] / sd[known]
        found[name] = [float(np.mean(z < 1)), float(np.mean(z < 2)), float(np.mean(z > 10))]  # fmt: skip
    return found


@contextmanager
def _size(factor: float):
    """Let the allowance be of another size."""
    kept = general.UNSIMULATED
    general.UNSIMULATED = tuple(factor * x for x in kept)
    try:
        yield
    finally:
        general.UNSIMULATED = kept


def left_out(args, model: Model) -> list[dict]:
    """
    Judge measured compounds with the size of the allowance from the other ones.

    The size is that with which R1 of the others is what is expected of them, in the
    geometric mean.
    """
    found: dict[str, list[dict]] = {}
    for data in measured(args):
        subject = get_subject(data.experiments, data.tables, nproc=1)
        F = truth_of(data, subject)
        joined = subject.counted.measured.without_repeats()[0]
        own = general.prepare(joined, 1)
        net = general.unpack(model).correct(general.features_of(own, 1))
        found[data.name] = [_with_size(size, net, own, F) for size in LEFT_OUT_SIZES]
    judged = []
    for name, own in found.items():
        ratio = np.mean(
            [np.log([x["ratio"] for x in o]) for k, o in found.items() if k != name],
            axis=0,
        )
        # It falls with the size.
        size = float(np.interp(0.0, -ratio, LEFT_OUT_SIZES))
        figures = {
            key: np.array([
                np.interp(size, LEFT_OUT_SIZES, column)
                for column in np.transpose([np.atleast_1d(x[key]) for x in own])
            ]).tolist()
            for key in ("ratio", "F", "I")
        }  # fmt: skip
        judged.append({"name": name, "size": size, "n": own[0]["n"], **figures})
    return judged


def _with_size(size: float, net, own, F: np.ndarray) -> dict:
    """Ratio and coverage with the allowance of a size."""
    with _size(size):
        told = general.with_unsimulated(net, own.r_meas, own.n, own.measured.centric)
    known = np.isfinite(F)
    r1, k = r_factor(told.F[known], F[known])[:2]
    found: dict = {"ratio": float(r1 / told.predicted_r1), "n": int(known.sum())}
    for name, off, sigma in (
        ("F", F / k - told.F, told.sigma_F),
        ("I", (F / k) ** 2 - told.intensity, told.sigma_intensity),
    ):
        z = np.abs(off[known]) / sigma[known]
        found[name] = [float(np.mean(z < 1)), float(np.mean(z < 2)), float(np.mean(z > 10))]  # fmt: skip
    return found
