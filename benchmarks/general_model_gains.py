"""
What of the general model's gain is due to multiple scattering: controls beside it.

    python benchmarks/general_model_gains.py FOLDER [--only measured abtem own held_out]
        [--data FOLDER] [--random 4] [--compounds 24]

FOLDER, families and R1 before (the better of two merges) are those of general_model.py. Of each
set R1 against kinematic |F| of

- French–Wilson: the mean of |F| that Wilson's distribution and the merged intensity with its
  σ allow (French & Wilson (1978), Acta Cryst. A34, 517), of the better of two merges, too:
  with weights 1/σ² and σ of counting, and with equal ones and σ from how equivalents differ.
  A mean only, which knows of no orientation and no neighbour;
- no geometry: the model, each observation with a beam of a random direction;
- the correction, as dials.ml_correct makes it.

Then shuffled data: intensities exchanged, with their σ, among all observations of a shell of
resolution. There is nothing to correct. How much of the correction the command applies; and, with
force=True d_min=None strength=1, R1 against the truth before and after, by French–Wilson, and
as expected.

Each part leaves its figures in FOLDER as JSON; the tables are of all that is there.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from general_model_sets import MOST_R1, PARTS, DataSet, read_arguments, truth_of
from general_model_sets import _r1 as r1
from tabulate import tabulate

from dials.array_family import flex

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.apply.subject import Subject
from dials_spread.correction.apply.table_errors import merged_errors, plain_errors
from dials_spread.correction.model.general import GeneralModel, correct_prepared, unpack
from dials_spread.correction.model.model_file import Model, read_model
from dials_spread.prepare.prepared import prepare
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.shells import resolution_shells, shuffled_within

KINDS = ("measured", "abtem", "own", "held_out")
PER_SHELL = 200
"""Observations, about, that are exchanged with each other."""

KINDS_OF_INTENSITY = ("prf", "sum")

SHUFFLES = 4
"""Of each measured set, to see what the command says; of a simulated one there is one."""

EACH = 4
"""Of simulated sets every fourth one is shuffled."""

POINTS = 400
"""Of |E| at which a posterior is computed."""

WIDTH = 8.0
"""Of a posterior, in σ of the intensity, to either side."""

WORSE = 1.005


def french_wilson(
    I: np.ndarray, sigma: np.ndarray, N: np.ndarray, centric: np.ndarray
) -> np.ndarray:
    """
    Give means of |F| given merged intensities.

    Args:
        I, sigma: Shape (u,), merged intensities and their σ.
        N: Shape (u,), expected intensities.
        centric: Shape (u,), bool.

    Returns:
        Shape (u,); by quadrature over |E|, 2 E exp(-E²) of acentric and exp(-E²/2) of centric
        reflections times the normal distribution of the intensity.
    """
    J, s = I / N, np.maximum(sigma / N, 1e-6)
    low, high = (np.sqrt(np.maximum(J + side * WIDTH * s, 0)) for side in (-1, 1))
    # Far below nought, or with a σ that says nothing, the prior alone has an end.
    high = np.maximum(np.minimum(high, low + 6.0), low + 1e-3)
    E = np.linspace(low, high, POINTS + 1, axis=1)
    E = (E[:, 1:] + E[:, :-1]) / 2
    prior = np.where(centric[:, None], -(E**2) / 2, np.log(E) - E**2)
    log = prior - 0.5 * ((E**2 - J[:, None]) / s[:, None]) ** 2
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    return np.sqrt(N) * (weight * E).sum(axis=1) / weight.sum(axis=1)


def plain_and_shrunk(subject: Subject, F: np.ndarray) -> dict[str, list[float]]:
    """R1 of two merges, with weights 1/σ² and equal ones, and of their French–Wilson means."""
    prepared, counted = subject.prepared, subject.counted.with_damage
    scaled, N = prepared.with_damage, prepared.N
    by_sigma = scaled.merged(weights=1 / scaled.variance)
    equal = scaled.merged()
    errors = plain_errors(
        scaled.intensity, counted.sigma, scaled.unique, scaled.crossings(), N
    )
    pairs = ((by_sigma, merged_errors(scaled)), (equal, errors))
    centric = prepared.measured.centric
    return {
        "plain": [r1(amplitudes(np.nan_to_num(I)), F) for I, _ in pairs],
        "shrunk": [
            r1(french_wilson(np.nan_to_num(I), s, N, centric), F) for I, s in pairs
        ],
    }


def without_geometry(subject: Subject, model: GeneralModel) -> np.ndarray:
    """Give amplitudes by the model, beams turned at random, each observation its own."""
    measured = subject.counted.measured
    beam = np.random.default_rng(0).standard_normal(measured.beam.shape)
    beam /= np.linalg.norm(beam, axis=1)[:, None]
    return correct_prepared(model, prepare(measured.with_beam(beam), 1), 1)[0].F


def shuffled(data: DataSet, seed: int = 0) -> tuple[DataSet, Subject]:
    """
    Exchange intensities within shells of resolution, whichever reflection they are of.

    They are exchanged on one scale and with the Lorentz factor, and put back into the tables
    without either: these belong to the crystal and to the place in the scan.

    Returns:
        The set with such tables, and the subject of the right ones.
    """
    rng = np.random.default_rng([3, seed])
    subject = get_subject(
        data.experiments, data.tables, nproc=1, force=True, d_min=None
    )
    scaled, observations = subject.prepared.scaled, subject.observations
    d = scaled.d_spacing[scaled.unique]
    shells = resolution_shells(d, max(1, len(scaled) // PER_SHELL))
    source = shuffled_within(np.arange(len(scaled)), shells.shell, rng)
    value, error = scaled.intensity[source], scaled.sigma[source]
    tables = [table.copy() for table in data.tables]
    for k, table in enumerate(tables):
        own = np.flatnonzero(observations.crystal == k)
        row = observations.row[own]
        to_table = _variance(table)[row] ** 0.5 / scaled.sigma[own]
        for kind in KINDS_OF_INTENSITY:
            for end, new in (
                ("value", value[own] * to_table),
                ("variance", (error[own] * to_table) ** 2),
            ):
                column = table[f"intensity.{kind}.{end}"].as_numpy_array().copy()
                column[row] = new
                table[f"intensity.{kind}.{end}"] = flex.double(column)
    return replace(data, tables=tables), subject


def _variance(table: flex.reflection_table) -> np.ndarray:
    """Give variances of the intensities that are read: fitted profiles, or else sums."""
    fitted, summed = (
        table[f"intensity.{kind}.variance"].as_numpy_array()
        for kind in KINDS_OF_INTENSITY
    )
    flag = table.get_flags(table.flags.integrated_prf).as_numpy_array()
    return np.where(flag, fitted, summed)


def claimed(data: DataSet, model: Model) -> dict:
    """What the command says of a set: why it refuses, or of multiple scattering."""
    try:
        subject = get_subject(data.experiments, data.tables, nproc=1)
    except ValueError as error:
        return {"refused": str(error)}
    result = correct_intensities(subject, model, nproc=1)
    evidence = result.estimate.evidence
    return {"refused": "", **evidence.as_dict(), "warnings": list(result.warnings)}


def judge_shuffled(data: DataSet, model: Model) -> dict:
    """What the command says of shuffled data, and what forced it makes of them."""
    mixed, truth = shuffled(data)
    tries = [
        mixed,
        *(shuffled(data, k)[0] for k in range(1, SHUFFLES if data.source else 1)),
    ]
    subject = get_subject(
        mixed.experiments, mixed.tables, nproc=1, force=True, d_min=None
    )
    # What is known of a reflection stays with it.
    F = _in_order(truth_of(data, truth), truth, subject)
    result = correct_intensities(subject, model, strength=1.0, nproc=1)
    both = plain_and_shrunk(subject, F)
    return {
        "told": [claimed(one, model) for one in tries],
        "before": min(both["plain"]), "shrunk": min(both["shrunk"]),
        "after": r1(result.F, F), "expected": result.estimate.predicted_r1,
        "r_meas": subject.prepared.r_meas,
    }  # fmt: skip


def _in_order(F: np.ndarray, one: Subject, other: Subject) -> np.ndarray:
    """Give values of one subject's unique reflections in the order of the other's."""
    listed = dict(zip(map(tuple, one.prepared.measured.unique_index.tolist()), F))
    index = other.prepared.measured.unique_index.tolist()
    return np.array([listed.get(tuple(h), np.nan) for h in index])


def judge(data: DataSet, model: Model, mix: bool) -> dict | None:
    """All figures of one set; None where the command refuses, or nothing is signal."""
    try:
        subject = get_subject(data.experiments, data.tables, nproc=1)
    except ValueError:
        return None
    F = truth_of(data, subject)
    both = plain_and_shrunk(subject, F)
    if not min(both["plain"]) < MOST_R1:
        return None
    result = correct_intensities(subject, model, nproc=1)
    told = {"shuffled": judge_shuffled(data, model)} if mix else {}
    return {
        "family": data.family, "name": data.name, "before": min(both["plain"]),
        "shrunk": min(both["shrunk"]), "each": both,
        "no geometry": r1(without_geometry(subject, unpack(model)), F),
        "after": r1(result.F, F), "strength": result.strength,
        **told,
    }  # fmt: skip


def _mean(values) -> float:
    return float(np.exp(np.mean(np.log(values))))


COLUMNS = ("shrunk", "no geometry", "after")


def gains(sets: list[dict]) -> list[list]:
    """Rows: R1 of each measured set, then ratios to the plain merge by family."""
    rows: list[list] = []
    for s in sets:
        if s["family"] == "measured":
            rows.append([s["name"], f"{s['before']:.3f}", *(f"{s[c]:.3f}" for c in COLUMNS)])  # fmt: skip
    for family in dict.fromkeys(s["family"] for s in sets):
        own = [s for s in sets if s["family"] == family]
        ratio = {c: np.array([s[c] / s["before"] for s in own]) for c in COLUMNS}
        told = (f"{_mean(r):.3f} ({np.sum(r > WORSE)} worse)" for r in ratio.values())
        rows.append([f"over the plain merge, {family}, {len(own)} sets", "1", *told])
    return rows


def said(some: list[dict]) -> str:
    """How many shuffled sets are refused, left, corrected in part, and in full."""
    strengths = [x["strength"] for x in some if not x["refused"]]
    none, full = (sum(x == end for x in strengths) for end in (0, 1))
    words = (
        (len(some) - len(strengths), "refused"), (none, "as they are"),
        (len(strengths) - none - full, "in part"), (full, "in full"),
    )  # fmt: skip
    return ", ".join(f"{n} {word}" for n, word in words if n)


def controls(sets: list[dict]) -> list[list]:
    """Rows of shuffled data: each measured set, then by family."""
    rows: list[list] = []
    columns = ("before", "shrunk", "after", "expected", "r_meas")

    def add(title: str, some: list[dict]) -> None:
        told = said([x for one in some for x in one["told"]])
        figures = (_mean([x[c] for x in some]) for c in columns)
        rows.append([title, told, *(f"{x:.3f}" for x in figures)])

    for s in sets:
        if s["family"] == "measured":
            add(s["name"], [s["shuffled"]])
    for family in dict.fromkeys(s["family"] for s in sets):
        own = [s["shuffled"] for s in sets if s["family"] == family and "shuffled" in s]
        if not own:
            continue
        add(f"{family}, {len(own)} sets", own)
    return rows


def main() -> None:
    """Run parts and print both tables."""
    args = read_arguments(__doc__, KINDS, compounds=24)
    model = read_model(SHIPPED)
    for part in args.only:
        told = []
        for number, data in enumerate(PARTS[part](args)):
            mix = part == "measured" or number % EACH == 0
            found = judge(data, model, mix)
            if found is None:
                continue
            told.append(found)
            line = (
                f"  {data.family:24s} {data.name:34s} R1 {found['before']:.3f}, French–Wilson "
                f"{found['shrunk']:.3f}, no geometry {found['no geometry']:.3f}, corrected "
                f"{found['after']:.3f}"
            )
            if mix:
                own = found["shuffled"]
                line += (
                    f"; shuffled {own['before']:.3f}, {own['shrunk']:.3f}, "
                    f"{own['after']:.3f}: {said(own['told'])}"
                )
            print(line, flush=True)
        text = json.dumps(told, indent=1)
        (args.folder / f"gains_{part}.json").write_text(text, encoding="utf-8")
    sets = [
        one
        for part in KINDS
        if (path := args.folder / f"gains_{part}.json").exists()
        for one in json.loads(path.read_text(encoding="utf-8"))
    ]
    header = ["R1", "plain merge", "French–Wilson", "no geometry", "corrected"]
    print(tabulate(gains(sets), header, tablefmt="github"))
    header = ["shuffled", "the command corrects", "R1 plain", "French–Wilson", "corrected",
              "expected", "R_meas"]  # fmt: skip
    print(tabulate(controls(sets), header, tablefmt="github"))


if __name__ == "__main__":
    main()
