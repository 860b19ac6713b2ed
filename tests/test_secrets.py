"""The real daemon with a marked secret of every kind, against servers that fail in every way and repeat what they were asked.

Whatever the tracker leaves behind is searched for the marks: database, journal, logs, recordings, exports, what commands print.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from world_daemon import Daemon, ask, command, environment, until, write_config

from tracker import sources
from tracker.cli import main

pytestmark = pytest.mark.slow

MARK = "mark5e7a"  # every secret begins with it; what follows is written differently in an address
KINDS = {
    ("mastodon", "access_token"): f"{MARK}-mastodon+a/b=1",
    ("stocktwits", "access_token"): f"{MARK}-stocktwits+a/b=1",
    ("x", "bearer_token"): f"{MARK}-x+a/b=1",
    ("youtube", "key"): f"{MARK}-youtube+a/b=1",
    ("stocktwits_firestream", "username"): f"{MARK}-user",
    ("stocktwits_firestream", "password"): f"{MARK}-password+a/b=1",
    ("reddit", "client_id"): f"{MARK}-client",
    ("reddit", "client_secret"): f"{MARK}-secret+a/b=1",
    ("reddit", "feed_token"): f"{MARK}-feed+a/b=1",
    ("reddit", "feed_user"): f"{MARK}-feeder",
}
ISSUED = f"{MARK}-issued-token"  # what Reddit's door hands out
CHANNEL = f"{MARK}-channel"
STREAMS = {
    "mastodon": ["tag/baba"],
    "stocktwits": ["symbol/BABA"],
    "x": ["search/$BABA"],
    "youtube": ["video/abcdefghijk"],
    "stocktwits_firestream": ["symbol/BABA"],
    "reddit": ["r/stocks"],
}
BASICS = (
    (KINDS["stocktwits_firestream", "username"], KINDS["stocktwits_firestream", "password"]),
    (KINDS["reddit", "client_id"], KINDS["reddit", "client_secret"]),
)
# as bytes, also where both halves went out as one word
NEEDLES = (MARK.encode(), *(base64.b64encode(":".join(pair).encode()) for pair in BASICS), base64.b64encode(MARK.encode())[:10])  # fmt: skip


class Echo:
    """A server that answers each request in another bad way, with all that it was asked in the answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ways: set[int] = set()
        self.only: int | None = None  # the one way in which it answers; None: one after the other
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
                said = f"{self.command} {self.path}\n{self.headers}\n{body}"
                number = len(echo.asked)
                echo.asked.append(said)
                if self.path.endswith("/api/v1/access_token"):
                    self.send(200, json.dumps({"access_token": ISSUED, "expires_in": 3600}).encode())
                    return
                echo.fail(self, number % len(WAYS) if echo.only is None else echo.only, said)

            do_GET = do_POST = answer  # noqa: N815 (names of the library)

            def send(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fail(self, handler: Any, way: int, said: str) -> None:
        self.ways.add(way)
        status, body, headers = WAYS[way](said, handler)
        if status == 0:
            handler.wfile.write(said.encode())  # no HTTP at all
            handler.close_connection = True
            return
        handler.send(status, body, **headers)


def _flat(said: str) -> str:
    return said.replace("\r", " ").replace("\n", " ")


WAYS: tuple[Any, ...] = (
    lambda said, _: (401, said.encode(), {"WWW_Authenticate": f'Bearer error="{_flat(said)[:300]}"'}),
    lambda said, _: (403, json.dumps({"error": said}).encode(), {"Content_Type": "application/json"}),
    lambda said, handler: (302, b"", {"Location": f"http://localhost:1{handler.path}&{handler.headers.get('Authorization', '')}"}),
    lambda said, handler: (302, b"", {"Location": f"{handler.path}"}),
    lambda said, _: (200, said.encode(), {}),
    lambda said, _: (200, json.dumps(said).encode(), {"Content_Type": "application/json"}),
    lambda said, _: (200, b'{"messages": [{"id": "' + _flat(said).encode()[:200], {"Content_Type": "application/json"}),
    lambda said, _: (200, b"<feed><" + said.encode() + b"></feed>", {"Content_Type": "application/atom+xml"}),
    lambda said, _: (500, said.encode(), {"X_Asked": _flat(said)[:500]}),
    lambda said, _: (404, said.encode(), {}),
    lambda said, _: (429, said.encode(), {"Retry_After": _flat(said)[:200]}),
    lambda said, _: (200, said.encode(), {"Content_Encoding": "gzip"}),
    lambda said, _: (0, b"", {}),
)  # fmt: skip
WHOLE = 4  # the number of the plain one


@pytest.fixture
def echo() -> Iterator[Echo]:
    found = Echo()
    yield found
    found.server.shutdown()
    found.server.server_close()


def write(folder: Path, echo: Echo, form: str, leave_out: tuple[str, ...]) -> Path:
    """Half of the secrets stand in the file, the others come from the environment."""
    changed: dict[str, dict[str, Any]] = {
        f"sources.{name}": {
            "enabled": True, "acknowledge_terms": True, "every": "200ms", "budget": "100000/1m", "base_url": echo.url, "streams": streams,
        }
        for name, streams in STREAMS.items()
    }  # fmt: skip
    for number, ((source, name), value) in enumerate(KINDS.items()):
        if name not in leave_out:
            changed[f"sources.{source}"][name] = value if number % 2 else f"${{{variable(source, name)}}}"
    changed["tracker"] = {"log_level": "debug", "log_format": form}
    changed["http"] = {"breaker": "200ms", "max_backoff": "200ms"}
    changed["store"] = {"publish": "copy.duckdb"}
    host = echo.url.removeprefix("http://")
    changed["alerts.channels.desk"] = {
        "url": f"json://{CHANNEL}-user:{CHANNEL}-word@{host}/hook/{CHANNEL}-path", "insecure": True, "private": True,
    }  # fmt: skip
    config = write_config(folder, {}, sources=(), changed=changed)
    config.chmod(0o600)
    return config


def variable(source: str, name: str) -> str:
    return f"POND_{source}_{name}".upper()


def marked(echo: Echo) -> dict[str, str]:
    """The environment of the daemon: secrets, and proxies that nobody may use."""
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"), echo.url)
    return {**{variable(source, name): value for (source, name), value in KINDS.items()}, **proxies}


def leaks(data: bytes) -> list[bytes]:
    """What stands around each mark."""
    found = []
    for needle in NEEDLES:
        place = data.find(needle)
        if place >= 0:
            found.append(data[max(0, place - 120) : place + 60])
    return found


@pytest.mark.parametrize(
    ("form", "leave_out"), [("text", ("feed_token", "feed_user")), ("json", ("client_id", "client_secret"))], ids=["text", "json"]
)  # fmt: skip
def test_no_secret_is_left_anywhere(
    tmp_path: Path, echo: Echo, monkeypatch: pytest.MonkeyPatch, form: str, leave_out: tuple[str, ...]
) -> None:
    config = write(tmp_path, echo, form, leave_out)
    secret_env = marked(echo)
    for name, value in secret_env.items():
        monkeypatch.setenv(name, value)
    # the daemon of these tests runs without proxies; here they are there, and have to be ignored
    monkeypatch.setattr("world_daemon.environment", lambda: {**environment(), **secret_env})
    used = {(s, n): v for (s, n), v in KINDS.items() if n not in leave_out}
    given = {"access_token": ISSUED} if "client_id" not in leave_out else {}

    with Daemon(config) as daemon:
        until(
            lambda: len(echo.ways) == len(WAYS) and all(seen(echo, value) for value in [*used.values(), *given.values()]),
            60, "every secret is sent, and every failure happens", hint=lambda: daemon.log[-2000:] + str([k for k, v in used.items() if not seen(echo, v)]),
        )  # fmt: skip
        journal = (tmp_path / "data" / "tracker.journal").read_bytes()
        printed = {name: run(config, secret_env, *arguments) for name, arguments in COMMANDS.items()}
        daemon.process.send_signal(15)
        daemon.process.wait(10)
    for name in STREAMS:
        printed[f"poll {name}"] = run(config, secret_env, "poll", name, "--save", str(tmp_path / f"saved.{name}"))
    echo.only = WHOLE  # a whole answer that repeats what it was asked: what is recorded of it
    for name in STREAMS:
        printed[f"poll {name} once more"] = run(
            config, secret_env, "poll", name, "--save", str(tmp_path / f"saved.{name}.whole")
        )
    for table in ("messages", "polls", "streams", "alerts"):
        run(config, secret_env, "export", table, "--output", str(tmp_path / f"{table}.jsonl"))
    printed["publish"] = run(config, secret_env, "publish")
    printed["alerts"] = run(config, secret_env, "alerts", "test", "desk")

    assert any(CHANNEL in request for request in echo.asked), printed["alerts"]
    assert not any("http://" in request.split("\n")[0] for request in echo.asked), "a proxy was used"
    polls = ask(tmp_path / "data" / "tracker.duckdb", "SELECT source, count(*) FROM polls WHERE up = 0 GROUP BY ALL")
    assert {source for source, _ in polls} == set(STREAMS)
    recorded = [path for path in tmp_path.rglob("saved.*") if path.stat().st_size]
    assert len(recorded) >= 3, "something was recorded"
    artefacts = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != config}  # fmt: skip
    artefacts |= {"journal while it ran": journal, **printed}
    with_tables = {
        name: str(ask(tmp_path / "data" / "tracker.duckdb", f'SELECT * FROM "{name}"')).encode()
        for (name,) in ask(tmp_path / "data" / "tracker.duckdb", "SELECT table_name FROM duckdb_tables()")
    }
    found = {name: leaks(data) for name, data in {**artefacts, **with_tables}.items() if leaks(data)}
    assert found == {}


COMMANDS = {
    "status": ("status",),
    "check": ("check",),
    "check --json": ("check", "--json"),
    "sources": ("query", "sources_status", "--json"),
    "failures": ("query", "poll_failures", "--json"),
    "settings": ("sql", "FROM settings", "--json"),
    "environment": ("sql", "FROM duckdb_settings()", "--json"),
    "wrong": ("poll", "nothing"),
}


def run(config: Path, secret_env: dict[str, str], *arguments: str) -> bytes:
    """What a command prints; one that opens no connection runs in this process, which is quicker."""
    if arguments[0] in ("status", "check", "query", "export", "publish"):
        return CliRunner().invoke(main, ["--config", str(config), *arguments]).output.encode()
    done = subprocess.run(
        command(config, *arguments),
        capture_output=True,
        timeout=60,
        cwd=config.parent,
        env={**environment(), **secret_env},
        check=False,
    )
    return done.stdout + done.stderr


def seen(echo: Echo, value: str) -> bool:
    """True when the secret went over the wire, in whatever spelling."""
    from urllib.parse import unquote

    plain = [unquote(request) for request in list(echo.asked)]
    words = [base64.b64encode(":".join(pair).encode()).decode() for pair in BASICS if value in pair]
    return any(value in request or any(word in request for word in words) for request in plain)


def test_every_credential_that_a_source_can_use_is_tried() -> None:
    assert {(name, one) for name in sources.names() for one in sources.load(name).CREDENTIALS} == set(KINDS)


def test_a_traceback_masks_what_stands_in_a_message(tmp_path: Path) -> None:
    script = f"""
import logging, sys
from tracker import log
from tracker.secret import Secret
log.setup("info", sys.argv[1], (Secret("{MARK}-x+a/b=1"),))
try:
    raise RuntimeError("asked http://h/?key={MARK}-x%2Ba%2Fb%3D1 with {MARK}-x+a/b=1")
except RuntimeError as error:
    log.event(logging.getLogger("t"), "error", "broke", exc_info=error)
"""
    for form in ("text", "json"):
        done = subprocess.run([sys.executable, "-c", script, form], capture_output=True, env=environment(), check=False)  # fmt: skip
        assert b"RuntimeError" in done.stderr
        assert leaks(done.stderr) == []
