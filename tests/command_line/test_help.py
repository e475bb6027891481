"""Every parameter of every command has a help text that can be read on its own."""

from __future__ import annotations

import re

import pytest

from dials_spread.command_line import (
    compare_images,
    import_pets,
    ml_correct,
    simulate_ed,
)

COMMANDS = (compare_images, import_pets, ml_correct, simulate_ed)
UNITS = re.compile(
    r"angstrom|degree|second|pixel|kV|logarithm|[Nn]umber|How many|how many|[Ff]raction|[Ff]actor|"
    r"[Rr]elative|[Ss]eed|counts|[Ee]lectrons|No unit|from 0 to 1|standard deviations|u, v"
)


def leaves():
    for command in COMMANDS:
        for definition in command.phil_scope.all_definitions():
            name = command.__name__.rpartition(".")[2]
            yield pytest.param(definition.object, id=f"{name}:{definition.path}")


@pytest.mark.parametrize("leaf", [*leaves()])
def test_each_leaf_has_a_help_in_sentences_with_units(leaf):
    text = " ".join((leaf.help or "").split())
    assert len(text) > 25 and text[-1] == "."
    # Either a sentence, or a noun with a capital; auto and apply are values of it.
    assert text[0].isupper()
    # Two pieces of a help text that were joined without a space between them.
    assert not re.search(r"[a-z],[a-z]|[a-z]\.[A-Z]", text)
    if leaf.type.phil_type in ("int", "float", "floats"):
        assert UNITS.search(text), text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_shows_examples_and_where_parameters_are_listed(command):
    text = command.__doc__
    assert "Examples::" in text and "-c lists all parameters" in text.replace("\n", " ")
    for line in text.splitlines():
        if line.strip().startswith("dials."):
            assert line.split()[0] == command.COMMAND
