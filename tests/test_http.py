"""The network door: real sockets on loopback, every fault as bytes."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from loopback import Answer, cut, drip, flood, loopback, reply, reset, then_close, then_silence

from tracker.answer import BodyReader, address, hop_target, refusal, validators_of
from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.http import Access, Client, Gate, Http, Response
from tracker.secret import Secret

SERVED = "Wed, 21 Oct 2026 07:28:00 GMT"
SERVED_AT = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
CLOCK_AT = datetime(2026, 10, 21, 12, 0, tzinfo=UTC)
OK = reply(200, b'{"messages": []}', {"Date": SERVED})

HTTP = Http(clock=lambda: CLOCK_AT)
RECORDING = Http(clock=lambda: CLOCK_AT, record=True)


def access(base_url: str, **changed: Any) -> Access:
    return Access(
        **{
            "source": "pond",
            "base_url": base_url,
            "own_base_url": True,
            "user_agent": "tracker/0.1 (+mailto:frog@pond.example)",
            "deadline_s": 5.0,
            **changed,
        }
    )


class Outcome:
    """What one session brought: an answer or an error, the tally, and what the server saw."""

    def __init__(self) -> None:
        self.response: Response | None = None
        self.error: SourceError | None = None
        self.client: Client | None = None
        self.asked: list[Any] = []

    @property
    def answer(self) -> Response:
        assert self.response is not None, self.error
        return self.response

    @property
    def tally(self) -> Any:
        assert self.client is not None
        return self.client.tally


async def ask(
    *answers: Answer,
    path: str = "/messages",
    call: Callable[[Client], Any] | None = None,
    record: bool = False,
    **changed: Any,
) -> Outcome:
    """One request to a loopback server that gives ``answers``."""
    found = Outcome()
    async with loopback(*answers) as server:
        async with (RECORDING if record else HTTP).session(access(server.url, **changed)) as client:
            found.client = client
            try:
                found.response = await (call(client) if call else client.get(path))
            except SourceError as error:
                found.error = error
        found.asked = server.asked
    return found


# ---------------------------------------------------------------------------------------------- a good answer


async def test_a_good_answer_is_whole_and_tells_when_it_was_served() -> None:
    found = await ask(OK)
    assert found.answer.body == b'{"messages": []}'
    assert found.answer.served_at == SERVED_AT
    assert (found.tally.requests, found.tally.bytes, found.tally.http_status) == (1, 16, 200)
    assert found.tally.wait_s is None
    assert found.tally.bodies == []


async def test_without_a_date_header_our_own_clock_stands_in() -> None:
    assert (await ask(reply(200, b"{}"))).answer.served_at == CLOCK_AT
    assert (await ask(reply(200, b"{}", {"Date": "yesterday"}))).answer.served_at == CLOCK_AT


async def test_requests_say_who_we_are_and_ask_for_gzip_alone() -> None:
    asked = (await ask(OK, call=lambda c: c.get("/", headers={"Accept-Encoding": "br", "X-Pond": "1"}))).asked[0]
    assert asked.headers["user-agent"] == "tracker/0.1 (+mailto:frog@pond.example)"
    assert asked.headers["accept-encoding"] == "gzip"
    assert asked.headers["x-pond"] == "1"


async def test_params_are_added_to_those_of_the_path() -> None:
    found = await ask(OK, call=lambda c: c.get("a.json?x=1", params=[("tag", "b c"), ("tag", "d")]))
    assert found.asked[0].target == "/a.json?x=1&tag=b+c&tag=d"


async def test_bodies_are_recorded_only_on_request_and_never_those_of_forms() -> None:
    assert (await ask(OK, record=True)).tally.bodies == [b'{"messages": []}']
    assert (await ask(OK, record=True, call=lambda c: c.post_form("/token", {"a": "b"}))).tally.bodies == []


async def test_a_token_that_a_server_handed_out_is_masked_where_it_says_it_back() -> None:
    def call(client: Client) -> Any:
        return client.get("/", headers={"Authorization": "Bearer t0ken-that-was-handed-out"})

    echoed = b'["t0ken-that-was-handed-out"]'
    assert (await ask(reply(200, echoed), record=True, call=call)).tally.bodies == [b'["***"]']
    error = (await ask(reply(403, echoed), call=call)).error
    assert error is not None
    assert error.body == b'["***"]'


async def test_a_form_is_sent_with_basic_authorization() -> None:
    asked = (await ask(OK, call=lambda c: c.post_form("/token", {"g t": "c&d"}, basic=("frog", "pw")))).asked[0]
    assert (asked.method, asked.target, asked.body) == ("POST", "/token", b"g+t=c%26d")
    assert asked.headers["authorization"] == "Basic ZnJvZzpwdw=="
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_no_cookie_is_kept_from_one_request_to_the_next() -> None:
    async def twice(client: Client) -> Response:
        await client.get("/")
        return await client.get("/")

    found = await ask(reply(200, b"{}", {"Set-Cookie": "seen=1; Path=/"}), call=twice)
    assert "cookie" not in found.asked[1].headers


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with loopback(OK) as canary:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, canary.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert (await ask(OK)).answer.status == 200
        assert canary.connections == 0


async def test_a_fake_transport_stands_in_for_the_network() -> None:
    fake = httpx.MockTransport(lambda request: httpx.Response(200, json={"path": request.url.path}))
    async with Http(fake).session(access("https://pond.example/api/2")) as client:
        assert (await client.get("/frogs")).body == b'{"path":"/api/2/frogs"}'


# ------------------------------------------------------------------------------------------------------ bodies


async def gzipped(body: bytes, encoding: str = "gzip", **changed: Any) -> Outcome:
    return await ask(reply(200, body, {"Content-Encoding": encoding}), **changed)


async def test_gzip_of_one_or_several_members_is_decoded() -> None:
    assert (await gzipped(gzip.compress(b"croak", mtime=0))).answer.body == b"croak"
    assert (
        await gzipped(gzip.compress(b"croak", mtime=0) + gzip.compress(b" twice", mtime=0), "X-GZIP")
    ).answer.body == b"croak twice"


async def test_tally_counts_decoded_bytes() -> None:
    assert (await gzipped(gzip.compress(b"croak" * 1000, mtime=0))).tally.bytes == 5000


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (gzip.compress(b"croak" * 100, mtime=0)[:-9], "gzip", "cut short"),
        (gzip.compress(b"croak" * 100, mtime=0)[:-1], "gzip", "cut short"),
        (b"", "gzip", "cut short"),
        (gzip.compress(b"croak", mtime=0)[:-8] + b"\0\0\0\0\5\0\0\0", "gzip", "broken gzip"),
        (gzip.compress(b"croak", mtime=0) + b"garbage", "gzip", "broken gzip"),
        (b'{"not": "gzip"}', "gzip", "broken gzip"),
        (zlib.compress(b"croak"), "gzip", "broken gzip"),
        (gzip.compress(gzip.compress(b"croak", mtime=0), mtime=0), "gzip, gzip", "not asked for"),
        (zlib.compress(b"croak"), "deflate", "not asked for"),
        (b"croak", "br", "not asked for"),
        (b"croak", "zstd", "not asked for"),
    ],
)
async def test_a_body_that_is_not_plain_or_one_whole_gzip_is_malformed(body: bytes, encoding: str, says: str) -> None:
    error = (await gzipped(body, encoding)).error
    assert isinstance(error, Malformed)
    assert says in str(error)
    assert error.http_status == 200


async def test_a_gzip_bomb_is_cut_at_the_cap_and_costs_no_memory() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024), mtime=0)
    tracemalloc.start()
    try:
        found = await gzipped(bomb, max_body=1024 * 1024)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(found.error, Malformed)
    assert "more than 1048576 bytes" in str(found.error)
    assert found.tally.bytes <= 1024 * 1024
    assert peak < 6 * 1024 * 1024


async def test_a_body_of_exactly_the_cap_is_accepted_and_one_byte_more_is_not() -> None:
    assert len((await ask(reply(200, b"a" * 1000), max_body=1000)).answer.body) == 1000
    assert isinstance((await ask(reply(200, b"a" * 1001), max_body=1000)).error, Malformed)
    assert len((await gzipped(gzip.compress(b"a" * 1000, mtime=0), max_body=1000)).answer.body) == 1000
    assert isinstance((await gzipped(gzip.compress(b"a" * 1001, mtime=0), max_body=1000)).error, Malformed)


def test_gzip_members_that_hold_nothing_do_not_go_on_for_ever() -> None:
    reader = BodyReader("gzip", 1000)
    with pytest.raises(Malformed, match="too large"):
        reader.feed(gzip.compress(b"", mtime=0) * 10_000)


def test_decoding_does_not_depend_on_how_the_network_cut_the_bytes() -> None:
    data = gzip.compress(b"croak" * 50, mtime=0) + gzip.compress(b"!", mtime=0)
    for size in (1, 2, 7, len(data)):
        reader = BodyReader("gzip", 1000)
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
        assert reader.finish() == b"croak" * 50 + b"!"


# ------------------------------------------------------------------------------------- network and TCP faults

HEAD = b"HTTP/1.1 200 OK\r\n"
PROMISED = reply(200, b"a" * 400)

BROKEN: dict[str, Answer] = {
    "reset before the first byte": reset(),
    "closed before the first byte": then_close(b""),
    "closed within the headers": then_close(HEAD + b"X-A: 1\r\n"),
    "closed within the body": cut(PROMISED, len(PROMISED) - 100),
    "reset within the body": reset(PROMISED[:-100]),
    "closed within a chunk": then_close(HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\nabc"),
    "closed before the last chunk": then_close(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    "not HTTP": then_close(b"220 pond.example ESMTP\r\n"),
    "a status line that is none": then_close(b"HTTP/1.1 frog\r\n\r\n"),
    "a body that was squeezed in transfer": reply(200, b"abc", {"Transfer-Encoding": "gzip, chunked"}, length=False),
    "two lengths": reply(200, b"abc", {"Content-Length": "3, 4"}, length=False),
    "endless headers": flood(HEAD, b"X-Frog: croak croak croak\r\n" * 50),
    "one endless header": flood(HEAD + b"X-Frog: ", b"croak" * 500),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_a_broken_exchange_is_unavailable_at_once(name: str) -> None:
    started = time.monotonic()
    error = (await ask(BROKEN[name])).error
    assert isinstance(error, Unavailable)
    assert str(error).startswith("can't be reached: 127.0.0.1:")
    assert time.monotonic() - started < 4.0  # the deadline had no part in it


async def test_an_endless_body_is_cut_at_the_cap() -> None:
    found = await ask(flood(HEAD + b"\r\n", b"a" * 10_000), max_body=100_000)
    assert isinstance(found.error, Malformed)
    assert found.tally.bytes <= 100_000


@pytest.mark.parametrize(
    "answer",
    [
        then_silence(),
        then_silence(HEAD),
        then_silence(reply(200, b"", {"Content-Length": "100"}, length=False) + b"half"),
        drip(HEAD + b"\r\n", 0.02),
        drip(HEAD + b"X-Frog: ", 0.02, b"a"),
        flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20),
    ],
    ids=["silence", "after-status", "within-body", "body-drip", "header-drip", "1xx-flood"],
)
async def test_one_deadline_covers_everything_to_the_last_byte(answer: Answer) -> None:
    started = time.monotonic()
    found = await ask(answer, deadline_s=0.3)
    assert isinstance(found.error, Unavailable)
    assert str(found.error).startswith("deadline passed: 127.0.0.1:")
    assert "0.3 s" in str(found.error)
    assert time.monotonic() - started < 4.0


async def test_the_deadline_counts_redirects_together() -> None:
    async def slow_redirect(asked: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.15)
        writer.write(reply(302, b"", {"Location": "/again"}))

    error = (await ask(slow_redirect, deadline_s=0.3)).error
    assert isinstance(error, Unavailable)
    assert error.message == "deadline passed"


async def test_a_closed_port_is_unavailable_in_plain_words() -> None:
    async with loopback(OK) as server:
        url = server.url
    async with HTTP.session(access(url)) as client:
        with pytest.raises(Unavailable, match=r"^can't be reached: 127\.0\.0\.1:\d+: Connection refused$"):
            await client.get("/")
        assert client.tally.requests == 1
        assert client.tally.http_status is None


@pytest.mark.parametrize(
    "base_url", ["http://pond.invalid", "http://" + "a" * 70 + ".invalid", "http://[::1", "gopher://x"]
)
async def test_an_address_that_leads_nowhere_is_unavailable(base_url: str) -> None:
    async with HTTP.session(access(base_url)) as client:
        with pytest.raises(Unavailable):
            await client.get("/")


async def test_a_server_that_speaks_no_tls_is_unavailable() -> None:
    async with loopback(OK, greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        async with HTTP.session(access(server.url.replace("http:", "https:"))) as client:
            with pytest.raises(Unavailable, match="can't be reached"):
                await client.get("/")
        assert server.asked == []


async def test_the_caller_may_cancel_and_is_told_so() -> None:
    arrived = asyncio.Event()

    async def silent(asked: Any, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with loopback(silent) as server, HTTP.session(access(server.url)) as client:
        request = asyncio.create_task(client.get("/"))
        await arrived.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request


async def test_many_cancelled_requests_do_not_poison_the_next_poll() -> None:
    """encode/httpcore#1093: after 900 of them a shared pool times out for ever on a healthy server."""
    async with loopback(OK) as server:
        async with HTTP.session(access(server.url)) as client:
            for wave in range(30):
                requests = [asyncio.create_task(client.get("/")) for _ in range(30)]
                for _ in range(wave):
                    await asyncio.sleep(0)
                for request in requests:
                    request.cancel()
                await asyncio.gather(*requests, return_exceptions=True)
        async with HTTP.session(access(server.url)) as client:
            assert (await client.get("/")).status == 200


# -------------------------------------------------------------------------------------------------- redirects


async def test_a_redirect_on_the_same_host_is_followed_with_its_headers() -> None:
    found = await ask(
        reply(302, b"", {"Location": "/there?x=1"}), OK, call=lambda c: c.get("/here", headers={"Authorization": "t"})
    )
    assert [asked.target for asked in found.asked] == ["/here", "/there?x=1"]
    assert found.asked[1].headers["authorization"] == "t"
    assert found.answer.url.endswith("/there?x=1")
    assert found.tally.requests == 2


@pytest.mark.parametrize("way", ["absolute", "no scheme", "with a name before the host"])
async def test_another_host_is_never_visited(way: str) -> None:
    async with loopback(OK) as canary:
        where = {
            "absolute": canary.url + "/",
            "no scheme": f"//{canary.host}/",
            "with a name before the host": f"http://frog@{canary.host}/",
        }[way]
        error = (await ask(reply(301, b"", {"Location": where}))).error
        assert canary.connections == 0
    assert isinstance(error, Unavailable)
    assert "redirect to another host refused: 127.0.0.1" in str(error)


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "http://169.254.169.254/", "http://[", "ftp://127.0.0.1/", "//"]
)
async def test_a_redirect_to_somewhere_odd_is_unavailable(where: str) -> None:
    assert isinstance((await ask(reply(302, b"", {"Location": where}))).error, Unavailable)


async def test_a_redirect_can_not_put_a_name_and_password_into_our_mouth() -> None:
    async def with_a_name(asked: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(302, b"", {"Location": f"http://frog:pw@{asked.headers['host']}/there"}))

    found = await ask(with_a_name, OK)
    assert found.asked[1].target == "/there"
    assert "authorization" not in found.asked[1].headers


async def test_a_redirect_loop_ends_after_five_hops() -> None:
    found = await ask(reply(302, b"", {"Location": "/messages"}))
    assert isinstance(found.error, Unavailable)
    assert "too many redirects" in str(found.error)
    assert found.tally.requests == 6


async def test_a_redirect_without_a_place_is_unavailable() -> None:
    assert "unexpected status" in str((await ask(reply(302))).error)


async def test_a_form_is_sent_again_only_where_the_redirect_says_so() -> None:
    moved = [reply(status, b"", {"Location": "/there"}) for status in (307, 302)]
    found = await ask(moved[0], OK, call=lambda c: c.post_form("/here", {"a": "b"}))
    assert [(asked.method, asked.body) for asked in found.asked] == [("POST", b"a=b")] * 2
    assert isinstance((await ask(moved[1], OK, call=lambda c: c.post_form("/here", {"a": "b"}))).error, Unavailable)


@pytest.mark.parametrize(
    ("here", "there", "followed"),
    [
        ("http://pond.example/a", "https://pond.example/b", True),
        ("https://pond.example/a", "http://pond.example/b", False),
        ("http://pond.example:8080/a", "https://pond.example/b", False),
        ("http://pond.example/a", "https://pond.example:8443/b", False),
        ("http://pond.example/a", "http://pond.example:8080/b", False),
        ("https://pond.example/a", "https://www.pond.example/b", False),
        ("https://pond.example/a", "https://pond.example:443/b", True),
        ("https://pond.example/a", "https://POND.example/b", True),
    ],
)
def test_only_an_upgrade_to_https_may_leave_scheme_and_port(here: str, there: str, followed: bool) -> None:
    if followed:
        assert hop_target(httpx.URL(here), there).host == "pond.example"
    else:
        with pytest.raises(Unavailable, match="refused"):
            hop_target(httpx.URL(here), there)


# ------------------------------------------------------------------------------------- conditional requests


async def test_validators_go_out_and_a_304_is_unchanged_and_keeps_them() -> None:
    validators = {"etag": 'W/"frog"', "last_modified": SERVED}
    found = await ask(reply(304, length=False), call=lambda c: c.get("/", validators=validators))
    assert found.asked[0].headers["if-none-match"] == 'W/"frog"'
    assert found.asked[0].headers["if-modified-since"] == SERVED
    assert found.answer.unchanged
    assert found.answer.body == b""
    assert found.answer.validators == validators


async def test_a_304_that_nobody_asked_for_is_malformed() -> None:
    assert isinstance((await ask(reply(304, length=False))).error, Malformed)
    found = await ask(reply(304, length=False), call=lambda c: c.get("/", validators={}))
    assert isinstance(found.error, Malformed)


async def test_a_part_that_nobody_asked_for_is_malformed() -> None:
    assert isinstance((await ask(reply(206, b"{}", {"Content-Range": "bytes 0-1/9"}))).error, Malformed)


@pytest.mark.parametrize("etag", ['"fr\xf6g"', '"' + "a" * 2000 + '"', ""])
async def test_an_etag_that_could_not_be_sent_back_is_not_kept(etag: str) -> None:
    assert (await ask(reply(200, b"{}", {"ETag": etag}))).answer.validators == {}
    found = await ask(OK, call=lambda c: c.get("/", validators={"etag": etag}))
    assert "if-none-match" not in found.asked[0].headers


@pytest.mark.parametrize(("age_s", "kept"), [(0, False), (1, False), (2, True), (3600, True), (-5, False)])
def test_last_modified_is_used_only_when_its_second_is_over(age_s: int, kept: bool) -> None:
    served = (SERVED_AT + timedelta(seconds=age_s)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert ("last_modified" in validators_of({"last-modified": SERVED, "date": served})) is kept


def test_last_modified_without_a_date_is_not_used() -> None:
    assert validators_of({"last-modified": SERVED, "etag": '"frog"'}) == {"etag": '"frog"'}


# ---------------------------------------------------------------------------------------------------- refusals

CHALLENGE = b"<!DOCTYPE html><title>Just a moment...</title>"
WHOA = b"<body><h1>whoa there, pardner!</h1>"


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "says"),
    [
        (401, {}, b"{}", AccessDenied, "access denied"),
        (403, {}, b"{}", AccessDenied, "access denied"),
        (403, {}, CHALLENGE, AccessDenied, "challenge page"),
        (403, {}, WHOA, AccessDenied, "challenge page"),
        (403, {"Cf-Mitigated": "challenge"}, b"", AccessDenied, "challenge page"),
        (403, {}, b"<html>no", AccessDenied, "an HTML page"),
        (404, {}, b"", NotFound, "not found"),
        (410, {}, b"", NotFound, "not found"),
        (429, {}, b"slow down", RateLimited, "too many requests"),
        (500, {}, b"", Unavailable, "the server failed"),
        (502, {}, b"<html>", Unavailable, "the server failed"),
        (503, {}, b"", Unavailable, "the server failed"),
        (503, {"Retry-After": "soon"}, b"", Unavailable, "the server failed"),
        (503, {"Retry-After": "30"}, b"", RateLimited, "asks to wait 30 s"),
        (503, {"Retry-After": "30"}, CHALLENGE, AccessDenied, "challenge page"),
        (520, {}, b"", Unavailable, "HTTP 520"),
        (400, {}, b"", Unavailable, "unexpected status"),
        (422, {}, b"", Unavailable, "unexpected status"),
        (300, {}, b"", Unavailable, "unexpected status"),
    ],
)
async def test_a_status_becomes_the_error_that_says_what_to_do(
    status: int, headers: dict[str, str], body: bytes, kind: type[SourceError], says: str
) -> None:
    found = await ask(reply(status, body, headers))
    assert type(found.error) is kind
    assert says in str(found.error)
    assert f"HTTP {status}" in str(found.error)
    assert found.error.http_status == found.tally.http_status == status
    assert found.error.body == body


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (429, {}, None),
        (429, {"retry-after": "60"}, 60.0),
        (429, {"retry-after": "0"}, 0.0),
        (429, {"retry-after": "soon"}, None),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:30:00 GMT"}, 120.0),  # by the server's clock, not ours
        (429, {"retry-after": "60", "x-ratelimit-reset": "599.0"}, 60.0),
        (429, {"x-ratelimit-reset": "599.0"}, 599.0),
        (429, {"x-ratelimit-reset": str(int(SERVED_AT.timestamp()) + 90)}, 90.0),
        (429, {"x-rate-limit-reset": "2026-10-21T07:33:00.000Z"}, 300.0),
        (429, {"retry-after": "soon", "ratelimit-reset": "7"}, 7.0),
        (403, {"retry-after": "7200"}, 7200.0),
        (500, {"x-ratelimit-remaining": "12", "x-ratelimit-reset": "300"}, None),  # a window that is not used up
        (500, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "300"}, 300.0),
    ],
)
def test_a_refusal_carries_the_wait_that_the_server_named(
    status: int, headers: dict[str, str], wait_s: float | None
) -> None:
    error = refusal(status, {"date": SERVED, **headers}, b"", "http://pond.example/", CLOCK_AT)
    assert error.retry_after_s == wait_s


async def test_the_body_of_an_error_is_decoded_and_cut_to_a_sample() -> None:
    body = gzip.compress(b"slow down " * 10_000, mtime=0)
    error = (await ask(reply(429, body, {"Content-Encoding": "gzip"}))).error
    assert error is not None
    assert error.body is not None
    assert error.body.startswith(b"slow down ")
    assert len(error.body) == 2048


@pytest.mark.parametrize(
    "answer",
    [
        reply(429, b"not gzip", {"Content-Encoding": "gzip", "Retry-After": "9"}),
        reply(429, b"??", {"Content-Encoding": "br", "Retry-After": "9"}),
        cut(reply(429, b"a" * 500, {"Retry-After": "9"}), 100),
        flood(b"HTTP/1.1 429 No\r\nRetry-After: 9\r\n\r\n", b"a" * 1000),
        then_silence(b"HTTP/1.1 429 No\r\nRetry-After: 9\r\nContent-Length: 5\r\n\r\n"),
    ],
    ids=["broken-gzip", "brotli", "cut", "endless", "silent"],
)
async def test_a_broken_body_never_hides_what_the_status_said(answer: Answer) -> None:
    error = (await ask(answer, deadline_s=1.0)).error
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 9.0


async def test_a_good_answer_that_used_up_the_window_names_a_wait() -> None:
    spent = {"X-Ratelimit-Remaining": "0.0", "X-Ratelimit-Reset": "42"}
    found = await ask(reply(200, b"{}", spent))
    assert found.tally.wait_s == 42.0
    assert (await ask(reply(200, b"{}", {**spent, "X-Ratelimit-Remaining": "1.0"}))).tally.wait_s is None
    assert (await ask(reply(200, b"{}", {"X-Ratelimit-Remaining": "0"}))).tally.wait_s is None


async def test_the_longest_wait_of_a_poll_is_kept() -> None:
    async def twice(client: Client) -> Response:
        await client.get("/")
        return await client.get("/")

    answers = [reply(200, b"{}", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}) for reset in ("42", "7")]
    assert (await ask(*answers, call=twice)).tally.wait_s == 42.0


# --------------------------------------------------------------------------------------- secrets and addresses

TOKEN = "fr/og tök+en"  # written differently in every part of an address
KEYS = {"token": Secret(TOKEN), "none": Secret("")}


@pytest.mark.parametrize("answer", [OK, reply(429, b"slow"), reply(404), reply(200, b"a", {"Content-Encoding": "br"})])
async def test_a_secret_in_an_address_is_masked_wherever_it_is_shown(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    found = await ask(answer, call=lambda c: c.get("/", params={"key": c.credential("token") or ""}), credentials=KEYS)
    shown = f"{found.response and found.response.url} {found.error} {caplog.text}"
    assert "key=***" in shown
    for spelling in ("fr/og", "fr%2Fog", "t%C3%B6k"):
        assert spelling not in shown
    assert "fr%2Fog" in found.asked[0].target  # the server got it


async def test_a_secret_in_a_body_is_masked_in_samples_and_recordings() -> None:
    echo = f'{{"you": "{TOKEN}"}}'.encode()
    error = (await ask(reply(403, echo), credentials=KEYS)).error
    assert error is not None
    assert error.body == b'{"you": "***"}'
    found = await ask(reply(200, echo), credentials=KEYS, record=True)
    assert found.answer.body == echo
    assert found.tally.bodies == [b'{"you": "***"}']


@pytest.mark.parametrize("length", [4, len(TOKEN.encode()) // 2, len(TOKEN.encode()) - 1])
async def test_an_answer_that_is_cut_in_the_middle_of_a_secret_keeps_nothing_of_it(length: int) -> None:
    error = (await ask(reply(403, b"you said " + TOKEN.encode()[:length]), credentials=KEYS)).error
    assert error is not None
    assert error.body == b"you said ***"


async def test_the_password_of_an_address_is_never_shown() -> None:
    async with loopback(reply(404)) as server:
        base_url = server.url.replace("http://", "http://frog:hunter2@")
        async with HTTP.session(access(base_url)) as client:
            with pytest.raises(NotFound) as raised:
                await client.get("/")
        assert server.asked[0].headers["authorization"].startswith("Basic ")
    assert "hunter2" not in str(raised.value)


async def test_a_credential_is_given_only_by_its_name() -> None:
    async with HTTP.session(access("http://pond.example", credentials=KEYS)) as client:
        assert client.credential("token") == TOKEN
        assert client.credential("none") is None
        assert client.credential("other") is None


@pytest.mark.parametrize(
    ("path", "full"),
    [
        ("/frogs.json", "https://pond.example/api/frogs.json"),
        ("frogs.json", "https://pond.example/api/frogs.json"),
        ("", "https://pond.example/api"),
        ("//other.example/x", "https://pond.example/api/other.example/x"),
        ("/wiki/http://other.example/", "https://pond.example/api/wiki/http://other.example/"),
        ("https://pond.example/elsewhere?page=2", "https://pond.example/elsewhere?page=2"),
        ("https://newt@pond.example/x", "https://pond.example/x"),
    ],
)
def test_paths_lie_below_the_base_and_addresses_on_its_host(path: str, full: str) -> None:
    assert str(address("https://pond.example/api", path)) == full


@pytest.mark.parametrize("path", ["https://other.example/", "http://pond.example/", "https://pond.example:8443/"])
async def test_an_address_elsewhere_is_a_mistake_of_the_caller(path: str) -> None:
    async with HTTP.session(access("https://pond.example/api")) as client:
        with pytest.raises(ValueError, match="only its own host is asked"):
            await client.get(path)
        assert client.tally.requests == 0


async def test_nobody_in_the_scope_is_asked_after_a_server_has_named_a_time() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return (
            httpx.Response(429, headers={"Retry-After": "30"})
            if request.url.path.endswith("first")
            else httpx.Response(200, json=[])
        )

    http, gate, access = (
        Http(httpx.MockTransport(answer)),
        Gate(),
        Access("somewhere", "http://127.0.0.1:9/api", True, "tests"),
    )
    async with http.session(access, gate) as one, http.session(access, gate) as other:
        with pytest.raises(RateLimited):
            await one.get("first")
        with pytest.raises(RateLimited) as refused:
            await other.get("second")
    assert asked == ["/api/first"]
    assert refused.value.retry_after_s == pytest.approx(30, abs=2)
    async with http.session(access, Gate()) as elsewhere:
        assert (await elsewhere.get("third")).status == 200
