"""What can be said of a study that is still being trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasksr_training.studies.config import RowConfig, TableConfig
from tasksr_training.studies.plan import Runs, is_finished
from tasksr_training.studies.systems import parts


def trained_so_far(runs: Runs) -> Runs:
    """The runs that have spent their budgets, of each name those seeds that have."""
    done = {name: [run for run in seeds if is_finished(run)] for name, seeds in runs.items()}
    return {name: seeds for name, seeds in done.items() if seeds}


def _is_trained(row: RowConfig, runs: Runs) -> bool:
    return row.detector in runs and (not row.sr or row.sr in runs) and bool(parts(row, runs))


def tables_so_far(tables: Sequence[TableConfig], runs: Runs) -> tuple[list[TableConfig], list[str]]:
    """The tables as far as their rows are trained.

    Args:
        tables: of the study.
        runs: those that are trained, see `trained_so_far`.

    Returns:
        The tables that still compare something, and what was left out, in words.
    """
    kept, left_out = [], []
    for table in tables:
        rows = [r for r in table.rows if _is_trained(r, runs)]
        names = [row.name for row in rows]
        if table.baseline not in names or len(rows) < 2:
            left_out.append(f"table {table.title!r}")
            continue
        left_out += [
            f"row {row.name!r} of {table.title!r}" for row in table.rows if row not in rows
        ]
        macs = table.equal_macs if set(table.equal_macs) <= set(names) else []
        panels = [name for name in table.panels if name in names]
        subject = table.subject if table.subject in names else ""
        rivals = [name for name in table.rivals if subject and name in names]
        bound = table.bound if table.bound in names else ""
        kept.append(
            replace(
                table,
                rows=rows,
                bound=bound,
                equal_macs=macs,
                subject=subject,
                rivals=rivals,
                panels=panels,
            )
        )
    return kept, left_out
