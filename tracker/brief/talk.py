"""What people say: the polls that they vote in, the words that mark the day, what they pass on, what the news is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Final, Literal

from tracker.brief import words
from tracker.brief.facts import DAY, BriefFacts, Talk
from tracker.brief.mood import span_words
from tracker.rows import BallotOption, Driver

Poll = Sequence[BallotOption]  # the options of one poll, in their order

_OPTION: Final = 80  # characters of an answer that are quoted
_FEW: Final = 3  # words that the short form names


# ------------------------------------------------------------------------------------------------ polls


def biggest_poll(facts: BriefFacts) -> tuple[Poll | None, int]:
    """The poll with most voters, the newest of equals, and how many more there were."""
    grouped = groupby(facts.ballots, key=lambda option: (option.source, option.message_id))
    found = [list(options) for _, options in grouped]
    return (max(found, key=_size), len(found) - 1) if found else (None, 0)


def _size(poll: Poll) -> int:
    """How many voted, as far as it is known."""
    voters = [option.voters for option in poll if option.voters is not None]
    return max(voters) if voters else _votes(poll) or 0


def _votes(poll: Poll) -> int | None:
    votes = [option.votes for option in poll if option.votes is not None]
    return sum(votes) if len(votes) == len(poll) else None


def _sample(poll: Poll) -> str | None:
    """What a share is a share of: "1,234 voters", "1,500 votes by 1,234 voters"; None where that is hidden."""
    votes = _votes(poll)
    if not any(option.voters is not None for option in poll):
        return None if votes is None else words.count(votes, "vote")
    voters = _size(poll)
    people = words.count(voters, "voter")
    return people if votes is None or votes == voters else f"{words.count(votes, 'vote')} by {people}"


def _leaders(poll: Poll) -> tuple[list[BallotOption], bool]:
    """The options with most votes, and whether their shares are known (else their votes are); none while nobody voted."""
    shares = [option.share for option in poll if option.share is not None]
    if len(shares) == len(poll) and max(shares) > 0:
        return [option for option in poll if option.share == max(shares)], True
    votes = [option.votes for option in poll if option.votes is not None]
    if len(votes) == len(poll) and max(votes) > 0:
        return [option for option in poll if option.votes == max(votes)], False
    return [], False


def _named(option: BallotOption) -> str:
    return words.quoted(option.option, _OPTION) or f"option {option.position}"


def _portion(poll: Poll, leader: BallotOption, by_share: bool) -> str:
    """ "70 % of 1,234 voters", "12 of 20 votes"."""
    sample = _sample(poll)
    if by_share and leader.share is not None:
        return f"{words.share(leader.share)}{f' of {sample}' if sample else ' (of how many is not known)'}"
    return f"{leader.votes:,} of {words.count(_votes(poll) or 0, 'vote')}"


def _question(poll: Poll) -> str | None:
    return words.quoted(poll[0].question) if poll[0].question else None


def _seen_at(poll: Poll) -> datetime:
    return max(option.seen_at for option in poll)


def _standing(poll: Poll, at: datetime) -> Literal["open", "unfinished", "closed"]:
    """Whether votes still come in; unfinished: it has closed, but its result was last seen before that."""
    closes_at = poll[0].closes_at
    if closes_at is None or closes_at > at:
        return "open"
    return "closed" if _seen_at(poll) >= closes_at else "unfinished"


def polls(facts: BriefFacts, at: datetime) -> list[str]:
    """The result of the biggest poll of the week."""
    poll, more = biggest_poll(facts)
    if poll is None:
        return []
    closes_at, standing, question = poll[0].closes_at, _standing(poll, at), _question(poll)
    asked = f" {'asks' if standing == 'open' else 'asked'} {question}" if question else ""
    until = (
        f"{'open until' if standing == 'open' else 'closed'} {words.utc(closes_at)}" if closes_at else "end not known"
    )
    told = [f"A poll on {words.clean(poll[0].source)}{asked} ({until}): {_result(poll, standing)}."]
    if more:
        told.append(
            f"There {'was' if more == 1 else 'were'} {words.count(more, 'more poll')} in the past week, none with more voters."
        )
    return told


_LEADS: Final = {"open": "leads with", "unfinished": "led with", "closed": "won with"}


def _result(poll: Poll, standing: Literal["open", "unfinished", "closed"]) -> str:
    leaders, by_share = _leaders(poll)
    still = {"open": " so far", "unfinished": f" when last seen ({words.utc(_seen_at(poll))})", "closed": ""}[standing]
    if not leaders:
        shown = any(option.votes is not None or option.share is not None for option in poll)
        return f"nobody had voted{still}" if shown else "no result is shown"
    names, portion = words.listed([_named(option) for option in leaders]), _portion(poll, leaders[0], by_share)
    if len(leaders) > 1:
        return f"{names} {'are' if standing == 'open' else 'were'} level with {portion} each{still}"
    return f"{names} {_LEADS[standing]} {portion}{still}"


def poll_clause(facts: BriefFacts, at: datetime) -> str | None:
    """The result in a few words: "70 % of 1,234 voters in a poll chose …"; None without a single leader."""
    poll, _ = biggest_poll(facts)
    leaders, by_share = _leaders(poll) if poll else ([], False)
    if poll is None or len(leaders) != 1:
        return None
    question = _question(poll)
    still = {"open": " so far", "unfinished": ", when last seen", "closed": ""}[_standing(poll, at)]
    about = f" on {question}" if question else ""
    return f"{_portion(poll, leaders[0], by_share)} in a poll{about} chose {_named(leaders[0])}{still}"


# ------------------------------------------------------------------------------------------------ words


def _when(talk: Talk, at: datetime) -> str:
    """The span in words."""
    if not talk.spike:
        return span_words("24h", talk.until_at, at)
    if talk.until_at - talk.from_at == DAY:
        return f"the spike of {talk.from_at:%A %Y-%m-%d} (UTC day)"
    return f"the spike from {words.utc(talk.from_at)} to {words.utc(talk.until_at)}"


def _terms(drivers: Sequence[Driver]) -> str:
    """ "“cloud” (in 312 of 1,180 organic messages), “chips” (in 188)"."""
    told: list[str] = []
    for driver in drivers:
        term = words.quoted(driver.term, _OPTION)
        if term is not None:
            everything = words.count(round(driver.messages / driver.share), "organic message") if driver.share else None
            sample = f" of {everything}" if everything and not told else ""
            told.append(f"{term} (in {driver.messages:,}{sample})")
    return words.listed(told) if told else ""


def said(facts: BriefFacts, at: datetime) -> list[str]:
    """Words that set the span apart, and the message that was passed on most in it."""
    talk = facts.talk
    if talk is None:
        return []
    when, terms, told = _when(talk, at), _terms(talk.drivers), []
    if terms:
        told.append(f"What sets {when} apart from the days before: {terms}.")
    shared, text = talk.shared, words.quoted(talk.shared.text) if talk.shared and talk.shared.text else None
    if shared is not None:
        likes = f" and {words.count(shared.likes, 'like')}" if shared.likes else ""
        passed_on = f"{words.count(shared.reshares, 'reshare')}{likes} on {words.clean(shared.source)}"
        span = "" if terms else f" in {when}"
        # its words may be past their time, or are not to be shown
        told.append(
            f"Passed on most{span} ({passed_on}): {text}."
            if text
            else f"The message passed on most{span} had {passed_on}."
        )
    return told


def unquoted(facts: BriefFacts) -> BriefFacts:
    """The same without anybody's words: for places where posts may not be shown again."""
    if facts.talk is None or facts.talk.shared is None:
        return facts
    return replace(facts, talk=replace(facts.talk, shared=replace(facts.talk.shared, text=None)))


def words_clause(facts: BriefFacts, at: datetime) -> str | None:
    """The first of the words, in a few words."""
    terms = _terms(facts.talk.drivers[:_FEW]) if facts.talk else ""
    return f"what sets {_when(facts.talk, at)} apart is {terms}" if facts.talk and terms else None


def headlines(facts: BriefFacts) -> list[str]:
    """The newest headlines with who published them."""
    told = [
        f"{title} ({words.clean(headline.publisher or headline.source)}, {words.utc(headline.created_at)})"
        for headline in facts.headlines
        if (title := words.quoted(headline.title))
    ]
    return [f"News of the past three days, newest first: {'; '.join(told)}."] if told else []
