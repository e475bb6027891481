"""
Docstrings of the package are plain text: the bars of |F| are no substitution in them.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

CODE = re.compile(r"(``.*?``)")


def escape_bars(app, what, name, obj, options, lines) -> None:
    """Put a backslash before every bar that is not code."""
    for number, line in enumerate(lines):
        parts = CODE.split(line)
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "".join(parts)


def setup(app: Sphinx) -> dict:
    """Ask autodoc to do so, before sections are parsed."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", escape_bars, priority=400)
    return {"version": "1", "parallel_read_safe": True}
