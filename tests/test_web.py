"""What others may read over HTTP, asked over real sockets on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import NOON, analysis, make_batch
from prometheus_client.parser import text_string_to_metric_families

from jobs import listen_for_stalls
from tracker.app import App
from tracker.models import Message
from tracker.parts import load_config
from tracker.store.connect import opened
from tracker.web import serve, server
from tracker.web.board import shown
from tracker.web.guard import HEADERS, named, names

ROOT = Path(__file__).resolve().parent.parent
MARKER = "s3cr3t-marker"


def configured(folder: Path, more: str = "", web: str = "") -> Any:
    path = folder / "config.toml"
    off = "\n".join(f"[sources.{name}]\nenabled = false" for name in ("bluesky", "fourchan", "hackernews", "rss", "apewisdom"))  # fmt: skip
    path.write_text(
        f'[tracker]\ndata_dir = "data"\n[web]\nport = 0\n{web}\n{off}\n'
        f'[sources.reddit]\nenabled = true\nstreams = ["r/stocks"]\nbase_url = "http://127.0.0.1:9"\nfeed_user = "ada"\nfeed_token = "{MARKER}"\n{more}\n',
        encoding="utf-8",
    )
    return load_config(str(path), {})


@pytest.fixture(autouse=True)
def _known_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small finder: nothing here looks for symbols, and the whole one takes a second to make."""
    monkeypatch.setattr("tracker.app.analysis_of", lambda config, learned=None: analysis())


@asynccontextmanager
async def answering(app: App, caplog: pytest.LogCaptureFixture) -> AsyncIterator[str]:
    """The app, opened, with its server; gone at the end of the block, in time."""
    caplog.set_level(logging.INFO)
    await app.open()
    app.pulse.expect("flush", 4.0, 300.0)
    app.pulse.ended("flush")
    task = asyncio.create_task(serve(app))
    try:
        await until(lambda: bool(urls(caplog)) or task.done())
        (url,) = urls(caplog)
        yield url.rstrip("/")
    finally:
        app.stopping.set()
        await asyncio.wait_for(task, 5)
        await app.close()


def urls(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.fields["url"] for record in caplog.records if record.getMessage() == "answers over HTTP"]  # type: ignore[attr-defined]


async def until(true: Callable[[], bool], deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not true():  # noqa: ASYNC110 - what is waited for is a fact, not an event
            await asyncio.sleep(0.005)


async def ask(url: str, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, url + path, headers=headers, timeout=10)


async def raw(url: str, sent: bytes) -> bytes:
    """Whatever comes back until the server closes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with closing(writer):
        writer.write(sent)
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        except ConnectionError:  # let go without a word
            return b""


# ------------------------------------------------------------------------------------------------- what is answered


async def test_health_and_metrics_of_a_tracker_that_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = App(configured(tmp_path))
    async with answering(app, caplog) as url:
        await app.keep(make_batch(said("1"), said("2")))
        await app.flush()
        found = await ask(url, "/health")
        assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
        assert found.json()["status"] == "ok"
        assert found.json()["reasons"] == []
        values = measured((await ask(url, "/metrics")).text)
        index = await ask(url, "/")
    assert values["tracker_status", ()] == 0
    assert values["tracker_messages_added_total", ()] == 2
    assert values["tracker_journal_batches", ()] == 0
    assert values["tracker_database_bytes", ()] > 0
    assert values["tracker_budget_left", ("reddit",)] >= 1
    assert values["process_resident_memory_bytes", ()] > 1e6
    assert any(name == "tracker_build_info" for name, _ in values)
    assert ("tracker_job_last_success_age_seconds", ("flush",)) in values
    assert index.text.endswith(": /health /metrics\n")


def said(id_: str) -> Message:
    return Message("pond", id_, NOON, f"croak {id_}")


def measured(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_every_metric_is_in_the_docs_with_what_should_worry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    app = App(configured(tmp_path))
    async with answering(app, caplog) as url:
        text = (await ask(url, "/metrics")).text
    families = {
        re.sub("_(total|info)$", "", line.split()[2])
        for line in text.splitlines()
        if line.startswith("# TYPE tracker_")
    }
    assert len(families) > 30
    docs = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert [name for name in sorted(families) if f"`{name}`" not in docs] == []
    assert [name for name in re.findall(r"`(tracker_\w+)`", docs) if name not in families] == []


async def test_a_file_that_somebody_holds_is_answered_from_what_was_known_with_its_age(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.web.board.FRESH_S", 0.0)
    app = App(configured(tmp_path))
    async with answering(app, caplog) as url:
        assert (await ask(url, "/health")).json()["database"]["read_seconds_ago"] is not None
        release, held = threading.Event(), threading.Event()

        def hold() -> None:  # the lock inside the process has the effect of another process without its pid
            with opened(app.store.opening):
                held.set()
                release.wait(20)

        holder = threading.Thread(target=hold)
        holder.start()
        try:
            await asyncio.to_thread(held.wait, 10)
            asked = time.monotonic()
            first, second = await asyncio.gather(ask(url, "/health"), ask(url, "/metrics"))
            assert time.monotonic() - asked < 5
        finally:
            release.set()
            holder.join()
    assert first.status_code == second.status_code == 200
    assert first.json()["database"]["read_seconds_ago"] > 0.5


async def test_a_stuck_writer_is_503_with_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = App(configured(tmp_path, "[jobs]\nstuck = '50ms'"))
    async with answering(app, caplog) as url:
        app.pulse.expect("flush", 0.05, 300.0)
        await until(lambda: app.pulse.stuck(0.05) == ("flush",))
        found = await ask(url, "/health")
        values = measured((await ask(url, "/metrics")).text)
    assert found.status_code == 503
    assert [(reason["what"], reason["down"]) for reason in found.json()["reasons"]] == [("writer", True)]
    assert values["tracker_status", ()] == 2
    assert values["tracker_job_stuck", ("flush",)] == 1


async def test_a_loop_that_was_kept_busy_is_measured_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = App(configured(tmp_path))
    async with answering(app, caplog) as url:
        listening = asyncio.create_task(listen_for_stalls(app.pulse))
        try:
            await until(lambda: app.pulse.stalls.most_s > 0)
            end = time.monotonic() + 1.3
            while time.monotonic() < end:  # what nothing in the loop should do
                pass
            await until(lambda: app.pulse.stalls.most_s > 1.0)
            found = await ask(url, "/health")
            values = measured((await ask(url, "/metrics")).text)
        finally:
            listening.cancel()
    assert (found.status_code, found.json()["status"]) == (200, "degraded")
    assert [reason["what"] for reason in found.json()["reasons"]] == ["loop"]
    assert 1.0 < values["tracker_loop_stall_seconds", ()] < 5.0


async def test_no_secret_and_no_words_are_in_any_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = App(configured(tmp_path))
    async with answering(app, caplog) as url:
        app.pulse.expect("learn", 1.0, 1.0)
        app.pulse.ended("learn", f"refused with token {MARKER}")
        answers = [await ask(url, path) for path in ("/", "/health", "/metrics", "/nowhere")]
        asked = await ask(url, "/health", "POST", authorization=MARKER)
    told = "\n".join(answer.text + str(answer.headers) for answer in (*answers, asked))
    assert "refused with token ***" in told
    assert MARKER not in told
    assert str(tmp_path) not in told


def test_a_key_in_the_address_of_a_feed_is_not_shown_and_two_addresses_stay_two() -> None:
    first, second = (shown(f"feed/https://pond.example/rss?key={key}") for key in ("a1", "b2"))
    assert first.startswith("feed/https://pond.example/rss?")
    assert "a1" not in first.partition("?")[2][:2] + first.partition("key=")[2]
    assert first != second
    assert shown("r/stocks") == "r/stocks"


# ------------------------------------------------------------------------------------------------------- the guard


FOREIGN = ("evil.example", "evil.example:8787", "127.0.0.1.evil.example", "", "[::2]:80", "localhost@evil.example")


async def test_a_foreign_name_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with answering(App(configured(tmp_path)), caplog) as url:
        for host, path in product(FOREIGN, ("/", "/health", "/nowhere")):
            found = await ask(url, path, host=host, origin="http://evil.example")
            assert (found.status_code, list(found.json())) == (421, ["error"]), host
            assert not [name for name in found.headers if name.startswith("access-control")]


async def test_our_names_are_answered_with_and_without_a_port(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with answering(App(configured(tmp_path, web='allowed_hosts = ["Tracker.LAN"]')), caplog) as url:
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:9999", "[::1]:8787", "tracker.lan", "tracker.lan.:80"):
            assert (await ask(url, "/", host=host)).status_code == 200, host


def test_where_we_listen_is_a_name_of_ours_unless_it_is_everywhere() -> None:
    assert "192.0.2.7" in names("192.0.2.7", ())
    assert "0.0.0.0" not in names("0.0.0.0", ())
    assert named("[FE80::1]:80") == "fe80::1"


async def test_nothing_but_reading_is_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with answering(App(configured(tmp_path)), caplog) as url:
        for method, path in product(
            ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"), ("/", "/health", "/nowhere")
        ):
            found = await ask(url, path, method, origin="http://evil.example")
            assert (found.status_code, found.headers["allow"]) == (405, "GET, HEAD"), method
            assert not [name for name in found.headers if name.startswith("access-control")]


async def test_every_answer_has_the_headers_that_tie_a_browsers_hands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    async with answering(App(configured(tmp_path)), caplog) as url:
        answers = [
            await ask(url, "/"),
            await ask(url, "/health", "HEAD"),
            await ask(url, "/metrics"),
            await ask(url, "/nowhere"),
            await ask(url, "/health/"),
            await ask(url, "/health", "POST"),
            await ask(url, "/health", host="evil.example"),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 404, 405, 421]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value or (name == "Cache-Control" and answer.headers["etag"]), answer.url
        assert "server" not in answer.headers
    assert "frame-ancestors 'none'" in HEADERS["Content-Security-Policy"]
    assert answers[1].content == b""


async def test_a_tag_spares_what_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with answering(App(configured(tmp_path)), caplog) as url:
        tag = (await ask(url, "/")).headers["etag"]
        again = await ask(url, "/", **{"if-none-match": tag})
        other = await ask(url, "/", **{"if-none-match": '"other"'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert other.status_code == 200


# --------------------------------------------------------------------------------------------------------- abuse


async def test_whoever_asks_slowly_or_not_at_all_is_let_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    async with answering(App(configured(tmp_path)), caplog) as url:
        for sent in (b"", b"GET /health HTTP/1.1\r\nHost: local", b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n"):  # fmt: skip
            asked = time.monotonic()
            await raw(url, sent)
            assert time.monotonic() - asked < 5
        assert (await ask(url, "/")).status_code == 200


NONSENSE = {
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\x00",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host in the old version": b"GET / HTTP/1.0\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 600_000 + b"\r\n\r\n",
    "long path": b"GET /" + b"y" * 600_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "nonsense": b"nonsense\r\n\r\n",
}


async def test_what_is_no_request_of_ours_is_refused_and_the_next_one_is_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    async with answering(App(configured(tmp_path)), caplog) as url:
        for name, sent in NONSENSE.items():
            answer = await raw(url, sent)
            assert answer == b"" or re.match(rb"HTTP/1.1 4\d\d ", answer), (name, answer[:100])
        assert (await ask(url, "/")).status_code == 200
    assert "Traceback" not in caplog.text
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


async def test_a_flood_of_connections_takes_a_bounded_number_of_descriptors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with answering(App(configured(tmp_path)), caplog) as url:
        host, port = url.removeprefix("http://").split(":")
        mine: list[socket.socket] = []
        before = len(list(Path("/proc/self/fd").iterdir()))
        try:
            for number in range(300):
                mine.append(await asyncio.to_thread(socket.create_connection, (host, int(port)), 5))
                if number % 20 == 0:
                    await asyncio.sleep(0)
            await until(lambda: len(list(Path("/proc/self/fd").iterdir())) - before <= 300 + server.CONNECTIONS + 5)
            theirs = len(list(Path("/proc/self/fd").iterdir())) - before - 300
            assert theirs <= server.CONNECTIONS + 5
        finally:
            for one in mine:
                one.close()
        await until_answered(url)


async def until_answered(url: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await ask(url, "/")).status_code == 200
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return


# ------------------------------------------------------------------------------------------------ where it listens


async def test_a_port_that_is_taken_is_said_loudly_and_the_tracker_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = configured(tmp_path)
        app = App(config.__class__(**{**{f: getattr(config, f) for f in config.__slots__}, "web": type(config.web)(port=port)}))  # fmt: skip
        await serve(app)
        await app.close()
    (record,) = [record for record in caplog.records if "over HTTP" in record.getMessage()]
    assert record.levelno == logging.ERROR
    assert all(word in str(record.__dict__) for word in ("web.port", str(port), "in use"))


async def test_listening_for_other_machines_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with answering(App(configured(tmp_path, web='host = "0.0.0.0"')), caplog) as url:
        port = url.rpartition(":")[2]
        assert (await ask(f"http://127.0.0.1:{port}", "/health")).status_code == 200
        assert (await ask(f"http://127.0.0.1:{port}", "/", host="0.0.0.0")).status_code == 421
    assert "without a password" in caplog.text


async def test_health_is_json_that_any_tool_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with answering(App(configured(tmp_path)), caplog) as url:
        answer = await raw(url, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert set(json.loads(body)) == {"status", "at", "version", "up_seconds", "reasons", "sources", "waiting_batches", "database"}  # fmt: skip
