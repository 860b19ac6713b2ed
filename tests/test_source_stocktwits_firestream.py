"""Firestream: nothing without a licence, its scores with one."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from loopback import loopback, reply

from tracker.errors import AccessDenied, Malformed
from tracker.http import Access, Http
from tracker.models import Page, Rank, Stream
from tracker.secret import Secret
from tracker.sources import stocktwits_firestream as firestream

SAMPLE = (Path(__file__).parent / "samples" / "stocktwits_firestream.detail.json").read_bytes()
LICENCE = {"username": Secret("desk"), "password": Secret("not:told")}


async def fetch(base_url: str, credentials: dict[str, Secret]) -> Page:
    access = Access(
        source="stocktwits_firestream",
        base_url=base_url,
        own_base_url=True,
        user_agent="tests",
        credentials=credentials,
    )
    async with Http().session(access) as client:
        return await firestream.fetch(client, Stream("stocktwits_firestream", "symbol/BRK.B"), None)


async def test_the_licence_goes_along_and_each_span_is_a_row() -> None:
    async with loopback(reply(200, SAMPLE)) as server:
        page = await fetch(server.url, LICENCE)
    (asked,) = server.asked
    assert asked.target == "/sentiment/v2/BRK.B/detail"
    assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"desk:not:told"
    assert [item.window_name for item in page.items if isinstance(item, Rank)] == ["now", "15m", "24h"]


@pytest.mark.parametrize("missing", ["username", "password"])
async def test_without_a_licence_nothing_is_asked(missing: str) -> None:
    async with loopback(reply(200, SAMPLE)) as server:
        with pytest.raises(AccessDenied, match="licence"):
            await fetch(server.url, {name: value for name, value in LICENCE.items() if name != missing})
    assert server.asked == []


async def test_a_refusal_does_not_show_the_licence() -> None:
    async with loopback(reply(401, b"desk:not:told is unknown")) as server:
        with pytest.raises(AccessDenied) as caught:
            await fetch(server.url, LICENCE)
    assert "not:told" not in str(caught.value) + repr(caught.value.body)


def test_an_answer_without_scores_is_malformed() -> None:
    with pytest.raises(Malformed, match="sentiment"):
        firestream.parse(b'{"data": {}}')
