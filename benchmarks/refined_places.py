"""
What refinements of measured sets give, from the plain merge and from corrected data.

smtbx, isotropic, from places moved by 0.05 Å, hydrogen riding; in the median of three
starts. So that no σ is judged, all observations have one weight, of |F| or of F², or both data
sets one and the same weighting scheme (SHELXL's WGHT 0.1 with σ of 2 % of the mean F²). And with
schemes that are sought, from the σ of each table. Then how many hydrogen sites are among the
highest peaks of a difference map without hydrogen, with the same scheme for both.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from general_model_sets import DataSet, truth_of

from cctbx import miller, sgtbx
from cctbx.array_family import flex

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import intensity_errors
from dials_spread.correction.apply.merged_files import merged_intensities
from dials_spread.correction.model.model_file import Model
from dials_spread.refinement import RefinementSettings, hydrogen_peaks, refine
from dials_spread.refinement.merged_data import in_setting_of
from dials_spread.reindexing import Reindexing, index_matrix
from dials_spread.structures.structure_files import read_structure

SETTINGS = RefinementSettings(start_shift=0.05, anisotropic=False, weights=(0.0, 0.0))
STARTS = 3
SAME = "the same WGHT 0.1"


def intensities(data: DataSet, model: Model):
    """
    Give the structure, and intensities before and after the correction with their σ.

    Before: the plain mean with equal weights, with the Lorentz factor. After:
    output.merged. Each in the setting of the structure.
    """
    subject = get_subject(data.experiments, data.tables, nproc=1)
    result = correct_intensities(subject, model, nproc=1)
    structure = read_structure(data.source)
    prepared = subject.prepared
    corrected = merged_intensities(result)
    pairs = {
        "merge": (prepared.with_damage.merged(), prepared.merged_sigma),
        "corrected": tuple(np.array(x) for x in (corrected.data(), corrected.sigmas())),
    }
    known = np.isfinite(truth_of(data, subject))
    hkl, choice = prepared.measured.unique_index[known], _choice(data, subject)
    return structure, {
        name: in_setting_of(structure, hkl, choice, I[known], sigma[known])[0]
        for name, (I, sigma) in pairs.items()
    }


def _choice(data: DataSet, subject) -> Reindexing:
    """From indices of the data to those of the structure."""
    reference = find_reference(subject.observations, data.source)
    best = match(reference, subject.prepared, np.random.default_rng(0)).settings[0]
    matrix = index_matrix(sgtbx.change_of_basis_op(best.operator))
    return Reindexing(best.operator, matrix, best.symmetric)


def kinds(array: miller.array) -> dict[str, tuple[miller.array, RefinementSettings]]:
    """Ways of weighting: intensities with their σ, and settings, by name."""
    I = np.maximum(np.array(array.data()), 0)

    def with_sigma(sigma: np.ndarray) -> miller.array:
        return array.customized_copy(sigmas=flex.double(np.ascontiguousarray(sigma)))

    of_f = intensity_errors(np.sqrt(I), 0.1 * np.sqrt(I).mean())
    alike = [np.full(len(I), part * I.mean()) for part in (0.1, 0.02)]
    return {
        "one weight of |F|": (with_sigma(of_f), SETTINGS),
        "one weight of F²": (with_sigma(alike[0]), SETTINGS),
        SAME: (with_sigma(alike[1]), replace(SETTINGS, weights=(0.1, 0.0))),
        "weights sought": (array, replace(SETTINGS, weights=None)),
    }


def judge_places(data: DataSet, model: Model) -> dict:
    """
    Refine against both.

    Args:
        data: A measured compound.
        model: The model file.

    Returns:
        By "merge" and "corrected": R1, mean distance to the published places and standard
        uncertainty of a coordinate [Å], by kind of weights; hydrogen sites found, and how
        many there are.
    """
    structure, arrays = intensities(data, model)
    found: dict = {"name": data.name}
    for title, array in arrays.items():
        own = {}
        ways = kinds(array)
        for kind, (used, settings) in ways.items():
            strong = np.ones(used.size(), dtype=bool)
            refined = [
                refine(structure, used, strong=strong, settings=settings,
                       rng=np.random.default_rng(seed))
                for seed in range(STARTS)
            ]  # fmt: skip
            own[kind] = [
                float(np.median([x.r1_all for x in refined])),
                float(np.median([x.mean_shift for x in refined])),
                float(np.median([x.mean_su for x in refined])),
            ]
        used, settings = ways[SAME]
        peaks = hydrogen_peaks(
            structure, used, strong=np.ones(used.size(), dtype=bool), settings=settings,
            rng=np.random.default_rng(0),
        )  # fmt: skip
        own["hydrogen"] = None if peaks is None else [peaks.n_found, peaks.n_sites]
        found[title] = own
    return found
