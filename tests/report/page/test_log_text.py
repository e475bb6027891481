"""Text of logs: lines that end in time, units with their numbers, commands in one piece."""

from __future__ import annotations

from dials_spread.report.page.log_text import (
    WIDTH,
    Step,
    log_part,
    numbered,
    steps_text,
    wrapped,
)


def test_paragraphs_are_wrapped_and_numbers_keep_their_units():
    for n in range(60, 100):
        text = f"{'x' * n} 12 % (95 %: 3.0 to 21 %) at 0.5 Å of reflections"
        lines = wrapped(text).splitlines()
        assert max(len(line) for line in lines) <= max(WIDTH, n)
        assert not any(line.startswith(("%", "Å")) for line in lines)
        assert " ".join(lines) == text


def test_a_part_has_a_heading_as_long_as_its_name():
    assert log_part("Input", ["a", "b"]) == "Input\n-----\na\n\nb\n"


def test_steps_are_numbered_where_there_are_several():
    assert numbered(["one"]) == ["one"]
    assert numbered(["one", "two"]) == ["1. one", "2. two"]


def test_command_lines_stay_in_one_piece():
    command = "dials.scale " + " ".join(f"file_{i}.expt" for i in range(40))
    told = steps_text([Step("Scale.", command), Step("Go on.")])
    assert f"1. Scale.\n\n    {command}\n\n2. Go on." in told
    assert told.startswith("What to do next\n---------------\n")
