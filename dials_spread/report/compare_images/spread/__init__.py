"""
How large the spread is: its tables, plots and part of the document.

Modules:
    explained_section: the section of what a simulation in the input explains of the
        spread
    plots_sources: plots of the sources of the spread and of the distribution of
        residuals
    plots_spread: plots of the size of the spread, by intensity, resolution, crystal and
        image
    plots_variogram: the variogram, drawn
    spread_document: the parts of the JSON document that are about the spread
    spread_section: the section on the size of the spread and its sources
    spread_tables: the tables of the log that are about the spread
"""

from __future__ import annotations
