"""
The directive that lists the parameters of a command from its phil scope.

    .. phil-parameters:: dials_spread.command_line.compare_images

Each parameter stands with its type, limits, default and help, as the command itself has
them, under an anchor such as ``compare_images-matching.top``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from libtbx import Auto, phil

TYPES = {
    "bool": "True or False",
    "float": "number",
    "floats": "numbers",
    "int": "whole number",
    "ints": "whole numbers",
    "path": "file or folder",
    "str": "text",
    "strings": "words",
}


def definitions(scope: phil.scope) -> Iterator[phil.definition]:
    """Give all definitions below a scope, in its order."""
    for item in scope.active_objects():
        if item.is_definition:
            yield item
        else:
            yield from definitions(item)


def choices(definition: phil.definition) -> list[str]:
    """The words that a choice may be."""
    return [word.value.lstrip("*") for word in definition.words]


def kind(definition: phil.definition) -> str:
    """Say in words what a value may be, with its limits."""
    converter = definition.type
    if converter.phil_type == "choice":
        words = "one of " + ", ".join(choices(definition))
    else:
        words = TYPES[converter.phil_type]
        size = getattr(converter, "size_min", None)
        if size:
            words = f"{size} {words}"
        low = getattr(converter, "value_min", None)
        high = getattr(converter, "value_max", None)
        if low is not None and high is not None:
            words += f" from {low:g} to {high:g}"
        elif low is not None:
            words += f", at least {low:g}"
        elif high is not None:
            words += f", at most {high:g}"
    return words + (", may be given more than once" if definition.multiple else "")


def default(definition: phil.definition) -> str:
    """Give the default as the user would type it."""
    value = definition.extract()
    if value is Auto:
        return "Auto"
    if isinstance(value, (list, tuple)):
        return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_text(text: str | None) -> str:
    """One line; scopes and parameters without a help have none."""
    return " ".join((text or "").split())


class PhilParameters(SphinxDirective):
    """Definition lists of parameters, one for each outermost scope that has several."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Read the scope of the module that is named, and list it."""
        name = self.arguments[0]
        scope = importlib.import_module(name).phil_scope
        self.command = name.rsplit(".", 1)[1]
        found: list[nodes.Node] = []
        for title, text, group in self.groups(scope):
            if title:
                found.append(nodes.rubric("", title))
            if text:
                found.append(nodes.paragraph("", text))
            found.append(nodes.definition_list("", *map(self.item, group)))
        return found

    @staticmethod
    def groups(scope: phil.scope) -> Iterator[tuple[str, str, list]]:
        """Single parameters first, and then those of each scope below its name."""
        items = scope.active_objects()
        single = [item for item in items if item.is_definition]
        scopes = [item for item in items if not item.is_definition]
        alone = [s for s in scopes if len(list(definitions(s))) == 1]
        single += [d for s in alone for d in definitions(s)]
        yield "", "", single
        for item in scopes:
            if item not in alone:
                yield f"{item.name}.*", as_text(item.help), list(definitions(item))

    def item(self, definition: phil.definition) -> nodes.Node:
        """One parameter."""
        path = definition.full_path()
        anchor = f"{self.command}-{path}"
        term = nodes.term("", "", nodes.literal("", f"{path} = {default(definition)}"))
        term["ids"].append(anchor)
        what = nodes.paragraph("", "", nodes.emphasis("", kind(definition)))
        text = as_text(definition.help)
        if text:
            what += nodes.Text(". " + text)
        return nodes.definition_list_item("", term, nodes.definition("", what))


def setup(app: Sphinx) -> dict:
    """Register the directive."""
    app.add_directive("phil-parameters", PhilParameters)
    return {"version": "1", "parallel_read_safe": True}
