"""
From a simulation at measured experiments, or of ions, to the log and the files.
"""

from __future__ import annotations

import io
import logging

from cctbx import xray
from dials.array_family import flex
from dials.util.version import dials_version
from dxtbx.model.experiment_list import ExperimentList

import dials_spread
from dials_spread.report.page.document import Provenance, finite, write_json
from dials_spread.report.page.log_text import Step, log_part, steps_text, wrapped
from dials_spread.report.simulate_ed.simulation_outputs import (
    structure_document,
    write_files,
)
from dials_spread.report.simulate_ed.simulation_page import (
    charges_sentence,
    charges_table,
    crystals_table,
    held_out_r1,
    measured_page,
    measured_sentences,
    settings_table,
)
from dials_spread.scattering.charges import ChargeEffect
from dials_spread.thickness.results import MeasuredSimulation

logger = logging.getLogger("dials.spread.simulation_outputs")


def measured_document(
    result: MeasuredSimulation,
    effect: ChargeEffect | None,
    structure: dict,
    provenance: Provenance,
) -> dict:
    """
    Put the results together as the JSON document.

    Args:
        result: The simulation.
        effect: Of charges, where there are any.
        structure: From structure_document.
        provenance: Command, files and parameters.
    """
    return finite(
        {
            "command": provenance.command,
            "version": dials_spread.__version__,
            "dials_version": dials_version(),
            "input": {
                "files": list(provenance.files),
                "crystals": len(result.crystals),
                "rows": result.n_rows,
                "observations": len(result.comparison),
            },
            "intensity": result.intensity,
            "parameters": provenance.parameters,
            "structure": structure,
            "measured": result.as_dict(),
            "charges": effect.as_dict() if effect else None,
        }
    )


def after_measured(result: MeasuredSimulation, output) -> list[Step]:
    """
    Say what to do next, as far as the results support it.

    Args:
        result: The simulation.
        output: Names of files, as the command's ``output`` scope.
    """
    c, held_out = result.comparison, held_out_r1(result)
    kinematic, dynamical = (
        held_out[:2]
        if held_out
        else (
            c.pooled(c.kinematic),
            c.pooled(c.dynamical),
        )
    )
    if dynamical < kinematic:
        first = Step(
            "Refine the structure against dynamical intensities where you can: they agree "
            "better with these data than kinematic ones, with nothing refined yet."
        )
    else:
        first = Step(
            "Check the structure, its setting and the range of thicknesses "
            "(measured.range): dynamical intensities do not agree better with these data "
            "than kinematic ones."
        )
    return [
        first,
        Step(
            "See how much of the spread the simulation explains, image by image.",
            f"dials.compare_images {output.experiments} {output.reflections}",
        ),
    ]


def write_measured(
    result: MeasuredSimulation,
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    structure: xray.structure,
    effect: ChargeEffect | None,
    provenance: Provenance,
    output,
    log: io.StringIO,
    name: str,
) -> dict:
    """
    Write the tables with the simulated columns, the log, the JSON file and the report.

    Args:
        result: The simulation.
        experiments, reflections: From thickness.tables.
        structure: What was simulated.
        effect: Of charges, where there are any.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.
        name: Of the structure.

    Returns:
        The JSON document.
    """
    described = structure_document(name, structure)
    document = measured_document(result, effect, described, provenance)
    tables = [crystals_table(result), settings_table(result)]
    sentences = measured_sentences(result)
    if effect is not None:
        tables.append(charges_table(effect))
        sentences.append(charges_sentence(effect))
    steps = after_measured(result, output)
    texts = {}
    if output.json:
        texts[output.json] = write_json(document)
    if output.html:
        texts[output.html] = measured_page(document, result, effect, steps)
    logger.info("\n%s", log_part("Summary", map(wrapped, sentences)))
    logger.info(log_part("Tables", [table.as_text() for table in tables]))
    logger.info(steps_text(steps))
    write_files(output, experiments, reflections, texts, log)
    return document
