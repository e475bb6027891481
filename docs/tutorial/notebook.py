"""The example of docs/python.rst: everything that the commands do, on simulated crystals."""

from __future__ import annotations

import numpy as np

from dials_spread.comparison import compare_images
from dials_spread.correction import correct_intensities
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.structures.structure_files import read_structure

# Measured files: data = read_files(["integrated.expt"], ["integrated.refl"]), and then
# data.experiments and data.tables, one a crystal. Here, four simulated crystals.
structure = read_structure("paracetamol")
experiments, reflections = simulate_experiments(
    structure,
    np.random.default_rng(1),
    n_crystals=4,
    scan_width=60,
    d_min=1.0,
    wave="dynamical",
    thickness=ThicknessModel(median=600),
)
tables = reflections.split_by_experiment_id()

# dials.compare_images
comparison = compare_images(experiments, tables)
size = comparison.spread.size
print(f"{len(comparison.matches)} pairs of images, relative error s = {size.s:.2f}")

# dials.ml_correct
subject = get_subject(experiments, tables)
result = correct_intensities(subject, choose_model(), reference="paracetamol")
before, after = result.truth.r1
print(f"R1 against kinematic Fc: {before:.3f} before, {after:.3f} after")
