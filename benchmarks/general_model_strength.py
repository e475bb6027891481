"""
What going farther than the general model, or less far, would do to R1.

    python benchmarks/general_model_strength.py FOLDER [--only measured abtem held_out]
        [--data FOLDER] [--random N] [--compounds N]

Normalised amplitudes are taken a part of the way from the merged ones to those of the
networks, or beyond these. Printed are R1 over that of all of the way (geometric means over
sets), the same with the best of these parts for each set, which only the truth tells, and
how that part goes with the slope by which the data show multiple scattering. FOLDER as of
benchmarks/general_model.py. Four minutes.
"""

from __future__ import annotations

import numpy as np
from general_model_sets import MOST_R1, PARTS, DataSet, read_arguments, truth_of
from tabulate import tabulate

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.features.all_features import features_of
from dials_spread.correction.model import general
from dials_spread.correction.model.evidence import evidence_of, expected_differences
from dials_spread.correction.model.model_file import Model
from dials_spread.prepare.prepared import prepare
from dials_spread.rfactor.r1 import r_factor

PARTS_OF_THE_WAY = np.array([0.5, 0.75, 1.0, 1.15, 1.3, 1.5, 2.0])


def along_the_way(data: DataSet, model: Model) -> tuple[np.ndarray, float] | None:
    """R1 at each part of the way, and the slope; None of what the command refuses."""
    try:
        subject = get_subject(data.experiments, data.tables, nproc=1)
    except ValueError:
        return None
    F = truth_of(data, subject)
    own = prepare(subject.counted.measured.without_repeats()[0], 1)
    network = general.unpack(model)
    features = features_of(own, 1)
    E = network.correct(features, 1).E
    slope = evidence_of(own, expected_differences(features, network.bias, 1)).slope
    known = np.isfinite(F)

    def r1(part: float) -> float:
        on_the_way = np.maximum(own.E_k + part * (E - own.E_k), 0) * np.sqrt(own.N)
        return float(r_factor(on_the_way[known], F[known])[0])

    if r1(0.0) >= MOST_R1:
        return None
    return np.array([r1(part) for part in PARTS_OF_THE_WAY]), slope


def main() -> None:
    """Print a line for each family."""
    args = read_arguments(__doc__, [*PARTS], 6)
    model, rows = choose_model(), []
    for part in args.only:
        found = [along_the_way(data, model) for data in PARTS[part](args)]
        r1, slope = (np.array(x) for x in zip(*[one for one in found if one]))
        ratio = np.log(r1 / r1[:, PARTS_OF_THE_WAY == 1])
        best = PARTS_OF_THE_WAY[r1.argmin(axis=1)]
        together = np.corrcoef(slope, best)[0, 1]
        means = np.exp([*ratio.mean(axis=0), ratio.min(axis=1).mean()])
        rows.append([part, len(r1), *means, together])
        print(rows[-1], flush=True)
    head = ["family", "sets", *PARTS_OF_THE_WAY, "best of each", "slope, best"]
    print(tabulate(rows, head, floatfmt=".3f"))


if __name__ == "__main__":
    main()
