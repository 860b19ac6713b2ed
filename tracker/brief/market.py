"""Where the price stands, and how the others of a group do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tracker.brief import words
from tracker.brief.facts import DAY, BriefFacts
from tracker.rows import GroupMember, PriceContext

_FRESH: Final = timedelta(days=5)  # an older price says nothing of where it stands
_THINGS: Final = {"stock": "the stock", "etf": "the fund", "coin": "the coin", "index": "the index"}
_SESSIONS: Final = {"pre": " pre-market", "post": " after hours"}


def _thing(facts: BriefFacts) -> str:
    return _THINGS.get(facts.kind or "", "the price")


def _closed(price: PriceContext, zone: str) -> bool:
    """The last price is the close of the last whole session: there is one change to tell, not two."""
    if price.session not in ("regular", None):
        return False
    # without sessions a day is one of UTC, and its price is known when the next one begins
    clock, end = (zone, price.price_at) if price.session else ("UTC", price.price_at - timedelta(microseconds=1))
    return price.session_date == end.astimezone(ZoneInfo(clock)).date()


def _within(price: PriceContext) -> str:
    """ "in the session of 16 November 2026"; without sessions "on" that day."""
    day = words.day(price.session_date) if price.session_date else ""
    return f"in the session of {day}" if price.session else f"on {day}"


def is_fresh(price_at: datetime, at: datetime) -> bool:
    """Young enough to say where the price stands."""
    return at - price_at <= _FRESH


def _since(price: PriceContext) -> str:
    """Its moves since the week, the month and the year began: "up 8.5 % this week, 5 % this month and 13.5 % this year"."""
    spans = ((price.week_change, "week"), (price.month_change, "month"), (price.year_change, "year"))
    told: list[str] = []
    before = ""
    for change, name in spans:
        if change is not None:
            direction, _, size = words.up_or_down(change).partition(" ")
            told.append(f"{size if direction == before and size else f'{direction} {size}'.rstrip()} this {name}")
            before = direction
    return words.listed(told) if told else ""


def _below(price: PriceContext) -> str | None:
    """How far below its high, with the high, its day, and since when prices are known."""
    if price.below_high is None or price.high is None:
        return None
    far = "at its high" if price.below_high <= 0 else f"{words.share(price.below_high, 1)} below its high"
    known = [words.day(price.high_date)] if price.high_date else []
    known += [f"prices since {words.day(price.first_date)}"] if price.first_date else []
    behind = f" ({'; '.join(known)})" if known else ""
    return f"{far} of {words.money(price.high)}{behind}"


def price_told(facts: BriefFacts, at: datetime) -> list[str]:
    """The last price with its session, what the session before did, and the way since the high."""
    price, thing = facts.price, _thing(facts)
    if price is None:
        return []
    if not is_fresh(price.price_at, at):
        when = words.local_day(price.price_at, facts.zone)
        return [f"The last price known, {words.money(price.price)}, is of {when}: too old to say where it stands."]
    amount = words.money(price.price)
    if _closed(price, facts.zone) and price.session_date:
        told = f"{thing} closed at {amount} on {words.day(price.session_date)}"
        after = f", after {words.move_words(price.session_change)}" if price.session_change is not None else ""
    else:
        told = f"{thing} stood at {amount}{_SESSIONS.get(price.session or '', '')} ({words.utc(price.price_at)}){_change(price)}"
        after = _session(price)
    return ["; ".join(part for part in (f"{words.sentence(told)}{after}", _since(price), _below(price)) if part) + "."]


def _change(price: PriceContext) -> str:
    """ ", down 1.4 % from the close of 16 November 2026 (85.29)"."""
    if price.change is None:
        return ""
    day = f" of {words.day(price.previous_close_date)}" if price.previous_close_date else ""
    amount = f" ({words.money(price.previous_close)})" if price.previous_close is not None else ""
    return f", {words.up_or_down(price.change)} from the close{day}{amount}"


def _session(price: PriceContext) -> str:
    """ ", after a 10 % surge in the session of 16 November 2026"."""
    if price.session_change is None or price.session_date is None:
        return ""
    return f", after {words.move_words(price.session_change)} {_within(price)}"


def price_clause(facts: BriefFacts, at: datetime) -> str | None:
    """The same in a few words: "the stock is down 1.4 % pre-market after a 10 % surge, up 13.5 % this year and …"."""
    price = facts.price
    if price is None or not is_fresh(price.price_at, at):
        return None
    parts = [f"{words.up_or_down(price.year_change)} this year"] if price.year_change is not None else []
    if price.below_high is not None:
        low = price.below_high > 0
        parts.append(f"{words.share(price.below_high, 1)} below its high" if low else "at its high")
    return f"{_thing(facts)} {_stands(price, facts.zone, at)}{f', {words.listed(parts)}' if parts else ''}"


def _stands(price: PriceContext, zone: str, at: datetime) -> str:
    """ "is down 1.4 % pre-market (at 84.10) after a 10 % surge", "closed at 85.29 on 16 November 2026 after …"."""
    amount = words.money(price.price)
    after = f" after {words.move_words(price.session_change)}" if price.session_change is not None else ""
    if _closed(price, zone) and price.session_date:
        return f"closed at {amount} on {words.day(price.session_date)}{after}"
    old = at - price.price_at > DAY
    verb, when = ("was", f" on {words.local_day(price.price_at, zone)}") if old else ("is", "")
    session = _SESSIONS.get(price.session or "", "")
    if price.change is None:
        return f"{verb} at {amount}{session}{when}{after}"
    base = f" from the close of {words.day(price.previous_close_date)}" if price.previous_close_date else ""
    return f"{verb} {words.up_or_down(price.change)}{session or base}{when} (at {amount}){after}"


# ------------------------------------------------------------------------------------------------ others


def _few(member: GroupMember) -> str:
    return f" ({words.count(member.opinions, 'opinion')})" if member.opinions is not None else ""


def _label(member: GroupMember) -> str:
    shown = f"'{member.sentiment_label}'" if member.sentiment_label else "no label"
    return f"{shown}{_few(member)}"


def _volume(member: GroupMember) -> str | None:
    if member.messages is None:
        return None
    change = "" if member.volume_change is None else f" ({words.signed(member.volume_change)} on the day before)"
    return f"{words.count(member.messages, 'message')}{change}"


def _move(member: GroupMember, at: datetime) -> str | None:
    """Its last whole session, unless that was long ago."""
    if member.session_change is None or member.session_date is None or not member.price_at:
        return None
    if not is_fresh(member.price_at, at):
        return None
    return f"price {words.signed(member.session_change, 1)} on {words.day(member.session_date)}"


def _member(member: GroupMember, facts: BriefFacts, at: datetime) -> str:
    who = f"{words.clean(member.symbol)}{' (this one)' if member.symbol == facts.symbol else ''}"
    if member.at is None:
        known = ["without a reading in the day before", _move(member, at)]
    else:
        known = [_label(member), _volume(member), _move(member, at)]
    return f"{who} {', '.join(part for part in known if part)}"


def peers_told(facts: BriefFacts, at: datetime) -> list[str]:
    """The members of the group side by side."""
    if not facts.peers:
        return []
    members = "; ".join(_member(member, facts, at) for member in facts.peers)
    return [f"Side by side in {words.clean(facts.group or '')}, over 24 hours: {members}."]


def peers_clause(facts: BriefFacts) -> str | None:
    """The labels of the others in a few words, with their opinions."""
    others = [member for member in facts.peers if member.symbol != facts.symbol]
    told = [f"{words.clean(one.symbol)} was {_label(one)}" for one in others if one.at and one.sentiment_label]
    few = [f"{words.clean(one.symbol)}{_few(one)}" for one in others if one.at and not one.sentiment_label]
    silent = [words.clean(one.symbol) for one in others if not one.at]
    told += [f"{words.listed(few)} can't be told"] if few else []
    told += [f"{words.listed(silent)} had no reading"] if silent else []
    return f"beside it in {words.clean(facts.group or '')}, {words.listed(told)}" if told else None


PEER_HEAD: Final = ("symbol", "label", "opinions", "messages", "change", "price", "session")


def peer_row(member: GroupMember, facts: BriefFacts, at: datetime) -> tuple[str, ...]:
    """One member as text in the order of ``PEER_HEAD``."""
    who = f"{words.clean(member.symbol)}{' (this one)' if member.symbol == facts.symbol else ''}"
    numbers = ["–" if number is None else f"{number:,}" for number in (member.opinions, member.messages)]
    change = "–" if member.volume_change is None else words.signed(member.volume_change)
    price, session = "–", "–"
    if member.price is not None and member.price_at is not None and is_fresh(member.price_at, at):
        price = words.money(member.price)
        session = "–" if member.session_change is None else words.signed(member.session_change, 1)
    return (who, member.sentiment_label or "–", *numbers, change, price, session)
