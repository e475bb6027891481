"""What the charges of ions change, in units of counting noise."""

from __future__ import annotations

import numpy as np

from dials_spread.report.page.plot_style import BLUE, GREY, axis, new_plot, sample
from dials_spread.scattering.charges import SEEN, ChargeEffect

CHARGES_HELP = """
What changes when atoms are charged: the difference of each unique reflection between
charged and neutral atoms over its counting noise, against resolution. Points beyond the
dashed lines could be told from neutral atoms by themselves. Charges change low angles
most, since the field of a charge reaches far.
"""


def charges_plot(effect: ChargeEffect) -> dict:
    """
    Draw the effect of charges on every unique reflection.

    Args:
        effect: Charged against neutral atoms.

    Returns:
        A plot.
    """
    most = sample(len(effect.z))
    names = [" ".join(map(str, hkl)) for hkl in effect.miller_index[most]]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "unique reflections",
        "x": 1 / effect.d_spacing[most],
        "y": effect.z[most],
        "text": names,
        "marker": {"color": BLUE, "size": 6, "opacity": 0.6},
        "hovertemplate": "%{text}: %{y:.1f} σ<extra></extra>",
    }
    end = float(np.max(1 / effect.d_spacing)) * 1.03
    lines = [
        {
            "type": "scatter",
            "mode": "lines",
            "showlegend": False,
            "x": [0, end],
            "y": [y, y],
            "line": {"color": GREY, "width": 1, "dash": "dash"},
            "hoverinfo": "skip",
        }
        for y in (-SEEN, SEEN)
    ]
    charges = ", ".join(effect.charges)
    return new_plot(
        [*lines, dots],
        CHARGES_HELP,
        "Charged against neutral atoms",
        f"{charges}, at {effect.counts:g} counts a reflection",
        xaxis=axis("1/d [Å⁻¹]", range=[0, end]),
        yaxis=axis("Difference of intensities [σ of counting]"),
        showlegend=False,
        height=420,
    )
