"""Rules over a real database into the outbox, and from there to real receivers on loopback, good ones and bad ones."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import MIDNIGHT, build, crowd, make_batch, say
from fakes import FakeClock
from loopback import Answer, Server, drip, flood, loopback, reply, then_silence

from tracker import config as configuration
from tracker import log as logs
from tracker.alerts import Event
from tracker.config import Config
from tracker.config_schema import Alerts, Channel
from tracker.errors import StoreError, StoreLocked
from tracker.notify import Teller, try_channels, verdict, wait_s
from tracker.notify_address import refusal
from tracker.notify_dry import growing, rehearse
from tracker.notify_post import Courier, Letter, Outcome
from tracker.notify_rules import evaluate, ground_of
from tracker.notify_send import Refused, Watch
from tracker.parts import load_config
from tracker.rows import Spike
from tracker.secret import Secret
from tracker.store import Connection, Opening, Store, derive
from tracker.store import alerts as outbox
from tracker.store.alerts import Alert
from tracker.store.connect import transaction

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOKEN = "tk-5up3r-s3cr3t-0123456789"  # stands in every address
OPEN = {"insecure": True, "private": True}
LETTER = Letter("0123456789abcdef", "BABA: spike", "It has spiked.\n\nref 0123456789abcdef")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and metrics and nothing in them."""
    return build(tmp_path_factory.mktemp("empty")).path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Store:
    return store_at(tmp_path, empty)


def store_at(folder: Path, original: Path) -> Store:
    shutil.copyfile(original, folder / "tracker.duckdb")
    return Store(Opening(folder / "tracker.duckdb", "256MB", 1))


def config_of(folder: Path, alerts: str, above: str = "") -> Config:
    path = folder / "config.toml"
    path.write_text(f"{above}\n[alerts]\n{alerts}\n", encoding="utf-8")
    return load_config(str(path), {}, str(folder))


def channels_of(urls: Mapping[str, str], more: str = "insecure = true, private = true") -> str:
    lines = [f"{name} = {{ url = '{url}', {more} }}" for name, url in urls.items()]
    return "[alerts.channels]\n" + "\n".join(lines) + "\n"


def rule_of(when: str, *lines: str, name: str = "r", channels: str = '["desk"]') -> str:
    return "\n".join(["[[alerts.rules]]", f'name = "{name}"', f'when = "{when}"', f"channels = {channels}", *lines, ""])


def alert(number: int = 0, channel: str = "desk", **more: Any) -> Alert:
    values: dict[str, Any] = {
        "rule": "r", "symbol": "BABA", "at": MIDNIGHT + number * HOUR, "channel": channel, "kind": "crossed", "title": f"title {number}",
        "body": f"body {number}", "link": None, "event_key": f"{number:016x}", "status": "waiting", "attempts": 0,
        "next_try_at": MIDNIGHT, "sent_at": None, "error": None, "created_at": MIDNIGHT,
    }  # fmt: skip
    return Alert(**{**values, **more})


def put(store: Store, *alerts: Alert) -> None:
    with store.writing() as connection, transaction(connection):
        outbox.put(connection, alerts)


def stored(store: Store) -> list[Alert]:
    with store.reading() as connection:
        return sorted(outbox.recent(connection, 1000), key=lambda one: (one.at, one.channel))


def never(crontab: str, zone: str, after: datetime) -> datetime | None:
    return None


class Desk:
    """A teller with a clock that is walked."""

    def __init__(self, config: Config, store: Store, start: datetime = MIDNIGHT) -> None:
        self.clock = FakeClock(start)
        self.store = store
        self.failures: list[BaseException] = []
        self.teller = Teller(config, store, self.clock, self._in_store, self.failures.append)

    async def _in_store(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return await asyncio.to_thread(call, *arguments, **named)

    async def tick(self, next_time: Callable[[str, str, datetime], datetime | None] = never) -> None:
        """One run of the job, and all that it has started."""
        await self.teller.tick(next_time)
        await self.teller.settle()


@asynccontextmanager
async def desk(
    folder: Path, store: Store, *answers: Answer, more: str = "", path: str = "/hook"
) -> AsyncIterator[tuple[Desk, Server]]:
    """A desk with one channel of that name, to a receiver that gives these answers."""
    async with loopback(*answers) as server:
        yield (
            Desk(config_of(folder, more + channels_of({"desk": f"json://{server.host}{path}/{TOKEN}"})), store),
            server,
        )


@contextmanager
def nothing_secret(folder: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither in what is logged nor in any byte of the files."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert TOKEN not in caplog.text
    for file in folder.rglob("tracker.*"):
        assert TOKEN.encode() not in file.read_bytes(), file


# ------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("host", "public", "private"),
    [
        ("8.8.8.8", True, True), ("172.32.0.1", True, True), ("100.63.255.255", True, True), ("100.128.0.1", True, True),
        ("2606:4700::1111", True, True), ("::ffff:8.8.8.8", True, True), ("64:ff9b::808:808", True, True), ("2002:808:808::", True, True),
        ("127.0.0.1", False, True), ("127.255.255.254", False, True), ("::1", False, True), ("::ffff:127.0.0.1", False, True),
        ("::127.0.0.1", False, True), ("64:ff9b::7f00:1", False, True), ("2002:7f00:1::", False, True),
        ("10.1.2.3", False, True), ("172.16.0.1", False, True), ("172.31.255.255", False, True), ("192.168.0.1", False, True),
        ("fc00::1", False, True), ("fd12:3456::1", False, True), ("fec0::1", False, True), ("::ffff:192.168.0.1", False, True),
        ("169.254.1.1", False, True), ("fe80::1", False, True), ("fe80::1%eth0", False, True),
        ("100.64.0.1", False, True), ("100.127.255.255", False, True), ("0.1.2.3", False, True), ("198.18.0.1", False, True),
        ("192.0.2.1", False, True), ("192.0.0.8", False, True), ("240.0.0.1", False, True), ("255.255.255.255", False, True),
        ("2001:db8::1", False, True), ("3fff::1", False, True), ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False, True),
        ("100::1", False, True), ("64:ff9b:1::1", False, True), ("5f00::1", False, True), ("4000::1", False, True),
        ("0.0.0.0", False, False), ("::", False, False), ("::ffff:0.0.0.0", False, False),
        ("224.0.0.1", False, False), ("239.255.255.250", False, False), ("ff02::1", False, False), ("ff0e::1", False, False),
        ("169.254.169.254", False, False), ("::ffff:169.254.169.254", False, False), ("64:ff9b::a9fe:a9fe", False, False),
        ("168.63.129.16", False, False), ("100.100.100.200", False, False), ("fd00:ec2::254", False, False),
        ("localhost", False, False), ("127.1", False, False), ("2130706433", False, False), ("0x7f000001", False, False),
        ("017700000001", False, False), ("", False, False), ("[::1]", False, False), ("8.8.8.8 ", False, False), ("٨.8.8.8", False, False),
    ],
)  # fmt: skip
def test_who_may_be_connected_to(host: str, public: bool, private: bool) -> None:
    assert (refusal(host) is None) is public
    assert (refusal(host, private=True) is None) is private


# ------------------------------------------------------------------------------------------------ one receiver


async def post(url: str, *, timeout_s: float = 10.0, letters: int = 1, **flags: bool) -> list[Outcome]:
    async with Courier(Channel("desk", Secret(url), **flags), timeout_s) as courier:
        return [await courier.send(replace(LETTER, key=f"{number:016x}")) for number in range(letters)]


async def test_a_letter_arrives_with_its_key_in_body_and_header() -> None:
    async with loopback(reply(200)) as server:
        assert await post(f"json://{server.host}/hook", letters=2, **OPEN) == [Outcome(True), Outcome(True)]
    first, second = server.asked
    assert b"It has spiked." in first.body
    assert b"ref 0123456789abcdef" in first.body
    assert [asked.headers["idempotency-key"] for asked in (first, second)] == ["0" * 16, "0" * 15 + "1"]
    assert first.headers["user-agent"] == "tracker"
    assert first.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("kind", ["form", "xml"])
async def test_other_web_hooks_carry_the_key_too(kind: str) -> None:
    async with loopback(reply(200)) as server:
        (outcome,) = await post(f"{kind}://{server.host}/hook", **OPEN)
    assert outcome.ok
    assert server.asked[0].headers["idempotency-key"] == "0" * 16


@pytest.mark.parametrize("location", ["same host", "another port"])
@pytest.mark.parametrize("status", [302, 307])
async def test_a_redirect_is_not_followed_even_where_the_address_asks_for_it(status: int, location: str) -> None:
    async with loopback(reply(200)) as target:
        where = f"{target.url}/stolen" if location == "another port" else "/stolen"
        async with loopback(reply(status, headers={"Location": where})) as server:
            (outcome,) = await post(f"json://{server.host}/hook?redirect=yes", **OPEN)
    assert outcome.error == f"HTTP {status}: a redirect, which is not followed"
    assert target.connections == 0
    assert [asked.target for asked in server.asked] == ["/hook"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
async def test_a_private_receiver_is_not_even_connected_to(host: str) -> None:
    async with loopback(reply(200)) as server:
        port = server.host.partition(":")[2]
        (outcome,) = await post(f"json://{host}:{port}/hook", insecure=True)
    assert not outcome.ok
    assert server.connections == 0


async def test_a_refusal_names_the_reason_and_the_way_out() -> None:
    async with loopback(reply(200)) as server:
        (outcome,) = await post(f"json://{server.host}/{TOKEN}", insecure=True)
    assert outcome.error is not None
    assert "it is this machine" in outcome.error
    assert "private = true" in outcome.error


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with loopback(reply(200)) as proxy, loopback(reply(200)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        (outcome,) = await post(f"json://{server.host}/hook", **OPEN)
    assert outcome.ok
    assert (proxy.connections, server.connections) == (0, 1)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("json://HOST/hook", "use jsons"), ("xml://HOST/hook", "use xmls"), ("form://HOST/hook", "use forms"), ("ntfy://HOST/topic", "use ntfys"),
        ("jsons://HOST/hook?verify=no", "certificate would not be checked"), ("mailto://me:pw@pond.example?smtp=HOST", "mail without encryption"),
        ("rsyslog://HOST", "without encryption"), ("irc://HOST/#frogs", "without encryption"),
        ("nonsense://HOST", "apprise can't use this address"), ("tgram://", "apprise can't use this address"),
    ],
)  # fmt: skip
async def test_what_is_not_encrypted_or_tells_it_on_this_machine_is_refused(url: str, words: str) -> None:
    async with loopback(reply(200)) as server:
        (outcome,) = await post(url.replace("HOST", server.host), private=True)
    assert outcome.error is not None
    assert words in outcome.error
    assert server.connections == 0


@pytest.mark.parametrize("url", ["macosx://", "syslog://", "dbus://", "gnome://", "windows://"])
async def test_nothing_allows_to_tell_it_on_this_machine(url: str) -> None:
    (outcome,) = await post(url, **OPEN)
    assert "this machine only" in (outcome.error or "")


@pytest.mark.parametrize(
    ("happening", "family", "address", "allowed"),
    [
        ("socket.connect", socket.AF_INET, ("8.8.8.8", 443), True), ("socket.connect", socket.AF_INET, ("10.0.0.1", 443), False),
        ("socket.connect", socket.AF_INET6, ("2606:4700::1111", 443, 0, 0), True), ("socket.connect", socket.AF_INET6, ("::1", 443, 0, 0), False),
        ("socket.connect", socket.AF_INET, ("pond.example", 443), False), ("socket.connect", socket.AF_INET, ("", 443), False),
        ("socket.connect", socket.AF_UNIX, "/run/bus", False), ("socket.connect", socket.AF_UNIX, b"\0abstract", False),
        ("socket.sendto", socket.AF_INET, ("127.0.0.1", 514), False), ("socket.sendmsg", socket.AF_INET, None, True),
        ("socket.getaddrinfo", socket.AF_INET, "pond.example", True),
        ("subprocess.Popen", None, "osascript", False), ("os.system", None, "id", False), ("os.exec", None, "sh", False),
        ("os.posix_spawn", None, "sh", False), ("os.fork", None, None, False), ("syslog.syslog", None, "x", False),
    ],
)  # fmt: skip
def test_whatever_a_library_does_is_seen(happening: str, family: int | None, address: object, allowed: bool) -> None:
    watch = Watch(insecure=True, private=False)
    about = None if family is None else socket.socket(family, socket.SOCK_DGRAM)
    try:
        if allowed:
            watch.audit(happening, (about, address))
        else:
            with pytest.raises(Refused):
                watch.audit(happening, (about, address))
    finally:
        if about is not None:
            about.close()
    assert (watch.refused is None) is allowed
    assert "pond.example" not in (watch.refused or ""), "what was asked for may be secret"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost that only itself vouches for, and what a server needs of it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, made = tmp_path / "key.pem", tmp_path / "certificate.pem"
    wanted = [
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    subprocess.run(
        ["openssl", "req", "-x509", *wanted, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made, key)
    return made, context


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(certificate: tuple[Path, ssl.SSLContext]) -> None:
    bundle, context = certificate
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(reply(200, headers={"Connection": "close"}))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    url = f"jsons://localhost:{server.sockets[0].getsockname()[1]}/hook"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
            (vouched,) = await post(url, private=True)
            assert vouched.ok, vouched.error  # encrypted and checked: the operator's own authority is one
        assert len(heard) == 1
        (outcome,) = await post(url, private=True)
        assert outcome.error == "its certificate is not accepted, or it speaks no TLS"
        (forced,) = await post(f"{url}?verify=no", insecure=True, private=True)
        assert forced.ok
        assert len(heard) == 2
    finally:
        server.close()


async def test_a_mail_server_without_encryption_never_hears_the_password() -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 pond ESMTP\r\n")
        while line := await reader.readline():
            heard.append(line)
            writer.write(b"250 pond\r\n" if line.upper().startswith((b"EHLO", b"HELO")) else b"500 what\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        url = f"mailtos://me:{TOKEN}@pond.example:{port}?smtp=127.0.0.1&mode=starttls&to=frog@pond.example"
        (outcome,) = await post(url, private=True)
    finally:
        server.close()
    assert not outcome.ok
    assert heard
    assert not [line for line in heard if line.upper().startswith((b"AUTH", b"MAIL", b"RCPT", b"DATA"))]


@pytest.mark.parametrize(
    ("name", "answer", "ok", "error"),
    [
        ("says nothing", then_silence(), False, "no answer within 2 s"),
        ("drips its head for ever", drip(b"HTTP/1.1 200 OK\r\nX: ", 0.02), False, "no answer within 2 s"),
        ("drips its body for ever", drip(b"HTTP/1.1 200 OK\r\n\r\n", 0.02), True, None),
        ("never ends its body", then_silence(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), True, None),
        ("drips the body of a failure", drip(b"HTTP/1.1 503 No\r\n\r\n", 0.02), False, "HTTP 503"),
        ("answers without end", flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536), True, None),
        (
            "heads without end",
            flood(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65_536),
            False,
            "it can't be reached, or it hung up",
        ),
        ("is no web server", b"hello\r\n\r\n", False, "it can't be reached, or it hung up"),
        ("sends what would burst", reply(200, b"\x1f\x8b" + b"\0" * 50, {"Content-Encoding": "gzip"}), True, None),
        ("forbids", reply(403, b"no"), False, "HTTP 403"),
    ],
)
async def test_a_receiver_that(name: str, answer: Answer, ok: bool, error: str | None) -> None:
    async with loopback(answer) as server:
        waits = 2.0 if error == "no answer within 2 s" else 8.0
        (outcome,) = await post(f"json://{server.host}/hook", timeout_s=waits, **OPEN)
    assert (outcome.ok, outcome.error) == (ok, error)
    assert len(server.asked) == 1


async def test_after_a_process_was_lost_the_rest_fails_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    async with loopback(then_silence()) as server:
        channel = Channel("desk", Secret(f"json://{server.host}/{TOKEN}"), **OPEN)
        async with Courier(channel, 0.5) as courier:
            process = courier._process
            assert process is not None
            shown = (
                Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()
            )
            assert b"notify_send" in shown
            assert TOKEN.encode() not in shown
            first, second = await courier.send(LETTER), await courier.send(LETTER)
    assert first == second == Outcome(False, "no answer within 0.5 s")
    assert process.returncode is not None
    assert len(server.asked) == 1


async def test_a_test_letter_goes_to_each_channel_and_one_failure_is_only_its_own() -> None:
    async with loopback(reply(200)) as good, loopback(reply(500)) as bad:
        channels = {
            name: Channel(name, Secret(f"json://{server.host}/x"), **OPEN)
            for name, server in (("good", good), ("bad", bad))
        }
        found = await try_channels(channels, 10.0, LETTER)
        assert found == {"good": Outcome(True), "bad": Outcome(False, "HTTP 500")}
        asked = len(good.asked)
        assert (await try_channels(channels, 10.0, None)) == {"good": Outcome(True), "bad": Outcome(True)}
        assert len(good.asked) == asked, "only looked at"


# ------------------------------------------------------------------------------------------------ the outbox


async def test_each_alert_arrives_once_and_its_row_says_so(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, alert(0), alert(1), alert(2, status="dry", next_try_at=None), alert(3, next_try_at=MIDNIGHT + HOUR))
    with nothing_secret(tmp_path, caplog):
        async with desk(tmp_path, store, reply(200)) as (teller, server):
            for _ in range(3):
                await teller.tick()
    assert [asked.headers["idempotency-key"][-1] for asked in server.asked] == ["0", "1"]
    first, second, dry, later = stored(store)
    assert {(one.status, one.attempts, one.sent_at, one.next_try_at) for one in (first, second)} == {
        ("sent", 1, MIDNIGHT, None)
    }
    assert (dry.status, later.status, later.attempts) == ("dry", "waiting", 0)


async def test_a_failure_is_tried_again_after_a_pause_with_the_same_key(tmp_path: Path, store: Store) -> None:
    put(store, alert())
    async with desk(tmp_path, store, reply(500), reply(200), more="backoff = '30s'\n") as (teller, server):
        await teller.tick()
        (row,) = stored(store)
        assert (row.status, row.attempts, row.error) == ("waiting", 1, "HTTP 500")
        assert row.next_try_at == MIDNIGHT + timedelta(seconds=30)
        teller.clock.advance(29)
        await teller.tick()
        assert len(server.asked) == 1
        teller.clock.advance(2)
        await teller.tick()
    (row,) = stored(store)
    assert (row.status, row.attempts, row.error) == ("sent", 2, None)
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1
    assert server.asked[0].body == server.asked[1].body


async def test_a_receiver_that_names_a_time_is_left_alone_until_then_also_after_a_restart(
    tmp_path: Path, store: Store
) -> None:
    put(store, alert(0), alert(1))
    async with desk(tmp_path, store, reply(429, headers={"Retry-After": "600"}), reply(200)) as (teller, server):
        await teller.tick()
        for minutes in (5, 4):
            teller.clock.advance(minutes * 60)
            await teller.tick()
        again = Desk(config_of(tmp_path, channels_of({"desk": f"json://{server.host}/x"})), store, teller.clock.now())
        await again.tick()
        assert len(server.asked) == 1, "neither this alert nor another one"
        again.clock.advance(61)
        await again.tick()
    assert {one.status for one in stored(store)} == {"sent"}
    assert len(server.asked) == 3


async def test_after_a_failure_the_channel_rests_and_the_next_one_is_not_wasted_on_it(
    tmp_path: Path, store: Store
) -> None:
    put(store, *(alert(number) for number in range(5)))
    async with desk(tmp_path, store, reply(503), reply(503), reply(200)) as (teller, server):
        await teller.tick()
        assert [one.attempts for one in stored(store)] == [1, 0, 0, 0, 0]
        teller.clock.advance(31)
        await teller.tick()
        teller.clock.advance(61)
        await teller.tick()
    assert {one.status for one in stored(store)} == {"sent"}
    assert len(server.asked) == 7


async def test_an_alert_is_given_up_after_its_attempts_and_that_is_said_once(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, alert())
    with nothing_secret(tmp_path, caplog):
        async with desk(tmp_path, store, reply(500), more="attempts = 3\n") as (teller, server):
            for _ in range(6):
                await teller.tick()
                teller.clock.advance(3600)
    (row,) = stored(store)
    assert (row.status, row.attempts, row.next_try_at, row.error) == ("failed", 3, None, "HTTP 500")
    assert len(server.asked) == 3
    assert [record.getMessage() for record in caplog.records if record.name == "tracker.notify"] == [
        "alerts do not reach the channel", "an alert is given up",
    ]  # fmt: skip


async def test_a_channel_that_works_again_is_said_once(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, alert(0), alert(1))
    with caplog.at_level(logging.INFO, "tracker.notify"):
        async with desk(tmp_path, store, reply(500), reply(500), reply(200)) as (teller, _):
            for _ in range(4):
                await teller.tick()
                teller.clock.advance(120)
    assert [record.getMessage() for record in caplog.records if record.name == "tracker.notify"] == [
        "alerts do not reach the channel", "alerts reach the channel again",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("attempts", "age", "retry_after", "expected"),
    [
        (0, 0, None, ("waiting", 30.0)), (1, 0, None, ("waiting", 60.0)), (6, 0, None, ("waiting", 1920.0)), (7, 0, None, ("failed", None)),
        (0, 0, "7", ("waiting", 30.0)), (0, 0, "90", ("waiting", 90.0)), (0, 0, "soon", ("waiting", 30.0)),
        (0, 0, "999999999", ("waiting", 86_400.0)), (0, 60, "999999999", ("failed", None)), (1, 86_399, None, ("failed", None)),
        (0, 0, "Tue, 17 Nov 2026 00:02:00 GMT", ("waiting", 120.0)),
    ],
)  # fmt: skip
def test_when_it_is_tried_again(
    attempts: int, age: float, retry_after: str | None, expected: tuple[str, float | None]
) -> None:
    row = alert(attempts=attempts, created_at=MIDNIGHT - timedelta(seconds=age))
    status, again = verdict(Alerts(), row, Outcome(False, "x", retry_after, None), MIDNIGHT)
    assert (status, again and (again - MIDNIGHT).total_seconds()) == expected


def test_a_pause_grows_to_an_hour_and_no_further() -> None:
    waits = [wait_s(Alerts(), Outcome(False), attempts, MIDNIGHT) for attempts in range(1, 100)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (30.0, 3600.0)


async def test_a_slow_channel_delays_no_other_and_the_job_returns_at_once(tmp_path: Path, store: Store) -> None:
    put(store, alert(0, "slow"), alert(0, "quick"), alert(1, "slow"))
    async with loopback(then_silence()) as slow, loopback(reply(200)) as quick:
        urls = {"slow": f"json://{slow.host}/x", "quick": f"json://{quick.host}/x"}
        teller = Desk(config_of(tmp_path, "timeout = '3s'\n" + channels_of(urls)), store)
        async with asyncio.timeout(2):
            await teller.teller.tick(never)
        async with asyncio.timeout(30):
            while not any(one.status == "sent" for one in stored(store)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert [one.status for one in stored(store) if one.channel == "slow"] == ["waiting", "waiting"]
        put(store, alert(2, "quick"))
        async with asyncio.timeout(30):
            while len(quick.asked) < 2:
                teller.teller._look = True
                await teller.teller.tick(never)
                await asyncio.sleep(0.05)
        await teller.teller.settle()
        assert [one.status for one in stored(store) if one.channel == "quick"] == ["sent", "sent"]
        assert len(slow.asked) == 1, "one at a time, and a rest after a failure"


async def test_at_the_end_what_is_under_way_is_given_up_and_stays_waiting(tmp_path: Path, store: Store) -> None:
    put(store, alert(0), alert(1))
    async with desk(tmp_path, store, then_silence()) as (teller, server):
        await teller.teller.tick(never)
        async with asyncio.timeout(30):
            while not server.asked:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            await teller.teller.drain(0.2)
        await teller.tick()
    assert [(one.status, one.attempts) for one in stored(store)] == [("waiting", 0), ("waiting", 0)]
    assert len(server.asked) == 1


async def test_a_result_is_written_down_when_the_file_is_free_again(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, alert())
    held = [StoreLocked("t.duckdb", 7), StoreLocked("t.duckdb", 7)]
    free = Store.writing

    def writing(self: Store, wait_s: float = 10.0) -> Any:
        if held:
            raise held.pop()
        return free(self, wait_s)

    monkeypatch.setattr(Store, "writing", writing)
    async with desk(tmp_path, store, reply(200)) as (teller, server):
        await teller.tick()
        await teller.tick()
    assert held == []
    assert [one.status for one in stored(store)] == ["sent"]
    assert len(server.asked) == 1


async def test_a_result_that_can_not_be_written_down_stops_the_tracker(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the same alert would be told every few seconds."""
    put(store, alert())
    broken = StoreError("the database can't be used")

    def writing(self: Store, wait_s: float = 10.0) -> Any:
        raise broken

    monkeypatch.setattr(Store, "writing", writing)
    async with desk(tmp_path, store, reply(200)) as (teller, server):
        await teller.tick()
    assert teller.failures == [broken]
    assert len(server.asked) == 1


async def test_where_no_process_can_be_started_the_alert_waits(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, alert())

    async def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError

    async with desk(tmp_path, store, reply(200)) as (teller, server):
        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        await teller.tick()
        (row,) = stored(store)
        assert (row.status, row.attempts, row.error) == ("waiting", 1, "the process that sends could not start")
        monkeypatch.undo()
        teller.clock.advance(31)
        await teller.tick()
    assert [one.status for one in stored(store)] == ["sent"]
    assert len(server.asked) == 1


async def test_alerts_for_a_channel_that_is_gone_are_given_up(tmp_path: Path, store: Store) -> None:
    put(store, alert(0, "gone"), alert(1))
    async with desk(tmp_path, store, reply(200)) as (teller, _):
        await teller.tick()
    gone, sent = stored(store)
    assert (gone.status, gone.error) == ("failed", "there is no such channel any more")
    assert sent.status == "sent"


async def test_an_alert_put_off_by_a_clock_that_ran_ahead_is_sent_now(tmp_path: Path, store: Store) -> None:
    put(
        store,
        alert(0, next_try_at=MIDNIGHT + timedelta(days=300)),
        alert(1, next_try_at=MIDNIGHT + timedelta(hours=20)),
    )
    async with desk(tmp_path, store, reply(200)) as (teller, _):
        await teller.tick()
    assert [one.status for one in stored(store)] == ["sent", "waiting"]


def test_what_is_meant_to_be_sent_takes_the_place_of_a_dry_one_and_of_no_other(store: Store) -> None:
    put(store, alert(0, status="dry", next_try_at=None), alert(1), alert(2, status="sent", attempts=1))
    put(store, *(alert(number, title="again") for number in range(3)))
    assert [(one.title, one.status) for one in stored(store)] == [
        ("again", "waiting"),
        ("title 1", "waiting"),
        ("title 2", "sent"),
    ]


async def test_without_channels_nobody_looks(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "reading", lambda *_: pytest.fail("nobody asked"))
    await Desk(config_of(tmp_path, ""), store).tick()


# ------------------------------------------------------------------------------------------------ rules over a database


def burst(start: datetime, many: int = 40) -> list[Any]:
    return crowd(start, "BABA", bulls=many // 2, bears=many // 4, others=many // 4, every=timedelta(seconds=60))


def talk() -> list[Any]:
    """Five weeks of a message every few hours about two symbols, by many."""
    start = MIDNIGHT - timedelta(days=35)
    return [
        say(
            start + number * timedelta(hours=4),
            "BABA" if number % 2 else "JD",
            author=f"frog {number % 17}",
            stance=number % 3 - 1,
        )  # type: ignore[arg-type]
        for number in range(35 * 6)
    ]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with weeks of quiet talk, an hour in which everybody speaks of BABA, and two moods about JD."""
    folder = tmp_path_factory.mktemp("spoken")
    moods = [*crowd(MIDNIGHT + 8 * HOUR, "JD", bulls=5), *crowd(MIDNIGHT + 14 * HOUR, "JD", bears=5)]
    said = [*talk(), *moods, *burst(MIDNIGHT + 10 * HOUR)]
    fetched = [make_batch([one], fetched_at=one.at, prefix=f"m{number}") for number, one in enumerate(said)]
    cover = make_batch(fetched_at=MIDNIGHT + DAY, covers_from=MIDNIGHT - timedelta(days=36), prefix="cover")
    return build(folder, [*fetched, cover], watchlist=["BABA", "JD"]).path


SPIKES = rule_of("spike", 'width = "1h"', name="spikes")
MOODS = rule_of("label_change", 'window = "1h"', 'cool_down = "0s"', name="moods")
HERE = channels_of({"desk": "json://127.0.0.1:9/x", "wire": "json://127.0.0.1:9/y"})
WATCH = '[watchlist]\nsymbols = ["BABA", "JD"]\n'


def look(store: Store, config: Config, *moments: datetime) -> list[int]:
    """Take the readings of these moments one by one, the rules with them, as the daemon does."""
    counts: list[int] = []
    ground = ground_of(config)
    for moment in moments:

        def then(connection: Connection, at: datetime = moment) -> None:
            counts.append(evaluate(connection, ground, at, at + timedelta(seconds=2)))

        store.take_readings(moment, moment + timedelta(seconds=2), 5.0, then)
    return counts


def test_a_spike_is_told_at_its_start_and_its_end_in_one_row_for_each_channel(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    both = rule_of("spike", 'width = "1h"', name="spikes", channels='["desk", "wire"]')
    config = config_of(tmp_path, HERE + both, WATCH)
    times = [
        MIDNIGHT + 9 * HOUR,
        MIDNIGHT + 11 * HOUR,
        MIDNIGHT + 11.5 * HOUR,
        MIDNIGHT + 13 * HOUR,
        MIDNIGHT + 14 * HOUR,
    ]
    assert look(store, config, *times) == [0, 1, 0, 1, 0]
    rows = stored(store)
    assert [(one.kind, one.channel) for one in rows] == [
        ("spike_started", "desk"), ("spike_started", "wire"), ("spike_ended", "desk"), ("spike_ended", "wire"),
    ]  # fmt: skip
    first = rows[0]
    assert (first.at, first.created_at, first.next_try_at) == (
        times[1],
        times[1] + timedelta(seconds=2),
        times[1] + timedelta(seconds=2),
    )
    assert (first.status, first.attempts, first.symbol, first.rule) == ("waiting", 0, "BABA", "spikes")
    assert first.title.startswith("BABA: message volume spike (")
    sentence, lead, link, ref = first.body.split("\n\n")
    assert sentence.startswith("Message volume of BABA has spiked since 2026-11-17 10:00 UTC: 40 messages")
    assert "BABA" in lead
    assert link == first.link == "https://stocktwits.com/symbol/BABA"
    assert ref == f"ref {first.event_key}"
    assert rows[1].event_key == first.event_key != rows[2].event_key


def test_readings_alerts_and_states_are_stored_together_or_not_at_all(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + SPIKES, WATCH)
    look(store, config, MIDNIGHT + 9 * HOUR)
    at = MIDNIGHT + 11 * HOUR

    def fails_late(connection: Connection) -> None:
        assert evaluate(connection, ground_of(config), at, at) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.take_readings(at, at, 5.0, fails_late)
    with store.reading() as connection:
        assert connection.execute(
            'SELECT count(*) FROM readings WHERE "at" = $1', [at.replace(tzinfo=None)]
        ).fetchone() == (0,)
        assert outbox.recent(connection, 9) == []
        assert {one.at for one in outbox.states(connection).values()} == {MIDNIGHT + 9 * HOUR}
    assert look(store, config, at) == [1]


def test_the_same_moment_twice_tells_nothing_twice(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + SPIKES + MOODS, WATCH)
    times = [MIDNIGHT + 9 * HOUR, MIDNIGHT + 11 * HOUR]
    assert sum(look(store, config, *times)) > 0
    assert look(store, config, times[1]) == [0]


def test_a_first_start_into_the_middle_of_a_storm_is_silent(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + SPIKES + MOODS, WATCH)
    assert look(store, config, MIDNIGHT + 10.9 * HOUR, MIDNIGHT + 11 * HOUR) == [0, 0]
    assert look(store, config, MIDNIGHT + 13 * HOUR) == [0], "its start was not told, so its end is not"


def test_a_rule_that_was_changed_begins_anew(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    look(store, config_of(tmp_path, HERE + rule_of("spike", 'width = "1d"', name="spikes"), WATCH), MIDNIGHT + 9 * HOUR)
    assert look(store, config_of(tmp_path, HERE + SPIKES, WATCH), MIDNIGHT + 11 * HOUR) == [0]


def test_a_rule_is_about_its_symbols_or_the_watch_list_or_all(tmp_path: Path, spoken: Path) -> None:
    times = [MIDNIGHT + 9 * HOUR, MIDNIGHT + 11 * HOUR]
    for lines, above, many in (
        ('symbols = ["BABA"]', WATCH, 1), ('symbols = ["JD"]', WATCH, 0), ('group = "pond"', WATCH + 'groups = { pond = ["JD"] }\n', 0),
        ("", '[watchlist]\nsymbols = ["JD"]\n', 0), ("", WATCH, 1), ("", "", 1),
    ):  # fmt: skip
        folder = tmp_path / f"{many}{abs(hash((lines, above)))}"
        folder.mkdir()
        config = config_of(folder, HERE + rule_of("spike", 'width = "1h"', lines, name="spikes"), above)
        assert look(store_at(folder, spoken), config, *times) == [0, many], (lines, above)


def test_labels_crossings_and_sources_are_read_from_what_is_stored(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    rules = (
        rule_of("messages > 20", 'window = "1h"', name="loud") + rule_of("source_down", name="sources")
        + rule_of("quiet", name="quiet")
    )  # fmt: skip
    config = config_of(tmp_path, HERE + rules, WATCH)
    assert look(store, config, MIDNIGHT + 9 * HOUR) == [0]
    failed = [
        make_batch(source="hackernews", stream="new", status="unavailable", error="no", fetched_at=MIDNIGHT + 10 * HOUR + number * timedelta(minutes=2), prefix=f"f{number}")
        for number in range(4)
    ]  # fmt: skip
    with store.writing() as connection:
        store.load(failed, connection)
        worked = "INSERT INTO streams VALUES ('hackernews', 'new', NULL, true, $1, NULL, $2, NULL, NULL)"
        connection.execute(worked, [0, (MIDNIGHT + 9 * HOUR).replace(tzinfo=None)])
    assert look(store, config, MIDNIGHT + 10 * HOUR) == [0]
    with store.writing() as connection:
        connection.execute("UPDATE streams SET failures = 4")
    assert look(store, config, MIDNIGHT + 11 * HOUR) == [2]
    rows = {one.kind: one for one in stored(store)}
    assert rows.keys() == {"crossed", "source_down"}
    assert rows["crossed"].title == "BABA: messages 40 (messages > 20)"
    assert (rows["source_down"].symbol, rows["source_down"].link) == ("hackernews", None)
    assert "stocktwits.com" not in rows["source_down"].body


# ------------------------------------------------------------------------------------------------ rehearsals


def hours(first: int, last: int) -> list[datetime]:
    return [MIDNIGHT + number * HOUR for number in range(first, last + 1)]


def dry(store: Store, config: Config) -> list[tuple[Any, ...]]:
    with store.writing() as connection:
        rehearse(connection, ground_of(config), MIDNIGHT + timedelta(days=99))
        return connection.execute(
            'SELECT * EXCLUDE (created_at) FROM alerts ORDER BY "at", rule, symbol, channel'
        ).fetchall()


def test_a_rehearsal_tells_what_the_daemon_would_have_told_and_sends_nothing(tmp_path: Path, spoken: Path) -> None:
    config = config_of(tmp_path, HERE + SPIKES + MOODS, WATCH)
    (tmp_path / "live").mkdir()
    live, replayed = store_at(tmp_path / "live", spoken), store_at(tmp_path, spoken)
    look(live, config, *hours(6, 16))
    with replayed.writing() as connection:
        derive.take_readings(connection, hours(6, 16), None)
    dry(replayed, config)
    told, rehearsed = stored(live), stored(replayed)
    assert [(a.rule, a.symbol, a.at, a.kind, a.title, a.event_key) for a in told] == [
        (a.rule, a.symbol, a.at, a.kind, a.title, a.event_key) for a in rehearsed
    ]
    assert {"spike_started", "spike_ended", "label_changed"} == {one.kind for one in rehearsed}
    assert {(one.status, one.next_try_at, one.attempts) for one in rehearsed} == {("dry", None, 0)}


@pytest.mark.parametrize("cut", [8, 11, 12])
def test_a_rehearsal_in_pieces_is_the_same_as_in_one_run(tmp_path: Path, spoken: Path, cut: int) -> None:
    config = config_of(tmp_path, HERE + SPIKES + MOODS, WATCH)
    (tmp_path / "pieces").mkdir()
    whole, pieces = store_at(tmp_path, spoken), store_at(tmp_path / "pieces", spoken)
    with whole.writing() as connection:
        derive.take_readings(connection, hours(6, 16), None)
    for part in (hours(cut + 1, 16), hours(6, cut)):  # the later one first
        with pieces.writing() as connection:
            derive.take_readings(connection, part, None)
        dry(pieces, config)
    found = dry(whole, config)
    assert found
    assert dry(pieces, config) == found == dry(whole, config)


def test_a_rehearsal_never_touches_what_was_meant_to_be_sent(tmp_path: Path, spoken: Path) -> None:
    config = config_of(tmp_path, HERE + SPIKES, WATCH)
    store = store_at(tmp_path, spoken)
    with store.writing() as connection:
        derive.take_readings(connection, hours(6, 16), None)
    dry(store, config)
    (first, *_) = stored(store)
    with store.writing() as connection:
        connection.execute(
            "UPDATE alerts SET status = 'sent', attempts = 1, title = 'as it was' WHERE event_key = $1",
            [first.event_key],
        )
    dry(store, config)
    dry(store, config_of(tmp_path, HERE, WATCH))  # without rules nothing dry is left
    assert [(one.status, one.title) for one in stored(store)] == [("sent", "as it was")]


def test_an_episode_grows_bucket_by_bucket_to_what_it_is_in_the_end(tmp_path: Path, spoken: Path) -> None:
    from test_alerts import at, episode

    severities = [("notable", 3.5, 0), ("high", 6.0, 60), ("notable", 4.0, 180)]
    spikes = [
        Spike(
            "BABA",
            HOUR,
            at(minutes),
            20,
            15,
            10 + number,
            20,
            2.0,
            z,
            0.001,
            severity,
            "organic",
            None,
            None,
            at(minutes),
        )
        for number, (severity, z, minutes) in enumerate(severities)
    ]
    other = [replace(spikes[0], kind="copied"), replace(spikes[0], bucket_width=timedelta(minutes=5))]
    whole = episode(0, 4, "high", first_severity="notable", rose_at=at(120), peak_z=6.0, peak_start=at(60), messages=60, organic=45,
                    authors=12, expected=6.0)  # fmt: skip
    parts = list(growing(whole, [*other, *spikes]))
    assert [(p.end_at, p.severity, p.rose_at, p.messages) for p in parts] == [
        (at(60), "notable", None, 20), (at(120), "high", at(120), 40), (at(240), "high", at(120), 60),
    ]  # fmt: skip
    assert parts[-1] == replace(whole, buckets=3)
    assert [p.over_at for p in parts] == [at(180), at(240), at(360)]


# ------------------------------------------------------------------------------------------------ digests


def noon(crontab: str, zone: str, after: datetime) -> datetime | None:
    """Noon of every day, whatever is asked for."""
    today = after.replace(hour=12, minute=0, second=0, microsecond=0)
    return today if today > after else today + DAY


DIGEST = rule_of("digest", 'cron = "0 12 * * *"', name="noon")


async def test_a_digest_is_told_once_a_day_most_talked_about_first(tmp_path: Path, spoken: Path) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + DIGEST, '[watchlist]\nsymbols = ["JD", "BABA", "FROG"]\n')
    teller = Desk(config, store, MIDNIGHT + 11.9 * HOUR)
    config_alerts = teller.teller
    for _ in range(2):
        await config_alerts._write_digests(noon)
    assert stored(store) == [], "nothing that was due before the first start"
    teller.clock.advance(360 + 4)  # four seconds after noon, its readings are not there yet
    await config_alerts._write_digests(noon)
    assert stored(store) == []
    store.take_readings(MIDNIGHT + 12 * HOUR, teller.clock.now())
    for _ in range(3):
        await config_alerts._write_digests(noon)
        teller.clock.advance(60)
    (row,) = stored(store)
    assert (row.kind, row.symbol, row.at, row.link) == ("digest", "*", MIDNIGHT + 12 * HOUR, None)
    assert row.title == "Retail sentiment of 3 symbols, 2026-11-17 12:00 UTC"
    places = [row.body.index(symbol) for symbol in ("BABA", "JD", "FROG")]
    assert places == sorted(places)
    again = Desk(config, store, teller.clock.now())  # after a restart
    await again.teller._write_digests(noon)
    assert len(stored(store)) == 1


@pytest.mark.parametrize(("hours_late", "many"), [(0.01, 1), (5.9, 1), (6.1, 0)])
async def test_a_digest_that_was_missed_is_told_once_if_it_is_not_far_too_late(
    tmp_path: Path, spoken: Path, hours_late: float, many: int
) -> None:
    store = store_at(tmp_path, spoken)
    config = config_of(tmp_path, HERE + DIGEST, WATCH)
    await Desk(config, store, MIDNIGHT + 11 * HOUR).teller._write_digests(noon)
    back = Desk(config, store, MIDNIGHT + (36 + hours_late) * HOUR)  # noon of the first day is past telling
    for _ in range(3):
        await back.teller._write_digests(noon)
        back.clock.advance(121)
    assert len(stored(store)) == many
    assert {one.at for one in stored(store)} <= {MIDNIGHT + 36 * HOUR}


def test_the_masker_of_the_log_knows_the_addresses(tmp_path: Path) -> None:
    config = config_of(tmp_path, channels_of({"desk": f"slack://{TOKEN}/B1234567890/hook"}))
    masker = logs.Masker(configuration.secrets(config))
    assert TOKEN not in masker(f"asked https://hooks.example/{TOKEN} in vain")


def test_an_event_of_a_source_has_a_key_like_any_other() -> None:
    moment = datetime(2026, 11, 17, tzinfo=UTC)
    assert (
        Event("r", "reddit", moment, "source_down", "t", "s").key
        != Event("r", "reddit", moment, "source_back", "t", "s").key
    )
