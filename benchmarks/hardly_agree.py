"""
How often dials.ml_correct says that symmetry equivalents hardly agree, rightly and wrongly.

    python benchmarks/hardly_agree.py FOLDER [--only measured abtem own controls held_out]
        [--data FOLDER] [--random N] [--compounds N]

Sets as they are, and with intensities exchanged within shells of resolution
(general_model_gains.shuffled). FOLDER as of benchmarks/general_model.py. Some minutes.
"""

from __future__ import annotations

from general_model_gains import shuffled
from general_model_sets import PARTS, DataSet, read_arguments
from tabulate import tabulate

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.disagreement import BEGINNING


def is_told(data: DataSet) -> bool:
    """Whether the warning is among those of a set."""
    subject = get_subject(data.experiments, data.tables, force=True, nproc=1)
    return any(words.startswith(BEGINNING) for words in subject.warnings)


def main() -> None:
    """Print a line for each family."""
    args = read_arguments(__doc__, [*PARTS], 6)
    rows = []
    for part in args.only:
        told = [(is_told(d), is_told(shuffled(d)[0])) for d in PARTS[part](args)]
        rows.append([part, len(told), *(sum(x) for x in zip(*told))])
        print(rows[-1], flush=True)
    print(tabulate(rows, ["family", "sets", "told", "told of exchanged ones"]))


if __name__ == "__main__":
    main()
