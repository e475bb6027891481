"""Tables in a log."""

from __future__ import annotations

import pytest

from dials_spread.report.page.tables import MOST_ROWS, TextTable


@pytest.mark.parametrize("n", [3, MOST_ROWS, MOST_ROWS + 1, 2400])
def test_a_log_has_the_first_rows_and_says_how_many_more(n):
    rows = [[str(i), "1"] for i in range(n)]
    table = TextTable("Crystals", ["crystal", "scale"], rows)
    lines = table.as_text().split("\n")
    assert lines[0] == "Crystals" and len(table.rows) == n
    shown = [
        line.split()[0] for line in lines[4:] if line[:1].isdigit() and "1" in line
    ]
    left = n - MOST_ROWS
    if left <= 0:
        assert shown == [str(i) for i in range(n)]
    else:
        assert lines[-1] == f"{left:,} more rows are not shown here."
        assert len(lines) == MOST_ROWS + 6
