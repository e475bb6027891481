"""
From the results of dials.simulate_ed to its log and its files.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence

from cctbx import xray
from dials.array_family import flex
from dials.util.version import dials_version
from dxtbx.model.experiment_list import ExperimentList

import dials_spread
from dials_spread.output_files import Drawn
from dials_spread.report.page.document import Provenance, finite, write_json
from dials_spread.report.page.labels import counted
from dials_spread.report.page.log_text import Step, log_part, steps_text, wrapped
from dials_spread.report.page.report_files import write_all
from dials_spread.report.simulate_ed.simulation_page import (
    charges_page,
    charges_sentence,
    charges_table,
)
from dials_spread.report.simulate_ed.simulation_summary import (
    SimulationSummary,
    crystals_table,
    shells_table,
    summarise_simulation,
)
from dials_spread.scattering.charges import ChargeEffect
from dials_spread.scattering.structure_factors import separate_charges
from dials_spread.simulation.image_files import SUFFIXES
from dials_spread.structures.structure_files import write_cif
from dials_spread.valid_input.stored_columns import column_by_column
from dials_spread.versions import experiments_file

logger = logging.getLogger("dials.spread.simulation_outputs")

PROGRAM = "dials.simulate_ed"


def structure_document(name: str, structure: xray.structure) -> dict:
    """
    Describe a structure.

    Args:
        name: As the user gave it.
        structure: The structure.

    Returns:
        Cell, symmetry and contents.
    """
    group = structure.space_group()
    neutral = separate_charges(structure)[0]
    return {
        "name": name,
        "unit_cell": structure.unit_cell().parameters(),
        "volume": structure.unit_cell().volume(),
        "space_group": str(structure.space_group_info()),
        "centrosymmetric": bool(group.is_centric()),
        "atoms_in_asymmetric_unit": structure.scatterers().size(),
        "unit_cell_contents": {
            symbol: round(n, 3)
            for symbol, n in sorted(neutral.unit_cell_content().items())
        },
        "anisotropic": int(structure.scatterers().extract_use_u_aniso().count(True)),
    }


def log_structure(document: dict) -> None:
    """Say what is simulated, so that a misread file is seen."""
    cell = document["unit_cell"]
    contents = " ".join(f"{k}{v:g}" for k, v in document["unit_cell_contents"].items())
    logger.info(
        "Structure %s: %s, a, b, c = %.3f, %.3f, %.3f Å, α, β, γ = %.2f, %.2f, %.2f°, "
        "%.0f Å³,\n%d atoms in the asymmetric unit (%d anisotropic), in the cell %s\n",
        document["name"],
        document["space_group"],
        *cell,
        document["volume"],
        document["atoms_in_asymmetric_unit"],
        document["anisotropic"],
        contents,
    )


def simulation_document(
    provenance: Provenance, structure: dict, summary: SimulationSummary
) -> dict:
    """
    Put the results of dials.simulate_ed together as the JSON document.

    Args:
        provenance: Command, files and parameters.
        structure: From structure_document.
        summary: Of the data set.
    """
    return finite(
        {
            "command": provenance.command,
            "version": dials_spread.__version__,
            "dials_version": dials_version(),
            "input": {
                "files": list(provenance.files),
                "crystals": len(summary.crystals),
                "images": sum(c["images"] for c in summary.crystals),
                "observations": summary.n_reflections,
                "dropped": {},
            },
            "intensity": "profile",
            "parameters": provenance.parameters,
            "structure": structure,
            **summary.as_dict(),
        }
    )


def summary_sentences(summary: SimulationSummary, wave: str) -> list[str]:
    """
    Say what was simulated.

    Args:
        summary: Of the data set.
        wave: dynamical or kinematic.

    Returns:
        Paragraphs.
    """
    images = sum(c["images"] for c in summary.crystals)
    told = [
        f"{counted(summary.n_reflections, 'observation')} of "
        f"{counted(summary.n_unique, 'unique reflection')} on "
        f"{counted(images, 'image')} of {counted(len(summary.crystals), 'crystal')}: "
        f"multiplicity {summary.n_reflections / summary.n_unique:.1f}, median I/σ "
        f"{summary.i_over_sigma:.1f}."
    ]
    merged = summary.merged
    if wave == "dynamical":
        told.append(
            "Multiple scattering alone gives merged amplitudes with R1 = "
            f"{merged['r1_dynamical']:.3f} against kinematic Fc; as recorded, with noise "
            f"and images not scaled, R1 = {merged['r1_observed']:.3f}. Crystals are scaled "
            "to kinematic Fc, then merged; this is not a refinement R1."
        )
    else:
        told.append(
            "There is no multiple scattering: merged amplitudes differ from kinematic Fc "
            f"by noise alone, R1 = {merged['r1_observed']:.3f}."
        )
    if summary.recorded < 0.99:
        told.append(
            "The dead time of the detector takes up to "
            f"{100 * (1 - summary.recorded):.0f} % of a spot."
        )
    return told


def after_simulation(output, n_crystals: int) -> list[Step]:
    """
    Say what the files are good for.

    Args:
        output: Names of files, as the command's ``output`` scope.
        n_crystals: How many were simulated.
    """
    files = f"{output.experiments} {output.reflections}"
    steps = []
    if n_crystals > 1:
        text = "Compare images of the same orientation, in different crystals."
        steps.append(Step(text, f"dials.compare_images {files}"))
    steps.append(Step("Scale, as measured data.", f"dials.scale {files}"))
    if output.images:
        text = "Process the frames, as measured ones (docs: simulated frames)."
        command = f"dials.import {output.image_folder}/*{SUFFIXES[output.images]}"
        steps.append(Step(text, command))
    return steps


def write_simulation(
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    structure: xray.structure,
    provenance: Provenance,
    output,
    log: io.StringIO,
    *,
    name: str,
    wave: str,
    effect: ChargeEffect | None = None,
    drawn: Sequence[Drawn] = (),
) -> dict:
    """
    Write experiments, reflections, log, JSON and the structure that was drawn.

    Everything is made before the first file is written, all of them whole or none.

    Args:
        experiments: One for each crystal.
        reflections: With the columns of truth.
        structure: What was simulated.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.
        name: Of the structure.
        wave: dynamical or kinematic.
        effect: What charges change, where there are any.
        drawn: Frames.

    Returns:
        The JSON document.
    """
    summary = summarise_simulation(experiments, reflections)
    document = simulation_document(
        provenance, structure_document(name, structure), summary
    )
    sentences = summary_sentences(summary, wave)
    tables = [crystals_table(summary, wave=wave), shells_table(summary, wave)]
    texts = {}
    if effect is not None:
        document["charges"] = finite(effect.as_dict())
        sentences.append(charges_sentence(effect))
        tables.append(charges_table(effect).as_text())
        if output.html:
            texts[output.html] = charges_page(document, effect)
    if output.json:
        texts[output.json] = write_json(document)
    if output.structure:
        # A CIF knows no partial charges; the parameters say what they are.
        texts[output.structure] = write_cif(separate_charges(structure)[0], "random")
    logger.info("\n%s", log_part("Summary", map(wrapped, sentences)))
    logger.info(log_part("Tables", tables))
    logger.info(steps_text(after_simulation(output, len(experiments))))
    write_files(output, experiments, reflections, texts, log, drawn)
    return document


def write_files(
    output,
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    texts: Mapping[str, str],
    log: io.StringIO,
    drawn: Sequence[Drawn] = (),
) -> None:
    """
    Write the files of a run and its log, all of them whole or none.

    Args:
        output: The output scope.
        experiments, reflections: Written to the files named there.
        texts: What goes into further files, by name.
        log: What was told so far.
        drawn: Frames.
    """
    contents: dict[str, bytes | Iterable[bytes]] = {
        output.experiments: experiments_file(experiments, PROGRAM),
        output.reflections: column_by_column(reflections),
    }
    contents.update((name, text.encode("utf-8")) for name, text in texts.items())
    write_all(contents, output.log, log, drawn=drawn)
