"""To real receivers on loopback, good ones and bad ones: who is connected to, what arrives, what a failure is called."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from desk import (
    LETTER,
    OPEN,
    TOKEN,
)
from loopback import Answer, drip, flood, loopback, reply, then_silence

from tracker.config_schema import Channel
from tracker.notify import try_channels
from tracker.notify_address import refusal
from tracker.notify_post import Courier, Outcome
from tracker.notify_send import Refused, Watch
from tracker.secret import Secret

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
