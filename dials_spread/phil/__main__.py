"""``python -m dials_spread.phil KIND COMMAND`` prints where a phil file is; alone, all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dials_spread.phil import phil_file, phil_files


def main(args: Sequence[str] | None = None) -> int:
    """Print one path, or a list of all; give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dials_spread.phil",
        description="Print where a file of settings is; without arguments list all.",
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help="as one_crystal")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="as ml_correct")
    chosen = parser.parse_args(args)
    if chosen.kind is None:
        lines = [str(p) for files in phil_files().values() for p in files.values()]
        sys.stdout.write("\n".join(lines) + "\n")
        return 0
    try:
        if chosen.command is None:
            raise ValueError(f"give a command too, as {chosen.kind} ml_correct")
        path = phil_file(chosen.kind, chosen.command)
    except ValueError as error:
        sys.stderr.write(f"Sorry: {error}\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
