"""Who may read what lies on the disk, and for how long whose words are kept."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import NOON, make_batch, make_store, message, rows
from world_daemon import Daemon, command, environment, until, write_config

from tracker import sources
from tracker.cli import main
from tracker.errors import ConfigError
from tracker.models import Headline
from tracker.parts import load_config, text_times
from tracker.store import Store

DAY = timedelta(days=1)
DAY_S = 86_400.0


# ----------------------------------------------------------------------------------------------- file modes


@pytest.fixture
def careless() -> object:
    """A shell in which everything that is made is for everybody."""
    before = os.umask(0)
    yield None
    os.umask(before)


def loose(folder: Path) -> list[str]:
    """What others could open."""
    return [str(path.relative_to(folder)) for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o077]


@pytest.mark.slow
@pytest.mark.usefixtures("careless")
def test_what_a_daemon_makes_is_for_its_owner_alone(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=("stocktwits",))
    data = tmp_path / "data"
    with Daemon(config) as daemon:
        until(lambda: (data / "tracker.duckdb").exists() and "can't be reached" in daemon.log, 20, "a poll fails", hint=lambda: daemon.log)  # fmt: skip
        seen = set(loose(data))
        until(lambda: not (data / "tracker.journal").read_bytes(), 20, "it is flushed")
        seen |= set(loose(data))
        daemon.kill()  # the WAL stays
    assert seen | set(loose(data)) == set()
    names = {path.name for path in data.iterdir()}
    assert {"tracker.duckdb", "tracker.journal", "author.key", "daemon.lock"} <= names


@pytest.mark.usefixtures("careless")
def test_the_umask_of_a_person_comes_back_after_a_write(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    (tmp_path / "t.duckdb").chmod(0o600)
    with store.writing() as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1")
        wal = tmp_path / "t.duckdb.wal"
        assert wal.exists()
        assert stat.S_IMODE(wal.stat().st_mode) == 0o600
    (tmp_path / "a").touch()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666


@pytest.mark.usefixtures("careless")
def test_a_read_copy_is_for_whom_the_one_before_was(tmp_path: Path) -> None:
    store, copy = make_store(tmp_path), tmp_path / "copy.duckdb"
    store.publish(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o666  # as the operator's umask has it
    copy.chmod(0o640)
    store.publish(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640


def privacy(config: Path) -> tuple[bool | None, str]:
    found = CliRunner().invoke(main, ["--config", str(config), "check", "--json"])
    assert found.exit_code == 0, found.output
    return next((v["ok"], v["said"]) for v in json.loads(found.stdout) if v["what"] == "privacy")


def test_check_says_what_others_may_read(tmp_path: Path) -> None:
    config = write_config(
        tmp_path, {}, sources=(), changed={"sources.stocktwits": {"enabled": False, "credentials": "x"}}
    )
    text = config.read_text().replace('credentials = "x"', 'credentials = { access_token = "marker-1" }')
    config.write_text(text)
    config.chmod(0o600)
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "author.key").touch()
    (data / "author.key").chmod(0o644)
    assert privacy(config) == (True, "what is stored is for its owner alone")
    data.chmod(0o755)
    config.chmod(0o644)
    (data / "author.key.new").touch(mode=0o600)
    ok, said = privacy(config)
    assert ok is None
    assert [part.split(" (")[0] for part in said.split("; ")] == [
        f"others may look into {data}",
        "they may read author.key",
        f"{config} holds secrets and others may read it",
        "a change of the author key was cut short: run `tracker rotate-author-key` again",
    ]
    assert "marker-1" not in said
    assert stat.S_IMODE(data.stat().st_mode) == 0o755, "said, not changed"


def test_a_configuration_whose_secrets_come_from_the_environment_may_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POND_TOKEN", "marker-2")
    config = write_config(tmp_path, {}, sources=(), changed={"sources.stocktwits": {"access_token": "${POND_TOKEN}"}})
    config.chmod(0o644)
    assert privacy(config)[0] is True


IMPORTS_ALL = """
import importlib, pkgutil, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen"):
        raise SystemExit(f"{event}{arguments}")
sys.addaudithook(refuse)
import tracker, jobs
names = [m.name for p in (tracker, jobs) for m in pkgutil.walk_packages(p.__path__, p.__name__ + ".") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@pytest.mark.slow
def test_importing_everything_opens_no_connection() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS_ALL], capture_output=True, text=True, timeout=120, env=environment(), check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


# ------------------------------------------------------------------------------------------------- retention


def times(folder: Path, text: str) -> dict[str, float]:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return {service: seconds / DAY_S for service, seconds in text_times(load_config(str(path), {})).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"youtube": 29}),
        ('[store.retention]\ntext = "5y"', {"youtube": 29}),
        ('[store.retention]\ntext = "7d"', {"youtube": 7}),
        ('[jobs]\nprune = "1h"\n[sources.youtube]\nretention = "30d"', {"youtube": 30 - 1 / 24}),
        ('[sources.reddit]\nretention = "90d"', {"reddit": 90, "youtube": 29}),
        ('[sources.arctic_shift]\nretention = "3d"\n[sources.reddit]\nretention = "9d"', {"reddit": 3, "youtube": 29}),
    ],
)
def test_words_go_at_the_time_of_their_source_and_never_after_its_terms(
    tmp_path: Path, text: str, expected: dict[str, float]
) -> None:
    assert times(tmp_path, text) == pytest.approx(expected)


def test_more_than_the_terms_allow_is_a_mistake_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        times(tmp_path, '[sources.youtube]\nretention = "31d"')
    assert [str(problem) for problem in caught.value.problems] == [
        "sources.youtube.retention: found 31 days, expected at most 30 days: the terms of the source allow no more"
    ]


@pytest.mark.parametrize("name", sources.names())
def test_the_longest_time_of_a_source_is_longer_than_none(name: str) -> None:
    at_most = getattr(sources.load(name), "TEXT_AT_MOST", None)
    assert at_most is None or at_most > DAY_S


def test_each_source_loses_its_words_at_its_own_time_and_keeps_its_mentions(tmp_path: Path) -> None:
    store: Store = make_store(tmp_path)
    store.standing(NOON)
    for days in (20, 9, 1):
        at = NOON - days * DAY
        items = [message("$GME", f"{source}{days}", source=source, at=at, author="a") for source in ("pond", "lake", "sea")]  # fmt: skip
        news = Headline("lake", f"n{days}", at, "GME rises", "said $GME")
        store.keep(make_batch(*items, news, at=at))
    store.flush()
    pruned = store.prune(
        text_before=NOON - 15 * DAY, mentions_before=NOON - 99 * DAY, polls_before=NOON - 99 * DAY,
        text_before_of={"lake": NOON - 5 * DAY, "sea": NOON - 30 * DAY, "unknown": NOON},
    )  # fmt: skip
    assert pruned.texts == 3
    assert rows(store, "SELECT id FROM messages WHERE text IS NULL ORDER BY id") == [("lake20",), ("lake9",), ("pond20",)]  # fmt: skip
    assert rows(store, "SELECT id FROM headlines WHERE text IS NULL ORDER BY id") == [("n20",), ("n9",)]
    assert rows(store, "SELECT count(*), count(author) FROM mentions") == [(9, 9)]


@pytest.mark.slow
def test_the_job_prunes_each_source_at_its_own_time(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=(), changed={"sources.hackernews": {"retention": "2d"}})

    def once(*arguments: str) -> None:
        found = subprocess.run(command(config, "once", *arguments), env=environment(), capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
        assert found.returncode == 0, found.stderr

    once("rollup")
    store = Store(load_store(config))
    store.standing(NOON)
    for source in ("hackernews", "reddit"):
        store.keep(make_batch(message("$GME", "1", source=source, at=NOON), at=NOON))
    store.flush()
    once("prune", "--now", f"{NOON + 3 * DAY:%Y-%m-%dT%H:%M:%SZ}")
    assert rows(store, "SELECT source FROM messages WHERE text IS NULL") == [("hackernews",)]


def load_store(config: Path):  # type: ignore[no-untyped-def]
    from tracker.parts import store_of

    return store_of(load_config(str(config), {})).opening
