"""The campaign's table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from chaos.faults import FAULTS, Fault
from chaos.rounds import Result

COLUMNS = ("fault", "what goes wrong", "rounds", "struck", "tried", "survived", "healed by re-run", "lost")


def rows(results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """A row a fault, in the catalogue's order, and a last one of sums."""
    by_name = {name: list(group) for name, group in groupby(sorted(results, key=_name), key=_name)}
    for fault in FAULTS:
        if fault.name in by_name:
            yield _row(fault.name, fault.what, by_name[fault.name])
    yield _row("all", f"{len(by_name)} kinds of fault", results)


def show(results: Sequence[Result]) -> None:
    """Print the table, then what was lost and what was skipped."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if number < 2 else "right", no_wrap=number != 1)
    for row in rows(results):
        table.add_row(*row)
    console.print(table)
    for result in results:
        if result.skipped:
            console.print(f"SKIPPED {result.fault}: {result.skipped}", markup=False, highlight=False)
    for result in results:
        for text in result.broken:
            console.print(f"LOST    {result.fault}: {text}", style="red", markup=False, highlight=False)
        if result.broken:
            console.print(f"        again: {result.again}", style="red", markup=False, highlight=False)


def markdown(results: Sequence[Result]) -> str:
    """The table for docs/reliability.md."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * (len(COLUMNS) - 2)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(results)]
    return "\n".join(lines)


def sentence(fault: Fault, result: Result) -> str:
    """A round in a line, and whether it came out otherwise than the catalogue expects."""
    if result.skipped:
        return "SKIPPED"
    told = f"{result.tried} tried, {result.survived} survived, {result.healed} healed, {result.lost} lost"
    if fault.expected == "survived" and result.healed:
        told += " (all were expected to survive)"
    elif fault.expected == "healed" and not result.healed and not result.lost:
        told += " (some were expected to need the healing run)"
    return told


def _name(result: Result) -> str:
    return result.fault


def _row(name: str, what: str, results: Sequence[Result]) -> tuple[str, ...]:
    played = [result for result in results if not result.skipped]
    if not played:
        return (name, what, "SKIPPED", "", "", "", "", "")
    sums = (sum(getattr(r, column) for r in played) for column in ("struck", "tried", "survived", "healed", "lost"))
    return (name, what, f"{len(played):,}", *(f"{number:,}" for number in sums))
