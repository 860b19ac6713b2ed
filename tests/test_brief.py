"""The brief's wording against golden files, part by part, and its forms.

After a change of words: ``TRACKER_REWRITE=1 pytest tests/test_brief.py``, and read the difference. Verbs and numbers are
tested in ``test_brief_words.py``, what is read from a database in ``test_brief_facts.py``, what holds for any facts in
``test_brief_laws.py``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from briefs import (
    AT,
    CASES,
    DAY,
    HOUR,
    ballot,
    closed_poll,
    coin,
    copied_only,
    episode,
    first_time,
    nothing,
    peer,
    price,
    reading,
    rich,
    silent_peer,
    sparse,
    stale_price,
    talk,
    week,
)  # fmt: skip
from builders import utc

from tracker.brief import (
    BriefFacts,
    Form,
    lead_sentence,
    newsroom_paragraph,
    unquoted,
    write,
    write_all,
)
from tracker.rows import Coverage, LabelVisit

GOLDEN = Path(__file__).parent / "golden"
FORMS: tuple[Form, ...] = ("text", "md", "html", "json")
BAD_OPTION = "<script>alert(1)</script> | [x](javascript:alert(1)) `y` *z*"


def several() -> list[BriefFacts]:
    return [rich(), sparse(), nothing()]


WORDINGS: dict[str, Callable[[], str]] = {
    f"{name}.txt": lambda make=make: write(make()) for name, make in CASES.items()
}  # type: ignore[misc]
WORDINGS |= {
    f"newsroom.{name}.txt": lambda make=make: newsroom_paragraph(make()) + "\n" for name, make in CASES.items()
}  # type: ignore[misc]
WORDINGS |= {
    "rich.md": lambda: write(rich(), "md"),
    "sparse.md": lambda: write(sparse(), "md"),
    "rich.html": lambda: write(rich(), "html"),
    "many.md": lambda: write_all(several(), "md"),
    "many.html": lambda: write_all(several(), "html"),
    "many.json": lambda: write_all(several(), "json"),
    "many.newsroom.txt": lambda: write_all(several(), "text", style="newsroom"),
}


@pytest.mark.parametrize("name", WORDINGS)
def test_the_wording_is_the_one_on_file(name: str) -> None:
    written, file = WORDINGS[name](), GOLDEN / f"brief.{name}"
    if os.environ.get("TRACKER_REWRITE"):
        file.write_text(written, encoding="utf-8")
    assert written == file.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.glob("brief.*")} == {f"brief.{name}" for name in WORDINGS}


# ------------------------------------------------------------------------------------------------ label and volume


def test_a_reader_elsewhere_gets_the_day_of_their_own_zone() -> None:
    assert "as of Tuesday evening" in write(rich(), zone="Asia/Shanghai")


def test_one_label_all_month_is_told_as_such() -> None:
    facts = replace(rich(), labels=(LabelVisit("extremely bullish", 40, AT - 9 * DAY, AT),))
    assert "and has been 'extremely bullish' in every reading this month (40 readings), while" in write(facts)


def test_a_label_of_days_ago_is_called_the_last_one_and_has_its_date_in_every_style() -> None:
    facts = replace(rich(), labelled=reading(at=AT - 3 * DAY))
    for text in (write(facts), newsroom_paragraph(facts)):
        assert "was last 'extremely bullish' as of early Saturday (2026-11-14 11:00 UTC, " in text
        assert "more than a day old)" in text


def test_the_first_time_is_told_only_while_it_is_news() -> None:
    held = first_time().span
    assert held is not None
    long_held = replace(held, entered_at=AT - timedelta(days=8))
    lately = replace(held, last_held_until=held.entered_at - timedelta(days=6))
    never = replace(held, last_held_until=None)
    only = replace(never, previous_label=None)
    assert "for the first time since 12 August 2026" in write(first_time())
    assert "first time" not in write(replace(first_time(), span=long_held))
    assert "first time" not in write(replace(first_time(), span=lately))
    assert "for the first time in our data, which begin on 4 January 2026" in write(replace(first_time(), span=never))
    assert "first time" not in write(replace(first_time(), span=only))


def test_a_symbol_that_nobody_has_named_since_is_told_as_silent() -> None:
    text = write(replace(rich(), day=reading(at=AT - 2 * DAY)))
    assert "in the 24 hours to 2026-11-15 11:00 UTC" in text
    assert "No stored message names it in the 24 hours to 2026-11-17 11:00 UTC." in text


def test_a_week_before_that_was_hardly_heard_makes_the_comparison_uncertain() -> None:
    assert "Of the week before only 62 % was heard, so that the weekly comparison is uncertain." in write(rich())
    heard = replace(rich(), coverage=Coverage(3, 0.98, 0.95, 0, 0.0))
    assert "uncertain" not in write(heard)


def test_old_readings_only_are_told_with_the_time_of_the_newest() -> None:
    facts = replace(nothing(), mentioned=True, last_reading_at=AT - 30 * DAY)
    assert write(facts) == (
        "There is no reading of ZZZZ from the past week as of early Tuesday (2026-11-17 11:00 UTC); "
        "the newest one is of 2026-10-18 11:00 UTC.\n"
    )


def test_what_else_is_known_is_told_of_a_symbol_without_readings() -> None:
    facts = replace(nothing(), price=price(symbol="ZZZZ"), kind="stock")
    assert "The stock stood at 84.10 pre-market" in write(facts)
    assert "no stored message names it; the stock is down 1.4 % pre-market" in newsroom_paragraph(facts)


def test_copies_are_said_to_be_copies() -> None:
    assert "Of its 61 messages 60 repeat what had been said before." in write(copied_only())
    assert "There was no spike of organic talk" in write(copied_only())
    assert "60 of 61 messages in the past 24 hours were copies" in newsroom_paragraph(copied_only())
    assert "repeat" not in write(rich())


def test_an_alert_says_label_and_volume_and_nothing_else() -> None:
    assert lead_sentence(rich()) == write(rich()).split(" Message volume was")[0]
    assert lead_sentence(nothing()) == write(nothing()).strip()
    assert lead_sentence(sparse()).startswith("Retail sentiment on TINY can't be told")
    assert lead_sentence(rich(), "Asia/Shanghai").startswith(
        "Retail sentiment on BABA was 'extremely bullish' as of Tuesday evening"
    )


# ------------------------------------------------------------------------------------------------ polls and talk


def poll_told(facts: BriefFacts) -> str:
    return next(part for part in write(facts).split("\n\n") if part.startswith("A poll"))


def test_a_poll_is_told_with_its_question_its_state_and_who_voted() -> None:
    open_one = replace(first_time(), ballots=ballot("Up?", ("Yes", 3), ("No", 1)))
    assert poll_told(open_one) == (
        "A poll on stocktwits asks “Up?” (open until 2026-11-18 11:00 UTC): “Yes” leads with 75 % of 4 voters so far."
    )
    done = replace(open_one, ballots=ballot("Up?", ("Yes", 3), ("No", 1), closes_at=AT - DAY))
    assert poll_told(done).endswith("asked “Up?” (closed 2026-11-16 11:00 UTC): “Yes” won with 75 % of 4 voters.")
    unseen = replace(open_one, ballots=ballot("Up?", ("Yes", 3), ("No", 1), closes_at=AT - HOUR, seen_at=AT - DAY))
    assert poll_told(unseen).endswith("“Yes” led with 75 % of 4 voters when last seen (2026-11-16 11:00 UTC).")
    assert newsroom_paragraph(open_one).count("75 % of 4 voters in a poll on “Up?” chose “Yes” so far") == 1


def test_what_a_poll_hides_is_not_made_up() -> None:
    hidden = replace(first_time(), ballots=ballot("Up?", ("Yes", None), ("No", None), closes_at=None))
    assert poll_told(hidden) == "A poll on stocktwits asks “Up?” (end not known): no result is shown."
    assert "poll" not in newsroom_paragraph(hidden)
    unvoted = replace(first_time(), ballots=ballot(None, ("Yes", 0), ("No", 0)))
    assert poll_told(unvoted).endswith("nobody had voted so far.")
    shares = replace(first_time(), ballots=tuple(replace(one, votes=None, voters=None) for one in rich().ballots[2:]))
    assert "leads with 70 % (of how many is not known) so far" in poll_told(shares)
    counts = replace(first_time(), ballots=tuple(replace(one, share=None, voters=None) for one in rich().ballots[2:]))
    assert "leads with 861 of 1,230 votes so far" in poll_told(counts)


def test_the_poll_with_most_voters_is_told_and_the_others_counted() -> None:
    many = replace(rich(), ballots=(*rich().ballots, *ballot("Third?", ("a", 1), message_id="poll-3")))
    assert "“Will the momentum go on?”" in poll_told(many)
    assert "There were 2 more polls in the past week, none with more voters." in poll_told(many)
    assert "level with 46 %" in write(closed_poll())
    assert "in a poll" not in newsroom_paragraph(closed_poll()), "nobody leads"


def test_words_of_a_spike_are_told_as_of_that_spike() -> None:
    start = utc("2026-11-14T14:00")
    of_spike = replace(first_time(), talk=talk(from_at=start, until_at=start + 2 * HOUR, spike=True))
    assert "What sets the spike from 2026-11-14 14:00 UTC to 2026-11-14 16:00 UTC apart" in write(of_spike)
    of_day = replace(first_time(), talk=talk(from_at=start, until_at=start + DAY, spike=True, shared=None))
    assert "apart from the days before: “cloud” (in 312 of 1,180 organic messages)" in write(of_day)
    only_shared = replace(first_time(), talk=talk(drivers=()))
    assert "Passed on most in the past 24 hours (34 reshares and 120 likes on bluesky): “" in write(only_shared)


def test_nobodys_words_are_shown_where_they_must_not_be() -> None:
    facts = replace(first_time(), talk=talk())
    assert facts.talk is not None
    assert facts.talk.shared is not None
    assert "cloud revenue up" in write(facts)
    for form in FORMS:
        assert "revenue" not in write(unquoted(facts), form)
    assert "The message passed on most had 34 reshares and 120 likes on bluesky." in write(unquoted(facts))
    silent = replace(facts, talk=None)
    assert unquoted(silent) is silent


def test_who_wrote_it_is_never_said() -> None:
    assert not re.search("ann|bob", write(rich()) + write(rich(), "md") + write(rich(), "html"))


# ------------------------------------------------------------------------------------------------ price and peers


def priced(**changes: object) -> str:
    facts = replace(nothing(), kind="stock", price=price(**changes))
    return write(facts).split("\n\n")[1]


def test_a_price_is_told_with_its_session() -> None:
    moves = {"week_change": None, "month_change": None, "year_change": None, "below_high": None}
    assert priced(**moves) == (
        "The stock stood at 84.10 pre-market (2026-11-17 10:55 UTC), down 1.4 % from the close of 16 November 2026 (85.29), "
        "after a 10 % surge in the session of 16 November 2026.\n"
    )
    assert "84.10 after hours (" in priced(session="post")
    assert "stood at 84.10 (2026-11-17 10:55 UTC), down" in priced(session="regular", session_date=date(2026, 11, 16))
    closed = priced(session="regular", price_at=utc("2026-11-16T21:00"), **moves)
    assert closed == "The stock closed at 84.10 on 16 November 2026, after a 10 % surge.\n"
    daily = priced(session=None, price_at=utc("2026-11-17T00:00"), **moves)
    assert daily == closed, "a daily bar without a session is known at the end of its day"


def test_what_never_closes_has_days_of_utc() -> None:
    """At 03:00 UTC it is still Monday in New York, but Monday's close was three hours ago."""
    night = priced(session=None, price_at=utc("2026-11-17T03:00"))
    assert night.startswith("The stock stood at 84.10 (2026-11-17 03:00 UTC), down 1.4 % from the close of 16 November")
    assert ", after a 10 % surge on 16 November 2026;" in night


def test_the_direction_is_named_once_while_it_holds() -> None:
    assert "; down 1 % this week, up 2 % this month and 3 % this year;" in priced(
        week_change=-0.01, month_change=0.02, year_change=0.03
    )
    assert "; unchanged this week, up 2 % this month and unchanged this year;" in priced(
        week_change=0.0, month_change=0.02, year_change=0.0
    )


def test_a_price_of_another_day_is_said_to_be_one() -> None:
    old = replace(nothing(), price=price(price_at=AT - 3 * DAY))
    assert "the price was down 1.4 % pre-market on 14 November 2026 (at 84.10)" in newsroom_paragraph(old)
    assert "84.10" not in newsroom_paragraph(stale_price())
    assert "is of 10 November 2026: too old to say where it stands." in write(stale_price())
    assert "1.4 %" not in write(stale_price())


def test_at_its_high_is_said_only_there() -> None:
    assert "and at its high" in newsroom_paragraph(coin())
    near = replace(nothing(), price=price(below_high=0.0001))
    assert "0.01 % below its high" in newsroom_paragraph(near)


def test_peers_without_readings_are_named_and_the_symbol_is_marked() -> None:
    text = write(rich())
    assert "BABA (this one) 'extremely bullish' (758 opinions), 1,310 messages (+173 % on the day before)" in text
    assert "PDD without a reading in the day before." in text
    assert "JD no label (2 opinions), 9 messages, price -0.4 %" in text
    alone = replace(rich(), peers=(peer("BABA"),))
    assert "beside it" not in newsroom_paragraph(alone).lower()
    assert "PDD had no reading" in newsroom_paragraph(replace(rich(), peers=(silent_peer("PDD"),)))
    stale = replace(rich(), peers=(peer("BIDU", price_at=AT - 6 * DAY),))
    assert "price" not in write(stale).split("Side by side")[1].split("\n")[0]


# ------------------------------------------------------------------------------------------------ spikes, ground


def test_an_episode_of_several_buckets_is_told_from_its_start_to_its_end() -> None:
    days = episode(end_at=utc("2026-11-19T00:00"), buckets=2)
    assert (
        "1,290 messages from Monday 2026-11-16 to Wednesday 2026-11-18 (2 UTC days of it a spike, up to 861 authors in one, extreme, 208 expected)"
        in write(replace(first_time(), episodes=(days,)))
    )
    two = replace(first_time(), episodes=(episode(), episode()))
    assert "(UTC day, extreme, 208 expected) and once more" in newsroom_paragraph(two)


def test_defaults_in_use_are_named() -> None:
    young = replace(rich(), labelled=reading(baseline="default"))
    assert "the score goes by default values." in write(young)
    assert "the score goes by default values." in newsroom_paragraph(young)
    assert "default" not in write(rich())
    pooled = replace(rich(), day=reading(volume_baseline="pooled"))
    assert "going by the pace of other symbols" in write(pooled)


def test_no_number_stands_without_its_sample() -> None:
    for make in CASES.values():
        for sentence in re.split(r"(?<=\.) (?=[A-Z])|\n\n", write(make())):
            if "ratio was" in sentence or "score" in sentence or "has soared" in sentence:
                assert re.search(r"\d (organic )?messages?|opinions? in|default", sentence), sentence
            if sentence.startswith("A poll"):
                assert re.search(r"\d (voters|votes)", sentence), sentence


# ------------------------------------------------------------------------------------------------ forms


def test_strangers_words_are_escaped_in_every_form() -> None:
    bad = replace(
        nothing(),
        symbol="<B>&CO",
        ballots=ballot(BAD_OPTION, (BAD_OPTION, 3), ("b", 1), url="javascript:alert(1)"),
    )
    page = write_all([bad, bad], "html")
    assert "<script" not in page
    assert "&lt;B&gt;&amp;CO" in page
    assert "javascript:alert(1)" not in re.findall('href="([^"]*)"', page)
    text = write(bad, "md")
    assert re.findall(r"(?<!\\)[<>|\[\]`*]", text) == []


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//example.test/x", "ftp://example.test", "http://", "https://[", "", None]
)
def test_only_addresses_of_the_web_become_links(url: str | None) -> None:
    facts = replace(nothing(), ballots=ballot("Up?", ("Yes", 1), url=url))
    assert "<a " not in write(facts, "html")
    assert "](" not in write(facts, "md")


def test_json_has_every_fact_and_says_null_for_the_unknown() -> None:
    told = json.loads(write(sparse(), "json"))
    assert set(told) == {field.name for field in fields(BriefFacts)} | {"text"}
    assert told["labelled"] is None
    assert told["day"]["expected"] is None
    assert told["at"] == "2026-11-17T11:00:00Z"
    full = json.loads(write(rich(), "json"))
    assert full["episodes"][0]["bucket_width"] == 86400
    assert full["price"]["session_date"] == "2026-11-16"
    assert full["text"] == write(rich()).strip().split("\n\n")
    assert json.loads(write(rich(), "json", style="newsroom"))["text"] == [newsroom_paragraph(rich())]


def test_several_symbols_are_one_answer() -> None:
    facts = several()
    assert [one["symbol"] for one in json.loads(write_all(facts, "json"))] == ["BABA", "TINY", "ZZZZ"]
    assert write_all(facts, "html").count('<article class="brief">') == 3
    assert write_all(facts, "html").startswith('<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">')
    assert re.findall("^## (.*)$", write_all(facts, "md"), re.MULTILINE) == ["BABA", "TINY", "ZZZZ"]
    assert write_all(facts) == "\n".join(write(one) for one in facts)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_every_form_ends_in_one_line_break(name: str, form: Form) -> None:
    for written in (write(CASES[name](), form), write_all([CASES[name](), sparse()], form, style="newsroom")):
        assert written.endswith("\n")
        assert not written.endswith("\n\n")


def test_a_week_without_enough_before_it_is_not_compared() -> None:
    facts = replace(first_time(), week=week(messages=9, previous_messages=3, volume_change=None))
    assert (
        "For message volume there is no comparison: fewer than 10 messages the week before (9 messages in the past week against 3)."
        in write(facts)
    )
    assert "; for message volume there is no comparison" in newsroom_paragraph(facts)
