"""Bringing the file to the shape of this program: numbered migrations, then macros and views.

A migration runs in one transaction and the last one ends in a checkpoint, so that a kill at any step leaves the
old shape or the new one. A file that a newer program has written is refused untouched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from tracker.errors import StoreError, StoreNewer
from tracker.store.connect import Connection, naive_utc, transaction
from tracker.store.sqlfiles import folder, run_script

_NUMBER = re.compile(r"^(\d{4})_\w+\.sql$")


def migrations() -> list[tuple[int, str]]:
    """(number, file name), ascending."""
    found = []
    for path in sorted((folder() / "migrations").iterdir()):
        matched = _NUMBER.match(path.name)
        if matched:
            found.append((int(matched.group(1)), path.name))
    return found


def stored_version(connection: Connection) -> int:
    """The number of the newest migration in the file; 0 for an empty one; StoreError for somebody else's file."""
    tables = {
        row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT temporary").fetchall()
    }
    if "schema_version" not in tables:
        if tables:
            raise StoreError("this is not a tracker database", None, f"it holds {', '.join(sorted(tables)[:5])}")
        return 0
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def refuse_newer(connection: Connection) -> int:
    """The stored version, when this program can work with it; StoreNewer otherwise."""
    version, newest = stored_version(connection), migrations()[-1][0]
    if version > newest:
        raise StoreNewer(
            "the database was written by a newer tracker",
            f"its version {version}, ours {newest}",
            "install that one; nothing was changed",
        )
    return version


def migrate(connection: Connection, now: datetime) -> bool:
    """Apply what is missing; True when anything was applied. Macros and views are made again each time it changes."""
    version = refuse_newer(connection)
    changed = False
    for number, name in migrations():
        if number <= version:
            continue
        with transaction(connection):
            run_script(connection, f"migrations/{name}")
            connection.execute("INSERT INTO schema_version VALUES (?, ?, ?)", [number, naive_utc(now), name])
        changed = True
    if changed:
        connection.execute("CHECKPOINT")
    return changed


def define_metrics(connection: Connection) -> None:
    """Macros, views and table macros, in the order of their file names; persisted in the file for everybody."""
    with transaction(connection):
        run_script(connection, "macros.sql")
        for path in sorted((folder() / "metrics").glob("*.sql")):
            run_script(connection, f"metrics/{path.name}")


def set_meter(
    connection: Connection, values: Mapping[str, float | int | str], windows: Sequence[tuple[str, int]] | None = None
) -> None:
    """The constants of the metrics, one row, and the windows (name, seconds) of the readings; None leaves them as they are.

    Where a constant has changed, the baselines that were made with the old ones are thrown away.
    """
    names = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    with transaction(connection):
        before = connection.execute(f"SELECT {names} FROM meter_settings").fetchall()
        if before != [tuple(values.values())]:
            connection.execute("DELETE FROM meter_settings")
            connection.execute(f"INSERT INTO meter_settings ({names}) VALUES ({marks})", list(values.values()))
            for table in ("market_days", "symbol_days", "hour_scales", "hour_scale_days"):
                connection.execute(f"DELETE FROM {table}")
        if windows is not None:
            connection.execute("DELETE FROM meter_windows")
            for name, seconds in windows:
                connection.execute("INSERT INTO meter_windows VALUES (?, ?)", [name, seconds])
