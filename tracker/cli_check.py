"""``tracker check``: can this installation do its work, and if not, what is missing."""

from __future__ import annotations

import json
import os
import platform
import stat
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import click

from tracker import sources
from tracker.config import Config, SourceSettings, secrets
from tracker.errors import StoreLocked, TrackerError
from tracker.parts import PENDING_KEY, not_rechecked, store_of
from tracker.render import table
from tracker.store.migrate import stored_version
from tracker.store.upkeep import doubles


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the check."""

    what: str
    ok: bool | None  # None: nothing to judge
    said: str


def check_all(config: Config, *, deep: bool, as_json: bool) -> int:
    """Print the verdicts; 0 when nothing is wrong, else 1."""
    verdicts = [
        _config(config),
        _versions(),
        _folder(config.tracker.data_dir),
        _privacy(config),
        *_database(config, deep),
        *_sources(config),
    ]
    if as_json:
        click.echo(json.dumps([asdict(verdict) for verdict in verdicts], ensure_ascii=False, indent=1))
    else:
        table(
            ["what", "verdict", ""], [[v.what, {True: "ok", False: "WRONG", None: "–"}[v.ok], v.said] for v in verdicts]
        )
    return 1 if any(verdict.ok is False for verdict in verdicts) else 0


def _config(config: Config) -> Verdict:
    contact = "" if config.tracker.contact else "; set [tracker] contact, so that sources know whom to write to"
    return Verdict("configuration", True, f"{config.path}{contact}")


def _versions() -> Verdict:
    parts = ", ".join(
        f"{name} {version(name)}" for name in ("duckdb", "httpx", "APScheduler", "vaderSentiment", "websockets")
    )
    return Verdict("versions", True, f"Python {platform.python_version()}, {parts}")


def _folder(folder: Path) -> Verdict:
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = os.statvfs(place)
    megabytes = free.f_bavail * free.f_frsize // 1_000_000
    writable = os.access(place, os.W_OK)
    return Verdict(
        "data folder", writable, f"{folder}: {'writable' if writable else 'can not be written'}, {megabytes:,} MB free"
    )


def _privacy(config: Config) -> Verdict:
    """Who else on this machine could read what is the operator's alone. Said, not changed: it may be meant so."""
    folder, path = config.tracker.data_dir, Path(config.path)
    said = []
    if _open_to_others(folder):
        said.append(f"others may look into {folder} (chmod 700)")
        loose = [file.name for file in sorted(folder.rglob("*")) if file.is_file() and _open_to_others(file)]
        said += [f"they may read {', '.join(loose[:5])}{' …' if loose[5:] else ''} (chmod 600)"] if loose else []
    store = config.store.path
    if folder not in store.parents and _open_to_others(store) and _open_to_others(store.parent):
        said.append(f"others may read {store} (chmod 600)")
    if _open_to_others(path) and _holds_a_secret(config, path):
        said.append(f"{path} holds secrets and others may read it (chmod 600, or take them from the environment)")
    if (folder / PENDING_KEY).exists():
        said.append("a change of the author key was cut short: run `tracker rotate-author-key` again")
    return Verdict("privacy", None if said else True, "; ".join(said) or "what is stored is for its owner alone")


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:  # not there yet, or not ours to look at
        return False


def _holds_a_secret(config: Config, path: Path) -> bool:
    """True when the value of a secret stands in the file itself."""
    try:
        written = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(secret and secret.reveal() in written for secret in secrets(config))


def _database(config: Config, deep: bool) -> list[Verdict]:
    store = store_of(config)
    if not store.exists:
        return [Verdict("database", None, f"{store.opening.path}: not there yet, the first run makes it")]
    try:
        with store.reading(5.0) as connection:
            found = [
                Verdict(
                    "database",
                    True,
                    f"{store.opening.path}: version {stored_version(connection)}, {store.opening.path.stat().st_size / 1e6:,.1f} MB",
                )
            ]
            if deep:
                found += [
                    Verdict(f"unique {name}", extra == 0, f"{extra:,} rows too many")
                    for name, extra in doubles(connection)
                ]
    except StoreLocked as error:
        return [Verdict("database", None, str(error))]
    except TrackerError as error:
        return [Verdict("database", False, str(error))]
    return found


def _sources(config: Config) -> list[Verdict]:
    """For each source: is it on and why, what it is for, its terms, what a key would add."""
    found = []
    for name, settings in config.sources.items():
        module = sources.load(name)
        state = (
            f"on, {_why_on(settings)}: {len(settings.streams)} streams every {settings.interval_s:g} s"
            if settings.enabled
            else f"off: {settings.off_reason}"
        )
        parts = [
            state,
            f"brings {sources.brings(name)}",
            f"terms: {module.TERMS}",
            *_deletions(settings),
            *_keys(name, settings),
        ]
        found.append(Verdict(f"source {name}", True if settings.enabled else None, "; ".join(parts)))
    return found


def _deletions(settings: SourceSettings) -> list[str]:
    """How we learn of what was deleted there; nothing for what is no talk."""
    said = getattr(sources.load(settings.name), "DELETIONS", None)
    if said is None:
        return []
    if not isinstance(sources.load(settings.name), sources.RecheckSource):
        return [f"deletions: {said}"]
    reason = not_rechecked(settings)
    asked = f"asked every {settings.recheck_s / 86_400:g} d" if reason is None else f"NOT asked: {reason}"
    return [f"deletions: {said} ({asked})"]


def _why_on(settings: SourceSettings) -> str:
    module = sources.load(settings.name)
    if module.NEEDS_ACKNOWLEDGEMENT:
        return "its terms are acknowledged"
    return "by default" if module.DEFAULT_ON else "switched on"


def _keys(name: str, settings: SourceSettings) -> list[str]:
    """What a key that is not there would add."""
    module = sources.load(name)
    missing = [credential for credential in module.CREDENTIALS if credential not in settings.credentials]
    if not missing:
        return []
    adds = getattr(module, "KEY_ADDS", None)
    return [f"could use {', '.join(missing)}" + (f": {adds}" if adds else "")]
