"""Markdown tables."""

from __future__ import annotations

from tabulate import tabulate


def table(lines: list[list], headers: list[str]) -> str:
    """Rows under headers, pipes escaped and numbers left as they are written."""
    escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return tabulate(escaped, headers=headers, tablefmt="pipe", disable_numparse=True)
