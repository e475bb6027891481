"""What dials.simulate_ed does with charges, and with measured data."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence

from cctbx import xray
from libtbx import Auto

from dials_spread.input_files import Input
from dials_spread.observations import right_factors
from dials_spread.report.page.document import Provenance
from dials_spread.report.simulate_ed.measured_outputs import write_measured
from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.charges import (
    ChargeEffect,
    apply_charges,
    compare_charges,
    parse_charges,
    warn_if_charged,
)
from dials_spread.scattering.structure_factors import separate_charges
from dials_spread.thickness import ThicknessSearch, simulate_measured
from dials_spread.thickness.search import LAWS
from dials_spread.thickness.tables import simulated_tables

logger = logging.getLogger("dials.spread.simulate_ed")


def with_charges(structure: xray.structure, charges: str | None) -> xray.structure:
    """
    Give atoms their charges, and warn of a cell that is not neutral.

    Args:
        structure: As read.
        charges: As the user wrote them.
    """
    if charges:
        structure = apply_charges(structure, parse_charges(charges))
    warn_if_charged(structure)
    return structure


def charge_effect(structure: xray.structure, params) -> ChargeEffect | None:
    """What the charges of a structure change; None where it has none."""
    if not separate_charges(structure)[1]:
        return None
    return compare_charges(structure, params.d_min, counts=params.charges_counts)


def _read(files: Sequence[Sequence[str]], params) -> Input:
    """Read measured data, each crystal once and with a name of its own."""
    expt, refl = files
    data = right_factors.read(
        expt,
        refl,
        params.measured.intensity,
        params.measured.lp,
        tell=True,
        allow_pickle=params.allow_pickle,
    )
    data.refuse_given_twice()
    data.refuse_shared_identifiers()
    return data


def simulate_files(
    structure: xray.structure,
    selection: BeamSelection,
    effect: ChargeEffect | None,
    files: tuple[list[str], list[str]],
    params,
    provenance: Provenance,
    log: io.StringIO,
) -> None:
    """
    Simulate the crystals of measured files and write their rows with the result.

    Args:
        structure: Of the crystals.
        selection: Beams that take part.
        effect: What charges change, where there are any.
        files: Names of experiment and of reflection files.
        params: All parameters of the command.
        provenance: Command, files and parameters.
        log: What has been logged.
    """
    own = params.measured
    data = _read(files, params)
    search = ThicknessSearch(
        least=own.range[0],
        most=own.range[1],
        laws=LAWS if own.law == "auto" else (own.law,),
        given=own.thickness,
        within=own.within,
        hand=own.hand,
    )
    result = simulate_measured(
        structure,
        data.experiments,
        data.tables,
        search,
        selection,
        lorentz=own.lorentz,
        setting=own.setting,
        d_min=own.d_min,
        seed=params.seed,
        nproc=None if params.nproc is Auto else params.nproc,
        intensity=own.intensity,
    )
    experiments, reflections = simulated_tables(
        *files, result.crystals, params.allow_pickle
    )
    write_measured(
        result,
        experiments,
        reflections,
        structure,
        effect,
        provenance,
        params.output,
        log,
        name=params.structure,
    )
