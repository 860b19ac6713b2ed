"""Where the SQL lies: ``queries/`` of the checkout, or inside the package when installed."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tracker.store.connect import Connection

_PACKAGED = Path(__file__).resolve().parent.parent / "queries"
_CHECKOUT = Path(__file__).resolve().parent.parent.parent / "queries"


def folder() -> Path:
    """The folder that holds migrations, metrics and reports."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def script(name: str) -> str:
    """The text of ``queries/NAME``."""
    return (folder() / name).read_text(encoding="utf-8")


def run_script(connection: Connection, name: str) -> None:
    """Run every statement of ``queries/NAME``, in order; an error names the file."""
    for statement in connection.extract_statements(script(name)):
        try:
            connection.execute(statement)
        except duckdb.FatalException:
            raise
        except duckdb.Error as error:
            raise type(error)(f"queries/{name}: {error}") from error
