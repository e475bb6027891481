"""
Kinds of faults in files of text: structures (CIF, SHELX) and what PETS2 writes.

Each is a function of a generator and the lines of a file; it gives other lines. `TEXT`
lists them. Where a command reads such a file, one of them spoils it.
"""

from __future__ import annotations

import re

ODD = (
    *("?", ".", "", "nan", "inf", "-inf", "1e300", "-1e300", "1e-300", "0", "-1", "1"),
    *("1e999", "1(1e9)", "1.5(", "(5)", "x", "<b>", "'", '"', ";", "#", "_x", "loop_"),
    *("data_", "9" * 400, "C", "Zz", "D", "Na+", "2147483648", "-2147483649", "0.0001"),
    *("1e7", "é", "\0", "1,5", "1/3", "x,y,z", "x+1/0,y,z", "P 1", "F d -3 m", "\x1a"),
)
NUMBER = re.compile(r"(?<![\w.])-?\d+\.?\d*(?:[eE][-+]?\d+)?(?:\(\d+\))?(?![\w.])")


def _some(rng, lines, pattern=r"\S"):
    found = [k for k, line in enumerate(lines) if re.search(pattern, line)]
    return found[rng.integers(len(found))] if found else 0


def one_token(rng, lines):
    """A word or number is another."""
    k = _some(rng, lines)
    words = re.split(r"(\s+)", lines[k])
    places = [i for i, w in enumerate(words) if w.strip()]
    words[places[rng.integers(len(places))]] = ODD[rng.integers(len(ODD))]
    return [*lines[:k], "".join(words), *lines[k + 1 :]]


def one_number(rng, lines):
    """A number of the head, or of any line, is larger, smaller, negative or none."""
    head = [k for k in range(min(len(lines), 60)) if NUMBER.search(lines[k])]
    k = (
        head[rng.integers(len(head))]
        if rng.random() < 0.7
        else _some(rng, lines, r"\d")
    )
    found = [*NUMBER.finditer(lines[k])]
    if not found:
        return lines
    hit = found[rng.integers(len(found))]
    value = float(re.sub(r"\(.*", "", hit.group()))
    new = (value * 1e3, -value, value * 1e-3, 0.0, value + 1, value * 1e30, value / 7)
    text = f"{new[rng.integers(len(new))]:.6g}"
    return [
        *lines[:k],
        lines[k][: hit.start()] + text + lines[k][hit.end() :],
        *lines[k + 1 :],
    ]


def a_whole_column(rng, lines):
    """One place in all lines of as many words as a line chosen at random is another."""
    k = _some(rng, lines, r"^\s*\S+(\s+\S+){3,}")
    n = len(lines[k].split())
    place = rng.integers(n) if n else 0
    value = ODD[rng.integers(len(ODD))]
    result = []
    for line in lines:
        words = line.split()
        if len(words) == n and n > 3:
            words[place] = value
            line = " ".join(words)
        result.append(line)
    return result


def lines_gone(rng, lines):
    """Some lines are not there."""
    n = int(rng.choice([1, 2, 10, max(len(lines) // 3, 1)]))
    gone = {*rng.integers(len(lines), size=n).tolist()}
    return [line for k, line in enumerate(lines) if k not in gone]


def head_line_gone(rng, lines):
    """One of the first lines is not there."""
    k = int(rng.integers(min(len(lines), 60)))
    return [*lines[:k], *lines[k + 1 :]]


def cut_short(rng, lines):
    """The end is missing."""
    text = "\n".join(lines)
    return text[: int(rng.random() * len(text))].split("\n")


def lines_twice(rng, lines):
    """Lines are there twice, the whole file is, or lines are in another order."""
    how = rng.integers(4)
    if how == 0:
        k = int(rng.integers(len(lines)))
        return [*lines[:k], lines[k], *lines[k:]]
    if how == 1:
        return lines + lines
    if how == 2:
        j, k = rng.integers(len(lines), size=2)
        lines = [*lines]
        lines[j], lines[k] = lines[k], lines[j]
        return lines
    begin = int(rng.integers(len(lines)))
    return [*lines[:begin], *lines[begin:][::-1]]


def letters(rng, lines):
    """Some letters are others."""
    text = [*"\n".join(lines)]
    for k in rng.integers(len(text), size=int(rng.choice([1, 5, 50]))):
        text[k] = chr(int(rng.choice([0, 9, 10, 32, 34, 39, 59, 35, 95, 65, 48, 233])))
    return "".join(text).split("\n")


def none_of_it(rng, lines):
    """Another file."""
    ways = (
        [""],
        ["data_x"],
        ["loop_"],
        ["data_x", "loop_", "_a", "_b", "1", "2", "3"],
        ["[" * 100_000],
        ["data_x", ";", "never ends"],
        ["\0" * 1000],
        ["#" * 10**6],
        ["data_x", *(f"_a{k} {k}" for k in range(20_000))],
        ["CELL 1 2 3"],
        ["TITL x", "CELL 0.02 5 5 5 90 90 90", "LATT 1", "SFAC C", "HKLF 4", "END"],
    )
    return ways[rng.integers(len(ways))]


def names_gone(rng, lines):
    """The name of an item is misspelt, there twice, or not there."""
    k = _some(rng, lines, r"^\s*_\w")
    how = rng.integers(4)
    name = lines[k].split()[0] if lines[k].split() else "_x"
    if how == 0:
        return [*lines[:k], lines[k].replace(name, name + "x", 1), *lines[k + 1 :]]
    if how == 1:
        return [*lines[:k], lines[k], lines[k], *lines[k + 1 :]]
    if how == 2:
        return [*lines[:k], lines[k].replace(name, "", 1), *lines[k + 1 :]]
    other = _some(rng, lines, r"^\s*_\w")
    given = lines[other].split()[0] if lines[other].split() else "_x"
    return [*lines[:k], lines[k].replace(name, given, 1), *lines[k + 1 :]]


ATOM = re.compile(r"^(\s*[A-Z]\w*\s+)(\w+)((?:\s+-?\d*\.\d+){3})(\s.*)$")
"""Label, type, coordinates, and what follows, in a CIF or a SHELX file."""


def wrong_atoms(rng, lines):
    """Atoms elsewhere, of other elements, too many, too few, or at one place."""
    places = [k for k, line in enumerate(lines) if ATOM.match(line)]
    found = [ATOM.match(lines[k]).groups() for k in places]
    if not found:
        return one_number(rng, lines)
    how, n = rng.integers(9), len(found)
    xyz = [[float(x) for x in atom[2].split()] for atom in found]
    kinds, ends = [atom[1] for atom in found], [atom[3] for atom in found]
    repeat = 1
    if how == 0:
        xyz = rng.random((n, 3)).tolist()
    elif how == 1:
        shift = float(rng.choice([0.002, 0.02, 0.1]))
        xyz = [[x + float(rng.normal(0, shift)) for x in one] for one in xyz]
    elif how == 2:
        xyz = [[-x for x in one] for one in xyz]
    elif how == 3:
        xyz = [xyz[0]] * n
    elif how == 4:
        kinds = [str(rng.choice([*kinds, "U", "H", "Og", "Xx", "99"]))] * n
    elif how == 5:
        rng.shuffle(kinds)
    elif how == 6:
        ends = [re.sub(r"1\.0+|11\.0", str(rng.choice([0, 0.01, 3])), x) for x in ends]
    elif how == 7:
        repeat = int(rng.choice([2, 30]))
    kept = {*places}
    if how == 8:
        kept = {*rng.permutation(places)[: int(rng.choice([0, 1, 2, n // 2]))].tolist()}
    made = {
        k: f"{atom[0]}{kind}  {x:.6f} {y:.6f} {z:.6f}{end}"
        for k, atom, kind, (x, y, z), end in zip(places, found, kinds, xyz, ends)
    }
    result = []
    for k, line in enumerate(lines):
        if k not in made:
            result.append(line)
        elif k in kept:
            result += [made[k]] * repeat
    return result


TEXT = (
    *(one_token, one_number, a_whole_column, lines_gone, head_line_gone, cut_short),
    *(lines_twice, letters, none_of_it, names_gone, wrong_atoms),
)
