"""Simulated crystals as branches, without the programs."""

from __future__ import annotations

import pytest

from cctbx.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.placement.common_set import common_set, read_branch


def as_scaled(tables, scales):
    """Join tables as dials.scale would leave them, with known scales."""
    whole = None
    for k, (table, scale) in enumerate(zip(tables, scales)):
        own = table.copy()
        own["id"] = flex.int(len(own), k)
        lp = own["lp"]
        own["intensity.scale.value"] = own["intensity.prf.value"] * lp
        own["intensity.scale.variance"] = own["intensity.prf.variance"] * lp * lp
        own["inverse_scale_factor"] = flex.double(len(own), scale)
        own.set_flags(flex.bool(len(own), True), own.flags.scaled)
        whole = own if whole is None else whole
        if own is not whole:
            whole.extend(own)
    return whole


@pytest.fixture(scope="session")
def true_scales(simulated):
    """Scale of each simulated crystal."""
    _, tables = simulated
    return [float(flex.mean(t["truth.scale"])) for t in tables]


@pytest.fixture(scope="session")
def kinematic(simulated, true_scales, tmp_path_factory):
    """A branch with its true scales: files of experiments and reflections."""
    experiments, tables = simulated
    folder = tmp_path_factory.mktemp("kinematic")
    table = as_scaled(tables, true_scales)
    for k, experiment in enumerate(experiments):
        table.experiment_identifiers()[k] = experiment.identifier
    ExperimentList(experiments).as_file(str(folder / "scaled.expt"))
    table.as_file(str(folder / "scaled.refl"))
    return folder / "scaled.expt", folder / "scaled.refl"


@pytest.fixture(scope="session")
def common(kinematic):
    """All branches: one."""
    return common_set({"none": read_branch(*kinematic)})
