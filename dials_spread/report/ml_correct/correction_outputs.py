"""
From the results of dials.ml_correct to its log and its files.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping

from dials.array_family import flex
from dials.util.version import dials_version
from dxtbx.model import ExperimentList

import dials_spread
from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.correction.apply.corrected_files import write_together
from dials_spread.correction.apply.merged_files import merged_file
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL
from dials_spread.observations import Observations
from dials_spread.output_files import write_text
from dials_spread.reference import Reference, ReferenceMatch
from dials_spread.report.ml_correct.correction_sentences import (
    correction_sentences,
    correction_tables,
)
from dials_spread.report.ml_correct.plots_correction import (
    amplitudes_plot,
    changes_plot,
    factors_plot,
    images_r1_plot,
    shells_r1_plot,
)
from dials_spread.report.ml_correct.plots_crystals import CrystalDots, crystals_r1_plot
from dials_spread.report.page.document import Provenance, finite, write_json

logger = logging.getLogger("dials.spread.correction_outputs")


def base_document(provenance: Provenance, observations: Observations) -> dict:
    """
    Begin the JSON document.

    Args:
        provenance: Command, files and parameters.
        observations: Of all crystals.
    """
    return {
        **version_document(provenance),
        "input": {"files": list(provenance.files), **input_document(observations)},
        "intensity": observations.choice,
        "parameters": provenance.parameters,
    }


def version_document(provenance: Provenance) -> dict:
    """Name the command and the versions."""
    return {
        "command": provenance.command,
        "version": dials_spread.__version__,
        "dials_version": dials_version(),
    }


def input_document(observations: Observations) -> dict:
    """Describe the observations of one compound."""
    return {
        "crystals": observations.n_crystals,
        "images": len(observations.images),
        "observations": len(observations),
        "unique": len(observations.unique_index),
        "dropped": observations.dropped,
        "space_group": str(observations.space_group.info()),
        "unit_cell": list(observations.unit_cell.parameters()),
        "radiation": observations.radiation,
    }


def correction_document(provenance: Provenance, result: CorrectionResult) -> dict:
    """
    Put the results together as the JSON document.

    Args:
        provenance: Command, files and parameters.
        result: The correction.

    Returns:
        The document: "r1" with "before" and "after" is None without a reference.
    """
    subject, truth = result.subject, result.truth
    before, after = result.agreement
    return finite(
        {
            **base_document(provenance, subject.observations),
            "correction": {
                "method": result.estimate.method,
                "strength": result.strength,
                "lorentz_applied_here": subject.prepared.measured.lorentz_applied_here,
                "lorentz_r_meas": {
                    f"{k:+g}": v for k, v in subject.lorentz_r_meas.items()
                },
                "scales": subject.prepared.scales.as_dict(),
                "factors": result.factors.as_dict(),
                "changes": {
                    key: [c.as_dict() for c in some]
                    for key, some in result.changes.items()
                },
                "agreement": {"before": before.as_dict(), "after": after.as_dict()},
                "fourth_moment_ratio": result.fourth_moment,
                "predicted_r1": result.estimate.predicted_r1,
                "warnings": list(result.warnings),
            },
            "r1": None if truth is None else truth.as_dict(),
            "reference": None
            if truth is None
            else reference_document(truth.reference, truth.match),
            "validation": None,
            "features": feature_document(result),
            "model": model_document(result),
        }
    )


def reference_document(reference: Reference, found: ReferenceMatch) -> dict:
    """Describe a reference and its settings."""
    return {**reference.as_dict(), **found.as_dict()}


def feature_document(result: CorrectionResult) -> list[dict]:
    """Name the features that were used, with unit, meaning and reason."""
    if result.model is not None:
        return [dict(feature) for feature in result.model.card.features]
    if result.estimate.method == "weights":
        return [f.as_dict() for f in MODEL_1 if f.name == "coupling_10"]
    return [f.as_dict() for f in (*MODEL_1, *REFLECTION_ALL)]


def model_document(result: CorrectionResult) -> dict | None:
    """Describe the model, without its features."""
    if result.model is None:
        return None
    card = result.model.card.as_dict()
    card.pop("features")
    return {**card, "sha256": result.model.checksum}


def correction_plots(result: CorrectionResult) -> dict[str, dict]:
    """
    Draw a correction.

    Args:
        result: The correction.
    """
    plots = {"factors": factors_plot(result), "changes": changes_plot(result)}
    truth = result.truth
    if truth is not None:
        plots["crystals_r1"] = crystals_r1_plot(_crystal_dots(truth))
        plots["shells_r1"] = shells_r1_plot(truth)
        plots["images_r1"] = images_r1_plot(truth)
        plots["amplitudes"] = amplitudes_plot(result, truth)
    return plots


def _crystal_dots(truth: ReferenceCheck) -> list[CrystalDots]:
    pairs = {"scaled": (truth.before.crystal, truth.after.crystal)}
    if truth.integrated is not None:
        pairs["integrated"] = truth.integrated
    return [
        CrystalDots(
            kind, [f"crystal {c}" for c in range(len(a))], before=a.r1, after=b.r1
        )
        for kind, (a, b) in pairs.items()
    ]


def write_correction(
    result: CorrectionResult,
    corrected: tuple[ExperimentList, flex.reflection_table],
    provenance: Provenance,
    output,
    log: io.StringIO,
) -> dict:
    """
    Write experiments, reflections, log, JSON and report.

    Everything is made before the first file is written, all of them whole or none.

    Args:
        result: The correction.
        corrected: Experiments and corrected reflections.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.

    Returns:
        The JSON document.
    """
    document = correction_document(provenance, result)
    told, tables = correction_sentences(result), correction_tables(result)
    for table in tables:
        logger.info("\n%s", table.as_text())
    logger.info("\nSummary:\n\n%s\n", "\n\n".join(told))
    contents = correction_files(corrected, result, output)
    if output.json:
        contents[output.json] = write_json(document).encode("utf-8")
    if output.html:
        title = "Correction for multiple scattering"
        page = correction_page(document, title, told, tables, correction_plots(result))
        contents[output.html] = page
    write_all(contents, output.log, log)
    return document


def correction_page(*parts) -> bytes:
    """Write the report; the arguments are those of `simulation_page`."""
    # Loading plotly takes longer than correcting; not all runs want a page.
    from dials_spread.report.page.plain_page import simulation_page

    return simulation_page(*parts).encode("utf-8")


def correction_files(
    corrected: tuple[ExperimentList, flex.reflection_table],
    result: CorrectionResult,
    output,
) -> dict[str, bytes]:
    """
    Give what was corrected as the content of files.

    Args:
        corrected: Experiments and corrected reflections.
        result: The correction, for merged intensities.
        output: Names of files.
    """
    contents = table_files(corrected, output)
    if output.merged:
        contents[output.merged] = merged_file(result, output.merged)
    return contents


def table_files(
    tables: tuple[ExperimentList, flex.reflection_table], output
) -> dict[str, bytes]:
    """
    Give experiments and reflections as the content of files.

    Args:
        tables: Experiments and their reflections.
        output: Names of files.
    """
    experiments, table = tables
    contents = {}
    if output.experiments:
        contents[output.experiments] = experiments.as_json().encode("utf-8")
    if output.reflections:
        contents[output.reflections] = table.as_msgpack()
    return contents


def write_all(
    contents: Mapping[str, bytes],
    log_name: str | None,
    log: io.StringIO,
    last: str = "",
) -> None:
    """
    Write all files or none, then the log.

    Args:
        contents: By name.
        log_name: Of the log; None for none.
        log: What has been logged.
        last: Line with which the log ends.
    """
    write_together(contents)
    for filename in contents:
        logger.info("Written: %s", filename)
    if last:
        logger.info("\n%s", last)
    if log_name:
        write_text(log_name, log.getvalue())
