"""Cboe's chains: the sums over all contracts, and nothing made up where a count is missing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import loopback, reply

from tracker.http import Access, Http
from tracker.models import Flaw, Item, OptionTotals, Stream
from tracker.sources import options_cboe as cboe

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[1] / ".." / "shared"))
SAMPLE = (Path(__file__).parent / "samples" / "options_cboe.chain.json").read_bytes()


def parse(*options: Any, **more: Any) -> list[Item]:
    return cboe.parse(json.dumps({"data": {"options": options, **more}}).encode())


def contract(kind: str, volume: Any = None, open_interest: Any = None) -> dict[str, Any]:
    return {"option": f"ZZZ261120{kind}00012500", "volume": volume, "open_interest": open_interest}


async def test_a_chain_is_one_request_and_then_only_what_has_changed() -> None:
    async with loopback(reply(200, SAMPLE, {"ETag": '"a"'}), reply(304)) as server:
        access = Access(source="options_cboe", base_url=server.url, own_base_url=True, user_agent="tests")
        async with Http().session(access) as client:
            stream = Stream("options_cboe", cboe.stream_name("chain/_spx"))
            first = await cboe.fetch(client, stream, None)
            second = await cboe.fetch(client, stream, first.cursor)
    assert [asked.target for asked in server.asked] == ["/_SPX.json"] * 2
    assert isinstance(first.items[0], OptionTotals)
    assert (second.items, second.unchanged) == ((), True)


counts = st.integers(0, 10**9)


@given(st.lists(st.tuples(st.sampled_from("CP"), counts, counts), min_size=1, max_size=20))
def test_sums_are_those_of_the_contracts_in_any_order(chain: list[tuple[str, int, int]]) -> None:
    (found,) = parse(*(contract(*one) for one in chain))
    assert parse(*(contract(*one) for one in reversed(chain))) == [found]
    assert isinstance(found, OptionTotals)
    sums = (found.put_volume, found.put_oi, found.call_volume, found.call_oi)
    for number, (kind, column) in enumerate((("P", 1), ("P", 2), ("C", 1), ("C", 2))):
        of_kind = [one[column] for one in chain if one[0] == kind]
        assert sums[number] == (sum(of_kind) if of_kind else None)


def test_what_is_not_told_is_unknown() -> None:
    (found,) = parse(contract("C", volume=2))
    assert found == OptionTotals("options_cboe", "", None, call_volume=2)
    assert isinstance(parse(contract("C"))[0], Flaw)
    assert isinstance(parse()[0], Flaw)


def test_an_index_has_its_own_letters() -> None:
    (found,) = parse(contract("P", volume=1), symbol="^SPX")
    assert isinstance(found, OptionTotals)
    assert found.symbol == "SPX"


@pytest.mark.skipif(not (SHARED / "samples" / "prices").is_dir(), reason="no recorded chains here (TRACKER_SHARED)")
def test_a_recorded_chain_is_read_without_a_flaw() -> None:
    for path in (SHARED / "samples" / "prices").glob("cboe_*.json"):
        (found,) = cboe.parse(path.read_bytes())
        assert isinstance(found, OptionTotals)
        assert (found.at is not None, found.call_volume, found.put_volume) == (True, 9, 2)
