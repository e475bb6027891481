"""
Logs, JSON documents and pages: one package a command, all on the same page.

Packages:
    compare_images: what dials.compare_images writes
    compare_placement: what dials.compare_placement writes
    ml_correct: what dials.ml_correct writes
    page: what the pages of all commands share: templates, labels, style, tables,
        documents
    simulate_ed: what dials.simulate_ed writes
"""

from __future__ import annotations
