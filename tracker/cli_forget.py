"""Commands for the people behind the messages: forget what one of them wrote, and unlink all of them from their names."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from tracker import sources
from tracker.cli_context import READ_WAIT_S, existing, with_context
from tracker.clock import SystemClock
from tracker.config import Config
from tracker.errors import BadInput, StoreError, StoreFatal
from tracker.ingest import author_hash
from tracker.parts import DaemonLock, KeyChange, author_key, scorer_of
from tracker.render import emit, talk
from tracker.store import Store
from tracker.store.forget import Forgotten, Wish

_FINE, _FAILED = 0, 1


@click.command()
@click.option("--source", required=True, metavar="NAME", help="The service: reddit, stocktwits, …")
@click.option("--id", "id_", metavar="ID", help="One message, by its native id as the tables have it.")
@click.option("--author", metavar="NAME", help="Everything by one author until now, named as the service names authors (docs/sources.md).")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--json", "as_json", is_flag=True)
@with_context
def forget(config: Config, source: str, id_: str | None, author: str | None, dry_run: bool, as_json: bool) -> None:
    """Take away what a person wrote, on request: it does not come back, and what was counted of it is counted again."""
    if (id_ is None) == (author is None):
        raise BadInput("one thing at a time", "--id, --author", "give one of them")
    if not (id_ or author):
        raise BadInput("an empty name", "--author" if id_ is None else "--id", "expected a name or a native id")
    if source not in sources.names():
        raise BadInput("unknown source", source, f"expected one of {', '.join(sources.names())}")
    service = sources.service_of(source)
    store = existing(config)
    hashed = (
        None
        if author is None
        else author_hash(author_key(config.tracker.data_dir), service, sources.author_of(service, author))
    )
    wish = Wish(service, id_, hashed)
    if dry_run:
        found = store.look(wish)
    else:
        lock = DaemonLock(config.tracker.data_dir)
        alone = _acquired(lock)
        try:
            found = store.forget(wish, SystemClock().now(), scorer_of(config).name, alone=alone)
        finally:
            lock.release()
        _leave_no_byte(config, store)
    _tell(found, wish, dry_run, as_json)
    sys.exit(_FINE if found.known or (id_ is not None and not dry_run) else _FAILED)


def _leave_no_byte(config: Config, store: Store) -> None:
    """The file and the read copy anew: what went stands in none of their bytes. Where that can't be now, the daemon does it."""
    try:
        store.scrub(READ_WAIT_S)
    except StoreFatal:
        raise
    except StoreError as error:
        talk.print(f"it is gone from the tables; bytes of it stay in the file until it is rewritten, which the daemon does: {error}", markup=False)  # fmt: skip
    if config.store.publish is not None:
        store.publish(config.store.publish)


def _acquired(lock: DaemonLock) -> bool:
    """False while a daemon works on this folder: it opens the file for moments only, between which there is room."""
    try:
        lock.acquire()
    except StoreError:
        return False
    return True


def _tell(found: Forgotten, wish: Wish, dry_run: bool, as_json: bool) -> None:
    counts = asdict(found)
    if as_json:
        click.echo(json.dumps({"source": wish.source, "known": found.known, "dry_run": dry_run, **counts}))
    elif found.known:
        emit(list(counts), [list(counts.values())], "table", None, "would go" if dry_run else "gone")
    if found.known:
        return
    if wish.id is not None:
        after = "" if dry_run else "; a tombstone stands, so that it will not be"
        talk.print(f"no message of this id has been stored{after}", markup=False)
    else:
        after = "" if dry_run else "; a mark stands, so that nothing it wrote until now will be"
        talk.print(
            f"no author of this name is known at {wish.source}{after}. Names are those of the service: docs/sources.md says which",
            markup=False,
        )


@click.command("rotate-author-key")
@click.option("--json", "as_json", is_flag=True)
@with_context
def rotate_author_key(config: Config, as_json: bool) -> None:
    """Unlink all authors: random names in place of their hashes, and a new key for those to come. Stop the daemon first."""
    lock = DaemonLock(config.tracker.data_dir)
    lock.acquire()
    lock.release()  # only asked: an older file is brought up to date under the same lock
    store = existing(config)
    lock.acquire()
    try:
        change = KeyChange(config.tracker.data_dir)
        change.begin()
        done = store.unlink_authors()
        change.finish()
    finally:
        lock.release()
    _leave_no_byte(config, store)
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    talk.print(f"{done.authors:,} authors have new names, which lead nowhere; a new key is in force", markup=False)
    if done.gone:
        talk.print(f"{done.gone:,} marks of authors that are gone went with the old key", markup=False)


COMMANDS = (forget, rotate_author_key)
