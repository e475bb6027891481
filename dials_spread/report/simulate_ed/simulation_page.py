"""
The report of dials.simulate_ed: tables, sentences and plots in one HTML file.

It is written where there is something to be compared: with measured data, or charged with
neutral atoms.
"""

from __future__ import annotations

import logging

from dials_spread.report.page.explained import explained_sentence
from dials_spread.report.page.labels import digits
from dials_spread.report.page.sections import Section
from dials_spread.report.page.tables import TextTable
from dials_spread.report.page.template import report_page
from dials_spread.report.simulate_ed.plots_charges import charges_plot
from dials_spread.report.simulate_ed.plots_simulation import (
    agreement_plot,
    crystals_plot,
    thickness_plot,
)
from dials_spread.scattering.charges import ChargeEffect
from dials_spread.thickness.results import MeasuredSimulation

logger = logging.getLogger("dials.spread.simulation_page")


def crystals_table(result: MeasuredSimulation) -> TextTable:
    """Thickness and R1 of each crystal."""
    rows = []
    for c in result.crystals:
        fit = c.fit
        rows.append(
            [
                str(c.number),
                f"{c.shape.thickness:.0f}" + (f"({fit.su:.0f})" if fit else ""),
                _law(c.shape),
                str(c.n),
                str(fit.n_unique) if fit else "",
                digits(c.r1_kinematic),
                digits(c.r1),
                digits(fit.held_out_kinematic) if fit else "",
                digits(fit.held_out) if fit else "",
                digits(c.r1_other_hand),
            ]
        )
    header = ["crystal", "thickness [Å]", "shape", "observations", "unique"]
    header += ["R1 kinematic", "R1 dynamical", "held out, kin.", "held out, dyn."]
    return TextTable("Crystals", [*header, "inverted structure"], rows)


def _law(shape) -> str:
    if shape.law == "wedge":
        return f"wedge ±{100 * shape.within:.0f} %"
    if shape.law == "slab":
        return f"plate, {57.29578 * shape.slab_angle:.0f}°"
    return "uniform"


def settings_table(result: MeasuredSimulation) -> TextTable:
    """R1 of each way to lay the structure on the data."""
    rows = [
        [
            setting.choice.symbol,
            digits(setting.r1),
            "in use" if number == result.chosen else "",
        ]
        for number, setting in enumerate(result.settings)
    ]
    return TextTable(
        "The structure in the indices of the data", ["operator", "R1", ""], rows
    )


def charges_table(effect: ChargeEffect, most: int = 20) -> TextTable:
    """The reflections that charges change most."""
    rows = [
        [
            " ".join(map(str, row["miller_index"])),
            digits(row["d"]),
            digits(row["neutral"]),
            digits(row["charged"]),
            digits(row["z"]),
        ]
        for row in effect.as_dict()["largest"][:most]
    ]
    header = ["h k l", "d [Å]", "|F|² neutral [Å²]", "|F|² charged [Å²]", "σ"]
    return TextTable("Reflections that the charges change most", header, rows)


def measured_sentences(result: MeasuredSimulation) -> list[str]:
    """What a simulation at measured experiments says, in words."""
    c, explained = result.comparison, result.explained
    sentences = [
        f"R1 of {len(c):,} observations is {c.pooled(c.kinematic):.3f} with kinematic "
        f"amplitudes and {c.pooled(c.dynamical):.3f} with multiple scattering; of merged "
        f"intensities {c.merged(c.kinematic):.3f} and {c.merged(c.dynamical):.3f}.",
    ]
    fitted = [x.fit for x in result.crystals if x.fit is not None]
    if (held := held_out(result)) is not None:
        kin, dyn = held
        sentences.append(
            f"Reflections that no thickness was fitted to: {kin:.3f} and {dyn:.3f} "
            f"({len(fitted)} crystal{'s' if len(fitted) > 1 else ''})."
        )
    sentences.append(explained_sentence(explained.as_dict()))
    if result.lorentz_applied_here:
        sentences.append(
            "The intensities lacked the Lorentz factor; it was applied for the comparison "
            "and is in the column simulation.lorentz."
        )
    missing = result.n_rows - result.n_simulated
    if missing:
        sentences.append(
            f"{missing:,} of {result.n_rows:,} rows were not simulated: no index, beyond "
            "the resolution limit, or not met during the scan. Their variance is -1."
        )
    hands = [x for x in result.crystals if x.r1_other_hand == x.r1_other_hand]
    if hands:
        better = sum(x.r1 < x.r1_other_hand for x in hands)
        sentences.append(
            f"The structure as given agrees better than its mirror image in {better} of "
            f"{len(hands)} crystals."
        )
    return sentences


def charges_sentence(effect: ChargeEffect) -> str:
    """Say what charges change."""
    d = effect.as_dict()
    needed = d["counts_needed"]
    return (
        f"Charged atoms ({', '.join(effect.charges)}) change amplitudes by R1 = "
        f"{effect.r1:.4f}. At {effect.counts:g} counts a reflection {d['seen']} of "
        f"{d['reflections']} differ by more than three standard deviations of counting "
        "noise; "
        + (
            f"all together show it from {needed:.3g} counts a reflection."
            if needed
            else "no dose would show it."
        )
    )


def charges_section(effect: ChargeEffect) -> Section:
    """Lay out what charges change."""
    return Section(
        "charges",
        "Would charges of the atoms be seen?",
        "Charges",
        notes=[charges_sentence(effect)],
        plots={"charges": charges_plot(effect)},
        tables=[charges_table(effect)],
    )


def charges_page(document: dict, effect: ChargeEffect) -> str:
    """
    Write the report of a simulation of ions.

    Args:
        document: The JSON document.
        effect: What the charges change.
    """
    return report_page(
        document,
        "Charged and neutral atoms",
        verdict=[charges_sentence(effect)],
        sections=[charges_section(effect)],
    )


def measured_page(
    document: dict, result: MeasuredSimulation, effect: ChargeEffect | None, output
) -> str:
    """
    Write the report of a simulation at measured experiments.

    Args:
        document: The JSON document.
        result: The simulation.
        effect: Of charges, where there are any.
        output: Names of files, for what to do next.
    """
    thickness = Section(
        "thickness",
        "How thick are the crystals, and does multiple scattering explain the data?",
        "Thickness",
        plots={
            "thickness": thickness_plot(result.crystals),
            "agreement": agreement_plot(result.comparison),
            "crystals": crystals_plot(result.crystals),
        },
        tables=[crystals_table(result), settings_table(result)],
    )
    sections = [thickness] if effect is None else [thickness, charges_section(effect)]
    return report_page(
        document,
        "Multiple scattering in measured crystals",
        verdict=measured_sentences(result),
        next_steps=next_steps(result, output),
        sections=sections,
    )


def next_steps(result: MeasuredSimulation, output) -> list[str]:
    """
    Say what to do after a simulation at measured experiments.

    Args:
        result: The simulation.
        output: Names of files.
    """
    held = held_out(result)
    steps = []
    if held is not None and held[1] < held[0]:
        steps.append(
            f"R1 of held-out reflections is lower with multiple scattering ({held[0]:.3f} "
            f"to {held[1]:.3f}): refine the structure against dynamical intensities, "
            "starting from these thicknesses."
        )
    elif held is not None:
        steps.append(
            f"R1 of held-out reflections is not lower with multiple scattering "
            f"({held[0]:.3f} to {held[1]:.3f}): check the structure, its setting and the "
            "orientation of the crystals before refining against dynamical intensities."
        )
    files = f"{output.experiments} {output.reflections}"
    steps.append(
        "How much of the differences between symmetry equivalents the simulation "
        f"explains: `dials.compare_images {files}`"
    )
    return steps


def held_out(result: MeasuredSimulation) -> tuple[float, float] | None:
    """
    Give R1 of reflections that no thickness was fitted to.

    Args:
        result: The simulation.

    Returns:
        With kinematic and with dynamical amplitudes, means over crystals weighted by
        their numbers of observations; None without a fit.
    """
    fits = [c.fit for c in result.crystals if c.fit is not None]
    n = sum(fit.n for fit in fits)
    if not n:
        return None
    return (
        sum(fit.held_out_kinematic * fit.n for fit in fits) / n,
        sum(fit.held_out * fit.n for fit in fits) / n,
    )


def log_charges(effect: ChargeEffect) -> None:
    """Write what charges change to the log."""
    logger.info("\n%s", charges_table(effect).as_text())
    logger.info("\n%s\n", charges_sentence(effect))
