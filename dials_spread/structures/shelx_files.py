"""
SHELX .ins and .res files, prepared for the parser of iotbx.

It takes the last SFAC line for the only one, and refuses scattering factors given in
numbers, which all refinements against electron data have. In SHELXL several SFAC lines go
on counting, and a line with numbers is of one element.

Functions:
    joined_lines: continuation lines joined
    with_one_sfac: all elements in one SFAC line
"""

from __future__ import annotations

import logging
import re

logger = logging.getLogger("dials.spread.structures")

NUMBER = re.compile(r"^[-+]?\.?\d")


def joined_lines(text: str) -> list[str]:
    """
    Join lines that go on on the next one.

    Args:
        text: Of the file. A line that ends with = goes on, unless it is a remark or a
            title; all behind ! is a remark.
    """
    lines: list[str] = []
    open_line = False
    for line in text.splitlines():
        kept = line.split("!")[0].rstrip()
        if open_line:
            lines[-1] += " " + kept.strip()
        else:
            lines.append(kept)
        remark = lines[-1][:4].upper() in ("REM", "REM ", "TITL")
        open_line = kept.endswith("=") and not remark
        if open_line:
            lines[-1] = lines[-1][:-1].rstrip()
    return lines


def with_one_sfac(text: str, source: str) -> str:
    """
    Put all elements into one SFAC line.

    Args:
        text: Of a SHELX file.
        source: Its name, for the log.

    Returns:
        The text, otherwise unchanged; scattering factors given in numbers are left out, as
        those of this program are used.
    """
    lines = joined_lines(text)
    elements, places, numbers = [], [], False
    for k, line in enumerate(lines):
        words = line.split()
        if not words or words[0].upper() != "SFAC":
            continue
        places.append(k)
        if len(words) > 2 and NUMBER.match(words[2]):
            numbers = True
            elements.append(words[1].lstrip("$"))
        else:
            elements += [word for word in words[1:] if not NUMBER.match(word)]
    if len(places) < 2 and not numbers:
        return text  # as the parser reads it
    if numbers:
        logger.info(
            "%s: scattering factors given in numbers are not used: those of electrons are "
            "computed for its elements.",
            source,
        )
    lines[places[0]] = "SFAC " + " ".join(elements)
    kept = [line for k, line in enumerate(lines) if k not in places[1:]]
    return "\n".join(kept) + "\n"
