"""
The report of dials.simulate_ed: tables, sentences and plots in one HTML file.

It is written where there is something to be compared: with measured data, or charged with
neutral atoms.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from dials_spread.report.labels import digits
from dials_spread.report.page import (
    TEMPLATES,
    figure_parts,
    flat_parameters,
    get_template,
)
from dials_spread.report.plots_charges import charges_plot
from dials_spread.report.plots_simulation import explained_plot
from dials_spread.report.sections import Section
from dials_spread.report.tables import Table
from dials_spread.simulation.charges import ChargeEffect
from dials_spread.spread.explained import ExplainedSpread
from dials_spread.thickness.results import MeasuredSimulation

logger = logging.getLogger("dials.spread.simulation_page")


def crystals_table(result: MeasuredSimulation) -> Table:
    """Thickness and R1 of each crystal."""
    rows = []
    for c in result.crystals:
        known = c.fit is not None
        rows.append(
            [
                str(c.number),
                f"{c.shape.thickness:.0f}" + (f"({c.fit.su:.0f})" if known else ""),
                _law(c.shape),
                str(c.n),
                str(c.fit.n_unique) if known else "",
                digits(c.r1_kinematic),
                digits(c.r1),
                digits(c.fit.held_out_kinematic) if known else "",
                digits(c.fit.held_out) if known else "",
                digits(c.r1_other_hand),
            ]
        )
    header = ["crystal", "thickness [Å]", "shape", "observations", "unique"]
    header += ["R1 kinematic", "R1 dynamical", "held out, kin.", "held out, dyn."]
    return Table("Crystals", [*header, "inverted structure"], rows)


def _law(shape) -> str:
    if shape.law == "wedge":
        return f"wedge ±{100 * shape.within:.0f} %"
    if shape.law == "slab":
        return f"plate, {57.29578 * shape.slab_angle:.0f}°"
    return "uniform"


def settings_table(result: MeasuredSimulation) -> Table:
    """R1 of each way to lay the structure on the data."""
    rows = [
        [
            setting.choice.symbol,
            digits(setting.r1),
            "in use" if number == result.chosen else "",
        ]
        for number, setting in enumerate(result.settings)
    ]
    return Table(
        "The structure in the indices of the data", ["operator", "R1", ""], rows
    )


def charges_table(effect: ChargeEffect, most: int = 20) -> Table:
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
    return Table("Reflections that the charges change most", header, rows)


def measured_sentences(result: MeasuredSimulation) -> list[str]:
    """What a simulation at measured experiments says, in words."""
    c, explained = result.comparison, result.explained
    sentences = [
        f"R1 of {len(c):,} observations is {c.pooled(c.kinematic):.3f} with kinematic "
        f"amplitudes and {c.pooled(c.dynamical):.3f} with multiple scattering; of merged "
        f"intensities {c.merged(c.kinematic):.3f} and {c.merged(c.dynamical):.3f}.",
    ]
    fitted = [x.fit for x in result.crystals if x.fit is not None]
    if fitted:
        kin = sum(f.held_out_kinematic * f.n for f in fitted) / sum(f.n for f in fitted)
        dyn = sum(f.held_out * f.n for f in fitted) / sum(f.n for f in fitted)
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


def explained_sentence(explained: Mapping) -> str:
    """
    Say how much of the spread a simulation explains.

    Args:
        explained: From ExplainedSpread.as_dict.
    """
    if not explained["observations"]:
        return explained["note"]
    share, control = explained["explained_share"], explained["control_share"]
    before, after = explained["spread_before"], explained["spread_after"]
    if share is None:
        return "Counting noise alone explains how far equivalent observations differ."
    low, high = explained["explained_share_interval"]
    interval = "" if low is None else f" (95 %: {100 * low:.0f} to {100 * high:.0f} %)"
    text = (
        f"Equivalent observations differ by s = {before:.3f} beyond their counting noise, "
        f"and by {after:.3f} from what the simulation expects: multiple scattering "
        f"explains {100 * share:.0f} % of the variance of the spread{interval}, "
        f"the rest is left as noise. {explained['observations']:,} observations of "
        f"{explained['unique']:,} reflections, {explained['crystals']} crystal"
        f"{'s' if explained['crystals'] != 1 else ''}."
    )
    if control is not None:
        found = "nothing" if control <= 0 else f"{100 * control:.0f} %"
        text += f" Dealt out at random among equivalents they would explain {found}."
    return f"{text} {explained['note']}".strip()


def simulation_section(explained: ExplainedSpread) -> Section:
    """
    Lay out what dials.compare_images says of simulated intensities in its input.

    Args:
        explained: The spread before and after the simulation.
    """
    return Section(
        name="simulation",
        title="Does multiple scattering explain the spread?",
        short="Simulation",
        notes=[explained_sentence(explained.as_dict())],
        plots={"explained": explained_plot(explained)} if explained.n else {},
    )


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


def simulation_page(
    document: dict,
    title: str,
    summary: Sequence[str],
    tables: Sequence[Table],
    plots: Mapping[str, dict],
) -> str:
    """
    Write the report.

    Args:
        document: The JSON document, for parameters and versions.
        title: Of the page.
        summary: Sentences for the top.
        tables: Below them.
        plots: By name.

    Returns:
        HTML that needs no other file and no network.
    """
    return get_template("simulate_ed.html").render(
        title=title,
        summary=list(summary),
        tables=list(tables),
        figures=[figure_parts(name, plot) for name, plot in plots.items()],
        parameters=flat_parameters(document.get("parameters", {})),
        command=document.get("command", ""),
        version=document.get("version", ""),
        dials_version=document.get("dials_version", ""),
        plotly=Markup(get_plotlyjs()),
        style=Markup((TEMPLATES / "compare_images.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "compare_images.js").read_text(encoding="utf-8")),
    )


def charges_page(document: dict, effect: ChargeEffect) -> str:
    """
    Write the report of a simulation of ions.

    Args:
        document: The JSON document.
        effect: What the charges change.
    """
    return simulation_page(
        document,
        "Charged and neutral atoms",
        [charges_sentence(effect)],
        [charges_table(effect)],
        {"charges": charges_plot(effect)},
    )


def log_charges(effect: ChargeEffect) -> None:
    """Write what charges change to the log."""
    logger.info("\n%s", charges_table(effect).as_text())
    logger.info("\n%s\n", charges_sentence(effect))
