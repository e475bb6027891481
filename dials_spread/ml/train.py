"""
The former name of ``python -m dials_spread.general_model.train``.
"""

from __future__ import annotations

import sys

from dials_spread.general_model.train import main

if __name__ == "__main__":
    sys.stderr.write(
        "python -m dials_spread.ml.train is now "
        "python -m dials_spread.general_model.train\n"
    )
    sys.exit(main())
