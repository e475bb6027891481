"""
What the pages of all commands share: templates, labels, style, tables, documents.

Modules:
    document: the JSON document
    explained: how much of the spread a simulation explains, in words
    intervals: how 95 % intervals are written, and why some are not
    labels: how images, indices and numbers are written for readers
    log_text: how the text of logs is laid out: parts with a heading, wrapped
        paragraphs, numbered steps
    plot_parts: parts of plots: dots, lines, and axes of resolution and of amplitudes
    plot_style: what all plots have in common
    report_files: from the parts of a report to the log and the files of a command
    sections: the sections of a page
    static: the plots as figures for papers, drawn with matplotlib from the same
        dictionaries
    tables: tables for the log and the page
    template: the page of a command, from one base template
"""

from __future__ import annotations
