"""
The directive that documents every function that some pages name.

    .. formula-functions:: methods/agreement methods/correction

looks for :func:`dials_spread...` in these pages and lists the functions, in the order of
their first mention, with their docstrings.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

NAMED = re.compile(r":func:`(dials_spread(?:\.\w+)+)`")

ELSEWHERE = re.compile(r"\.\. autofunction:: (\S+)")


class FormulaFunctions(SphinxDirective):
    """One autofunction for each function; those that another page has are left out."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Read the pages, and let autodoc do the rest."""
        folder = Path(self.env.srcdir)
        pages = [folder / f"{name}.rst" for name in self.arguments[0].split()]
        taken = set()
        for page in folder.rglob("*.rst"):
            taken.update(ELSEWHERE.findall(page.read_text(encoding="utf-8")))
        lines = StringList()
        for page in pages:
            self.env.note_dependency(str(page))
            for name in NAMED.findall(page.read_text(encoding="utf-8")):
                if name not in taken:
                    taken.add(name)
                    lines.append(f".. autofunction:: {name}", str(page))
                    lines.append("", str(page))
        node = nodes.Element()
        self.state.nested_parse(lines, self.content_offset, node)
        return node.children


def setup(app: Sphinx) -> dict:
    """Register the directive."""
    app.add_directive("formula-functions", FormulaFunctions)
    return {"version": "1", "parallel_read_safe": True}
