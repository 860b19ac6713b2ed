"""What is no talk as rows: headlines, what others rank, price bars, option volumes. Pure.

News names symbols as messages do, so the same finder reads it; what it finds stays with the headline and never becomes
a mention. Nothing here has a tone: nobody of the crowd has spoken.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tracker.mentions import Finder
from tracker.models import BarRow, Headline, HeadlineRow, OptionRow, OptionTotals, PriceBar, Rank, RankRow
from tracker.text import text_key
from tracker.wire import believable


def headline_row(
    item: Headline, finder: Finder, only: frozenset[str] | None, stream: str, known_at: datetime
) -> HeadlineRow:
    """A headline with the symbols that its words name and those that its feed says it is about."""
    created_at, _ = believable(item.created_at, known_at)
    words = item.title if item.text is None else f"{item.title}\n{item.text}"
    found = finder.counted(finder.find(words, (), item.source, created_at))
    named = (*(finder.canonical(symbol) for symbol in item.symbols), *(mention.symbol for mention in found))
    return HeadlineRow(
        source=item.source, id=item.id, stream=stream, created_at=created_at, fetched_at=known_at, publisher=item.publisher,
        title=item.title, text=item.text, lang=item.lang, url=item.url, symbols=_kept(named, only), text_key=text_key(item.title),
    )  # fmt: skip


def rank_row(item: Rank, finder: Finder, stream: str, known_at: datetime) -> RankRow:
    moment, _ = believable(item.at, known_at)
    return RankRow(
        service=item.source, stream=stream, symbol=_symbol(item, finder, stream), at=moment, window_name=item.window_name, rank=item.rank,
        mentions=item.mentions, rank_before=item.rank_before, mentions_before=item.mentions_before, upvotes=item.upvotes,
        sentiment=item.sentiment, sentiment_score=item.sentiment_score, sentiment_label=item.sentiment_label,
        volume_score=item.volume_score, volume_label=item.volume_label, fetched_at=known_at,
    )  # fmt: skip


def bar_row(item: PriceBar, finder: Finder) -> BarRow:
    return BarRow(
        source=item.source, symbol=finder.canonical(item.symbol), width_s=item.width_s, bucket_start=item.start_at, session=item.session,
        open=item.open, high=item.high, low=item.low, close=item.close, adj_close=item.adj_close, volume=item.volume,
    )  # fmt: skip


def option_row(item: OptionTotals, finder: Finder, stream: str, known_at: datetime) -> OptionRow:
    moment, _ = believable(item.at, known_at)
    return OptionRow(
        symbol=_symbol(item, finder, stream), at=moment, put_volume=item.put_volume, call_volume=item.call_volume, put_oi=item.put_oi,
        call_oi=item.call_oi, source=item.source, fetched_at=known_at,
    )  # fmt: skip


def _symbol(item: Rank | OptionTotals, finder: Finder, stream: str) -> str:
    return finder.canonical(item.symbol or stream.rpartition("/")[2])


def _kept(symbols: Iterable[str], only: frozenset[str] | None) -> tuple[str, ...]:
    """Each once, in order; where nothing is to be discovered the watched ones alone."""
    return tuple(symbol for symbol in dict.fromkeys(symbols) if only is None or symbol in only)
