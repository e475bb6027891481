"""
The report of dials.simulate_ed: tables, sentences and plots in one HTML file.

It is written where there is something to be compared: with measured data, or charged with
neutral atoms.
"""

from __future__ import annotations

from dials_spread.report.page.explained import explained_sentence
from dials_spread.report.page.labels import counted, digits, hkl_label
from dials_spread.report.page.log_text import Step
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
    header += ["R1 kinematic", "R1 dynamical"]
    header += ["held-out R1 kinematic", "held-out R1 dynamical", "R1 inverted"]
    title = (
        "Crystals: thickness (su) and R1 of observed against kinematic and dynamical "
        "amplitudes;\nheld-out: reflections that the thickness was not fitted to; "
        "inverted: the inverted structure"
    )
    return TextTable(title, header, rows)


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
        "Reindexing operators that lay the structure on the data, with R1 of each",
        ["reindexing operator", "R1", ""],
        rows,
    )


def charges_table(effect: ChargeEffect, most: int = 20) -> TextTable:
    """The reflections that charges change most."""
    rows = [
        [
            hkl_label(row["miller_index"]),
            digits(row["d"]),
            digits(row["neutral"]),
            digits(row["charged"]),
            digits(row["z"]),
        ]
        for row in effect.as_dict()["largest"][:most]
    ]
    header = [
        "h k l",
        "d [Å]",
        "|F|² neutral [Å²]",
        "|F|² charged [Å²]",
        "difference / σ",
    ]
    return TextTable("Reflections that the charges change most", header, rows)


def measured_sentences(result: MeasuredSimulation) -> list[str]:
    """What a simulation at measured experiments says, in words."""
    c, explained = result.comparison, result.explained
    kinematic, dynamical = c.pooled(c.kinematic), c.pooled(c.dynamical)
    verdict = (
        "multiple scattering, as simulated, improves the agreement"
        if dynamical < kinematic
        else "multiple scattering, as simulated, does not improve the agreement"
    )
    sentences = [
        f"R1 of {counted(len(c), 'observation')} is {kinematic:.3f} against kinematic "
        f"amplitudes and {dynamical:.3f} against dynamical ones: {verdict}. Of merged "
        f"intensities it is {c.merged(c.kinematic):.3f} and {c.merged(c.dynamical):.3f}. "
        "Nothing is refined but the thickness and the scale of each crystal.",
    ]
    held_out = held_out_r1(result)
    if held_out:
        sentences.append(
            "Of held-out reflections, which no thickness was fitted to, R1 is "
            f"{held_out[0]:.3f} and {held_out[1]:.3f} "
            f"({counted(held_out[2], 'crystal')})."
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
            f"{missing:,} of {result.n_rows:,} reflections of the table were not "
            "simulated: without index, beyond the resolution limit, or not excited during "
            "the scan. Their simulated variance is -1."
        )
    hands = [x for x in result.crystals if x.r1_other_hand == x.r1_other_hand]
    if hands:
        better = sum(x.r1 < x.r1_other_hand for x in hands)
        sentences.append(
            "The structure as given agrees better than the inverted structure in "
            f"{better} of {counted(len(hands), 'crystal')}."
        )
    return sentences


def held_out_r1(result: MeasuredSimulation) -> tuple[float, float, int] | None:
    """
    Give R1 of the reflections that no thickness was fitted to, over all crystals.

    Args:
        result: The simulation.

    Returns:
        Against kinematic and dynamical amplitudes, weighted by observations, and the
        number of crystals; None where all thicknesses were given.
    """
    fitted = [x.fit for x in result.crystals if x.fit is not None]
    n = sum(f.n for f in fitted)
    if not n:
        return None
    kinematic = sum(f.held_out_kinematic * f.n for f in fitted) / n
    return kinematic, sum(f.held_out * f.n for f in fitted) / n, len(fitted)


def charges_sentence(effect: ChargeEffect) -> str:
    """Say what charges change."""
    d = effect.as_dict()
    needed = d["counts_needed"]
    return (
        f"Charged atoms ({', '.join(effect.charges)}) change kinematic amplitudes by R1 = "
        f"{effect.r1:.4f}. With {effect.counts:g} counts in a mean reflection {d['seen']} "
        f"of {counted(d['reflections'], 'reflection')} change by more than three standard "
        "deviations of counting noise; "
        + (
            f"all reflections together show the charges from {needed:.3g} counts in a mean "
            "reflection."
            if needed
            else "no dose would show the charges."
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
    document: dict,
    result: MeasuredSimulation,
    effect: ChargeEffect | None,
    steps: list[Step],
) -> str:
    """
    Write the report of a simulation at measured experiments.

    Args:
        document: The JSON document.
        result: The simulation.
        effect: Of charges, where there are any.
        steps: What to do next.
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
        next_steps=[step.on_page for step in steps],
        sections=sections,
    )
