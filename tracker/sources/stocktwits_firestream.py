"""StockTwits' own sentiment and message volume of a symbol, over its licensed interface (Firestream).

Terms: only for those who have a licence: StockTwits gives user and password. Without them nothing is asked. What it may be
used for stands in your contract, so it is off until you have written ``acknowledge_terms = true``.

Access: ``/sentiment/v2/SYMBOL/detail`` with Basic credentials ``username`` and ``password``.

Streams: ``symbol/BABA`` (default: the watch-list).

Quirks: scores are from 0 to 100 (``valueNormalized``), labels are words such as ``EXTREMELY_BULLISH``; both are told for now, the last
15 minutes and the last 24 hours. The body does not say which symbol it is of: the stream does.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tracker.errors import AccessDenied, Malformed
from tracker.models import Cursor, Flaw, Item, Page, Rank, Stream
from tracker.wire import SAMPLE_BYTES, clean, load_json, quantity, symbol_text

if TYPE_CHECKING:
    from tracker.http import Client

TERMS = "licensed: needs user and password from StockTwits; what it may be used for stands in your contract"
KEY_ADDS = "username and password of a Firestream licence: without them there is nothing"
NEEDS_ACKNOWLEDGEMENT = True
DEFAULT_ON = False
BASE_URL = "https://api-gw-prd.stocktwits.com/api-middleware/external"
INTERVAL = 900.0
BUDGET = (60, 60.0)
CREDENTIALS = ("username", "password")
KEEP = "all"
BRINGS = "ranks"

_SOURCE: Final = "stocktwits_firestream"
_SPANS: Final = ("now", "15m", "24h")


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"symbol/{symbol}" for symbol in symbols)


def stream_name(given: str) -> str:
    """``symbol/BABA``; ValueError for anything else."""
    kind, slash, rest = given.strip().partition("/")
    symbol = symbol_text(rest)
    if slash and kind.lower() == "symbol" and symbol and "/" not in symbol:
        return f"symbol/{symbol}"
    raise ValueError("expected symbol/SYMBOL")


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """The scores as they stand."""
    user, password = client.credential("username"), client.credential("password")
    if not user or not password:
        raise AccessDenied("no username and password of a Firestream licence", _SOURCE)
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    symbol = quote(stream.name.partition("/")[2], safe="")
    answer = await client.get(f"/sentiment/v2/{symbol}/detail", headers={"Authorization": f"Basic {basic}"})
    return Page(tuple(parse(answer.body)), None)


def parse(body: bytes) -> list[Item]:
    """The scores of one answer, a rank without a place for each span; Malformed for anything else."""
    document = load_json(body, _SOURCE)
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict) or not ("sentiment" in data or "messageVolume" in data):
        raise Malformed("expected sentiment and message volume", _SOURCE, body=body[:SAMPLE_BYTES])
    found = [_scores(data, span) for span in _SPANS]
    return [item for item in found if item is not None] or [Flaw("no scores", "data")]


def _scores(data: dict[str, Any], span: str) -> Rank | None:
    feeling, volume = (_part(data, name, span) for name in ("sentiment", "messageVolume"))
    scores = (_score(feeling), _score(volume))
    if scores == (None, None):
        return None
    return Rank(
        _SOURCE, "", window_name=span, sentiment_score=scores[0], sentiment_label=_label(feeling), volume_score=scores[1],
        volume_label=_label(volume),
    )  # fmt: skip


def _part(data: dict[str, Any], name: str, span: str) -> dict[str, Any]:
    spans = data.get(name)
    found = spans.get(span) if isinstance(spans, dict) else None
    return found if isinstance(found, dict) and found.get("loaded") is not False else {}


def _score(part: dict[str, Any]) -> float | None:
    found = quantity(part.get("valueNormalized"))
    return found if found is not None and 0 <= found <= 100 else None


def _label(part: dict[str, Any]) -> str | None:
    words = (clean(part.get("labelNormalized")) or "").replace("_", " ").strip().lower()
    return words[:40].strip() or None
