"""Rows for people and for programs: aligned below a header on a terminal, tab-separated without one in a pipe."""

import sys
from collections.abc import Sequence


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One line a row on standard output; no cell may hold a tab or a line end."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
