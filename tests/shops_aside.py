"""Shops of what is no talk: news, rankings, prices and options. All but the feeds are snapshots: the newest one counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from fakes import NOON
from shops import Note, Shop, is_sick, json_of

_SNAPSHOT = "a snapshot: each answer holds all there is at that moment"


class Rss(Shop):
    SOURCE, STREAM = "rss", "feed/https://pond.example/news.xml"
    NO_PAGES = "a feed shows its newest entries and no others"
    SELECT = "SELECT id, title FROM headlines"
    sick = is_sick()

    def native(self, note: Note) -> str:
        return f"https://pond.example/news/{note.number}"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        items = "".join(
            f"<item><guid>{self.native(note)}</guid><title>{note.text}</title>"
            f"<pubDate>{format_datetime(datetime.fromisoformat(note.iso))}</pubDate></item>"
            for note in self.newest_first
        )
        return f"<rss version='2.0'><channel><title>Pond News</title>{items}</channel></rss>".encode()


class _Snapshot(Shop):
    """Its number is how much has been published: what is stored last has to be what it shows."""

    NO_PAGES = _SNAPSHOT

    def expected(self) -> set[tuple[Any, ...]]:
        return {(len(self.notes),)}


_NEWEST_RANK = "SELECT mentions FROM crosscheck WHERE symbol = 'GME' ORDER BY \"at\" DESC LIMIT 1"


class Apewisdom(_Snapshot):
    SOURCE, STREAM, SELECT = "apewisdom", "filter/all-stocks", _NEWEST_RANK
    NO_PAGES = "a ranking as it stands: its first pages are read anew each time"
    NO_CONDITION = "no validator of it is known; of its many numbers one has always moved"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        rank = int(path.rpartition("/")[2])
        shown = ("GME", "BABA", "JD")[rank - 1]
        entry = {"rank": rank, "ticker": shown, "mentions": len(self.notes)}
        return json_of({"pages": 3, "current_page": rank, "results": [entry]})


class Tradestie(_Snapshot):
    SOURCE, STREAM, SELECT = "tradestie", "wallstreetbets", _NEWEST_RANK
    NO_CONDITION = "no validator of it is known; of its many numbers one has always moved"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        return json_of([{"ticker": "GME", "no_of_comments": len(self.notes), "sentiment": "Bullish"}])


class Firestream(_Snapshot):
    SOURCE, STREAM = "stocktwits_firestream", "symbol/GME"
    SETTINGS = 'username = "newt"\npassword = "a-secret"'
    SELECT = 'SELECT CAST(sentiment_score AS INTEGER) FROM crosscheck ORDER BY "at" DESC LIMIT 1'
    NO_CONDITION = "scores of this moment: no answer is like the one before"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        scores = {"now": {"loaded": True, "valueNormalized": len(self.notes), "labelNormalized": "NEUTRAL"}}
        return json_of({"data": {"sentiment": scores, "messageVolume": {}}})


class _Bars(Shop):
    """A bar a note, one day after the other."""

    NO_PAGES = "one answer holds every bar of the span that is asked for"
    NO_CONDITION = "the newest bar changes until its day is over, and what is asked for moves with it"
    SELECT = "SELECT bucket_start, close FROM prices WHERE symbol = 'GME'"

    def day(self, note: Note) -> datetime:
        return NOON.replace(hour=0) - timedelta(days=300 - note.place)

    def expected(self) -> set[tuple[Any, ...]]:
        return {(self.day(note).replace(tzinfo=None), 10.0 + note.place) for note in self.notes}


class Yahoo(_Bars):
    SOURCE, STREAM = "prices_yahoo", "daily/GME"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        closes = [10.0 + note.place for note in self.notes]
        quote = {"open": closes, "high": closes, "low": closes, "close": closes, "volume": [1] * len(closes)}
        result = {
            "meta": {"symbol": "GME", "dataGranularity": "1d", "instrumentType": "EQUITY", "gmtoffset": 0},
            "timestamp": [int(self.day(note).timestamp()) + 43_200 for note in self.notes],
            "indicators": {"quote": [quote]},
        }
        return json_of({"chart": {"result": [result], "error": None}})


class Nasdaq(_Bars):
    SOURCE, STREAM = "prices_nasdaq", "daily/GME"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        since = query.get("fromdate", "")
        rows = [
            {"date": self.day(note).strftime("%m/%d/%Y"), "close": f"${10 + note.place}"}
            for note in self.notes
            if self.day(note).strftime("%Y-%m-%d") >= since
        ]
        return json_of({"data": {"symbol": "GME", "tradesTable": {"rows": rows}}, "status": {"rCode": 200}})


class Cboe(_Snapshot):
    SOURCE, STREAM = "options_cboe", "chain/GME"
    SELECT = 'SELECT put_volume FROM options ORDER BY "at" DESC, put_volume DESC LIMIT 1'

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        chain = [{"option": "GME260320P00010000", "volume": len(self.notes), "open_interest": 5}]
        stamp = datetime.fromisoformat(self.newest_first[0].iso).strftime("%Y-%m-%d %H:%M:%S")
        return json_of({"timestamp": stamp, "symbol": "GME", "data": {"symbol": "GME", "options": chain}})
