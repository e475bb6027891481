"""
xia2.multiplex with the correction in it.

Two of its classes are extended. `MultiCrystalScale` runs everything: before scaling, the
correction comes when all data sets have one indexing (its methods unit_cell_clustering and
cosym). `Scale` runs dials.scale, for all data, for each cluster and for filtering: after
scaling, the correction comes at its end. Each of these runs starts from the integrated
intensities, so that

- a correction before scaling is made once, and clusters and filtering inherit it;
- a correction after scaling is made anew after each run of dials.scale, and never piles
  up on an earlier one.

What later steps change of the indices (space group, setting) changes no intensity.

Functions:
    run_multiplex: the whole run
    extended_classes: the two classes
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dials_spread.multiplex.arguments import CorrectionPlan, with_correction
from dials_spread.multiplex.releases import Xia2, substituted
from dials_spread.multiplex.section import add_section, figures_of, section_html
from dials_spread.multiplex.step import CorrectionStep, correct, problem_of_data

# xia2 shows and keeps what its own loggers say; those of DIALS it silences.
logger = logging.getLogger("xia2.multiplex_corrected")

ALL = "All data"
"""What xia2.multiplex calls the data before they are divided."""

REPORT = "xia2.multiplex.html"


@dataclass
class Corrections:
    """
    The corrections of one run.

    Attributes:
        xia2: What is used of xia2.
        plan: What was chosen.
        steps: What was corrected so far.
        scalings: How often dials.scale was run for it.
    """

    xia2: Xia2
    plan: CorrectionPlan
    steps: list[CorrectionStep] = field(default_factory=list)
    scalings: int = 0

    def is_due(self, placement: str) -> bool:
        """Say whether data are corrected here, before or after scaling."""
        return self.plan.placement == placement

    def apply(
        self, manager: Any, placement: str, dataset: str, d_min, nproc
    ) -> str | None:
        """
        Correct the data of a data manager.

        Args:
            manager: Of xia2, with experiments and reflections; gets corrected ones.
            placement: "before" or "after" scaling.
            dataset: What the data are called.
            d_min: Resolution limit [Å]; None for all reflections.
            nproc: Threads.

        Returns:
            Name of the file of corrected reflections; None where they were refused.

        Raises:
            ValueError: All data were refused. Of clusters it is only told.
        """
        number = self.xia2.number()
        with self.xia2.timed("dials.ml_correct"):
            table, step = correct(
                manager.experiments, manager.reflections, self.plan,
                dataset=dataset, placement=placement, number=number,
                d_min=d_min, nproc=nproc,
            )  # fmt: skip
        self.xia2.announce(number)
        if step.refused and dataset == ALL:
            raise ValueError(
                f"dials.ml_correct, {placement} scaling: {step.refused}. "
                "correct.placement=none runs xia2.multiplex without it"
            )
        self.steps.append(step)
        manager.reflections = table
        tell(step)
        if step.refused:
            return None
        self.xia2.cite()
        return f"{number}_corrected.refl"


def tell(step: CorrectionStep) -> None:
    """Log what a correction gave."""
    logger.info(
        "\nCorrection for multiple scattering, %s scaling: %s (dials.ml_correct, %.0f s)",
        step.placement,
        step.dataset,
        step.seconds,
    )
    for sentence in step.sentences:
        logger.info(sentence)
    if not step.refused:
        logger.info("%s\n", figures_of(step).as_text())


# The classes of xia2 come in when it is there (extended_classes).
_OfXia2: Any = object


class CorrectsIntegrated(_OfXia2):
    """To be put before MultiCrystalScale: checks, corrects before scaling, reports."""

    corrections: Corrections

    def __init__(self, experiments, reflections, params):
        problem = problem_of_data(experiments, reflections, self.corrections.plan)
        if problem:
            raise ValueError(problem)
        super().__init__(experiments, reflections, params)

    def unit_cell_clustering(self, *args, **named):
        """Correct here where no step follows that changes the indexing."""
        found = super().unit_cell_clustering(*args, **named)
        if not self._params.symmetry.resolve_indexing_ambiguity:
            self._correct_integrated()
        return found

    def cosym(self):
        """Correct when cosym has given all data sets one indexing."""
        found = super().cosym()
        self._correct_integrated()
        return found

    def _correct_integrated(self):
        if self.corrections.is_due("before"):
            limit = self._params.resolution.d_min
            if limit is None:
                logger.info(
                    "Without resolution.d_min all reflections are corrected, noise too"
                )
            self.corrections.apply(
                self._data_manager, "before", ALL, limit, self._params.nproc
            )

    def report(self):
        """Add the section to the report."""
        found = super().report()
        steps = self.corrections.steps
        report = Path.cwd() / REPORT
        if steps and report.is_file():
            links = {s.html: self.corrections.xia2.in_report(s.html, report)
                     for s in steps if s.html}  # fmt: skip
            add_section(report, section_html(steps, links))
        return found


class CorrectsScaled(_OfXia2):
    """To be put before Scale: corrects after scaling."""

    corrections: Corrections

    def __init__(self, data_manager, params, filtering=False):
        super().__init__(data_manager, params, filtering)
        if not self.corrections.is_due("after"):
            return
        self.corrections.scalings += 1
        dataset = ALL
        if filtering:
            dataset = "Filtered"
        elif self.corrections.scalings > 1:
            # Clusters are scaled in folders of their own.
            dataset = Path.cwd().name.replace("_", " ")
        file = self.corrections.apply(
            self._data_manager, "after", dataset, self.d_min, params.nproc
        )
        if file:
            self._reflections_filename = file


def extended_classes(
    corrections: Corrections, multi_crystal_scale: type, scale: type
) -> tuple[type, type]:
    """
    Extend the two classes of xia2.

    Args:
        corrections: Of this run.
        multi_crystal_scale: MultiCrystalScale.
        scale: Scale.

    Returns:
        MultiCrystalScale and Scale with the correction in them.
    """
    own = {"corrections": corrections}
    return (
        type("CorrectedMultiplex", (CorrectsIntegrated, multi_crystal_scale), own),
        type("CorrectedScale", (CorrectsScaled, scale), own),
    )


def run_multiplex(
    xia2: Xia2, plan: CorrectionPlan, args: Sequence[str]
) -> list[CorrectionStep]:
    """
    Run xia2.multiplex in the current folder, corrections included.

    Args:
        xia2: What is used of it.
        plan: What was chosen; the placement is one of "before", "after" and "none".
        args: Of the command line.

    Returns:
        What was corrected.
    """
    corrections = Corrections(xia2, plan)
    module, command = xia2.scale_and_merge, xia2.command
    whole, scale = extended_classes(corrections, module.MultiCrystalScale, module.Scale)
    with substituted(
        (command, "phil_scope", with_correction(command.phil_scope)),
        (command, "MultiCrystalScale", whole),
        (module, "MultiCrystalScale", whole),
        (module, "Scale", scale),
    ):
        command.run(list(args))
    return corrections.steps
