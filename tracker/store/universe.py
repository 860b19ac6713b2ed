"""The universe in the file: symbols, the lists that they come from, and how the stream itself writes their letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tracker.store.columns import stage
from tracker.store.connect import Connection, aware_utc, naive_utc, transaction
from tracker.universe_merge import Row

PRIOR_DAYS = 90  # how far the sums look back
PRIORS_KEPT = 31  # versions of them in the file; older ones can be made again from symbol_forms
LEAST_AUTHORS = 2  # an unknown symbol is kept as unverified once so many people have written it with a dollar sign

SYMBOL = {
    "symbol": "VARCHAR", "name": "VARCHAR", "exchange": "VARCHAR", "kind": "VARCHAR", "valid_from": "TIMESTAMP",
    "valid_to": "TIMESTAMP", "status": "VARCHAR", "issuer": "VARCHAR", "market_cap": "DOUBLE", "renamed_to": "VARCHAR",
    "aliases": "VARCHAR", "lists": "VARCHAR",
}  # fmt: skip
_SEPARATOR = "\x1f"  # lists cross the border as one text: columns of lists would have to be of one length

Forms = tuple[int, int, int]  # messages with the dollar sign, in capitals, in ordinary case


@dataclass(frozen=True, slots=True)
class ListState:
    """Where one list stands."""

    name: str
    checked_at: datetime  # last asked for
    fetched_at: datetime | None = None  # last good one
    next_at: datetime | None = None  # not asked for before
    rows: int | None = None  # symbols in the last good one
    made_at: datetime | None = None  # by its publisher
    etag: str | None = None
    last_modified: str | None = None
    address: str | None = None  # where the last good one came from
    error: str | None = None  # why the newest attempt was refused

    @property
    def validators(self) -> dict[str, str]:
        """What makes the next request conditional."""
        return {key: value for key, value in (("etag", self.etag), ("last_modified", self.last_modified)) if value}


# ----------------------------------------------------------------------------------------------- symbols and lists


def load_rows(connection: Connection) -> list[Row]:
    """Every security that is known, retired and unverified ones among them."""
    found = connection.execute(
        """SELECT symbol, name, exchange, kind, coalesce(aliases, []), valid_from, valid_to, status, coalesce(lists, []), issuer,
                  market_cap, renamed_to FROM symbols ORDER BY ALL"""
    ).fetchall()
    return [
        Row(symbol, name, exchange, kind, tuple(aliases), aware_utc(since), aware_utc(until), status, tuple(lists), issuer, cap, new)
        for symbol, name, exchange, kind, aliases, since, until, status, lists, issuer, cap, new in found
    ]  # fmt: skip


def load_lists(connection: Connection) -> dict[str, ListState]:
    found = connection.execute(
        """SELECT name, checked_at, fetched_at, next_at, "rows", made_at, etag, last_modified, address, error
           FROM symbol_lists ORDER BY name"""
    ).fetchall()
    states = {}
    for name, checked, fetched, following, rows, made, etag, modified, address, error in found:
        at = aware_utc(checked)
        assert at is not None
        states[name] = ListState(name, at, aware_utc(fetched), aware_utc(following), rows, aware_utc(made), etag, modified, address, error)  # fmt: skip
    return states


def save_universe(connection: Connection, rows: Sequence[Row] | None, lists: Iterable[ListState]) -> None:
    """Put the rows in place of those that are stored (None: leave them) and note the lists, in one transaction."""
    with transaction(connection):
        if rows is not None:
            replace_symbols(connection, rows)
        for state in lists:
            connection.execute(
                """INSERT OR REPLACE INTO symbol_lists (name, checked_at, fetched_at, next_at, "rows", made_at, etag, last_modified,
                   address, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                [
                    state.name, naive_utc(state.checked_at), naive_utc(state.fetched_at), naive_utc(state.next_at), state.rows,
                    naive_utc(state.made_at), state.etag, state.last_modified, state.address, state.error,
                ],
            )  # fmt: skip


def replace_symbols(connection: Connection, rows: Sequence[Row]) -> None:
    """Put all rows in place of those that are stored; the caller has a transaction open."""
    values = [
        (
            row.symbol, row.name, row.exchange, row.kind, row.valid_from, row.valid_to, row.status, row.issuer, row.market_cap,
            row.renamed_to, _SEPARATOR.join(row.aliases), _SEPARATOR.join(row.lists),
        )
        for row in rows
    ]  # fmt: skip
    stage(connection, "staged_symbols", SYMBOL, values)
    connection.execute("DELETE FROM symbols")
    connection.execute(
        """INSERT INTO symbols (symbol, name, exchange, kind, aliases, valid_from, valid_to, status, lists, issuer, market_cap, renamed_to)
           SELECT symbol, name, exchange, kind, CASE WHEN aliases = '' THEN [] ELSE string_split(aliases, chr(31)) END, valid_from,
                  valid_to, status, CASE WHEN lists = '' THEN [] ELSE string_split(lists, chr(31)) END, issuer, market_cap, renamed_to
           FROM staged_symbols"""
    )
    connection.execute("DROP TABLE staged_symbols")


def keep_unverified(connection: Connection, since: datetime, until: datetime) -> int:
    """Note symbols that people wrote with a dollar sign in [since, until) and that no list has; the number of new ones.

    They are kept for people to look at: a universe for the finder is made without them.
    """
    with transaction(connection):
        added = connection.execute(
            """INSERT INTO symbols (symbol, kind, aliases, status, lists)
               SELECT symbol, 'unknown', [], 'unverified', [] FROM mentions
               WHERE fetched_at >= $since AND fetched_at < $until AND match IN ('cashtag', 'platform')
                 AND symbol NOT IN (SELECT symbol FROM symbols)
               GROUP BY symbol HAVING count(DISTINCT author) >= $authors ORDER BY symbol""",
            {"since": naive_utc(since), "until": naive_utc(until), "authors": LEAST_AUTHORS},
        ).fetchone()
    return int(added[0]) if added else 0


# -------------------------------------------------------------------------------------------------- how it is written

# The words of each message once: addresses, names of people and tags are none. A run of letters keeps the sign before it.
# Whether all is shouted is asked once a message and not once a word, which takes fifty times as long.
_WORDS = """
    texts AS MATERIALIZED (
        SELECT source, id,
            list_distinct(regexp_extract_all(
                regexp_replace(text, '(https?://|www[.])[^\\s]+|[@#][\\w]+|\\b[ur]/[\\w]+', ' ', 'g'), '[$]?[A-Za-z][A-Za-z0-9]*')) AS words,
            length(regexp_replace(text, '[^A-Z]', '', 'g')) AS capitals, length(regexp_replace(text, '[^A-Za-z]', '', 'g')) AS letters
        FROM messages WHERE fetched_at >= $since AND fetched_at < $until AND text IS NOT NULL AND deleted_at IS NULL),
    words AS MATERIALIZED (
        SELECT source, id, unnest(words) AS word, letters > 20 AND capitals > 0.6 * letters AS is_shouted FROM texts)"""
# one row a message and symbol: which of the three forms it holds
_FORMS = f"""
    WITH {_WORDS},
    known AS (SELECT DISTINCT upper(split_part(symbol, '.', 1)) AS symbol FROM symbols
                WHERE status <> 'unverified' AND regexp_full_match(symbol, '[A-Z]{{1,6}}([.]X)?')),
    written AS (
        SELECT source, id, upper(ltrim(word, '$')) AS symbol, bool_or(starts_with(word, '$')) AS dollar,
               bool_or(NOT starts_with(word, '$') AND word = upper(word) AND NOT is_shouted) AS capitals,
               bool_or(NOT starts_with(word, '$') AND word <> upper(word)) AS ordinary
        FROM words WHERE length(word) <= 7 GROUP BY source, id, upper(ltrim(word, '$')))
    SELECT symbol, $day::DATE AS day, count(*) FILTER (dollar) AS with_dollar,
           count(*) FILTER (capitals) AS in_capitals,
           count(*) FILTER (ordinary) AS in_lower
    FROM written WHERE symbol IN (SELECT symbol FROM known) GROUP BY symbol
    HAVING with_dollar + in_capitals + in_lower > 0 ORDER BY symbol"""


def count_forms(connection: Connection, day: date) -> int:
    """Count how the messages of one UTC day write the letters of every symbol; the number of messages. Twice is once."""
    since, until = _span(day)
    moment = {"since": since, "until": until}
    with transaction(connection):
        row = connection.execute(
            "SELECT count(*) FROM messages WHERE fetched_at >= $since AND fetched_at < $until AND text IS NOT NULL AND deleted_at IS NULL", moment
        ).fetchone()  # fmt: skip
        messages = int(row[0]) if row else 0
        connection.execute("DELETE FROM symbol_forms WHERE day = ?", [day])
        connection.execute(f"INSERT INTO symbol_forms {_FORMS}", {**moment, "day": day})
        connection.execute("INSERT OR REPLACE INTO symbol_form_days VALUES (?, ?)", [day, messages])
    return messages


def _span(day: date) -> tuple[datetime, datetime]:
    since = datetime(day.year, day.month, day.day)  # noqa: DTZ001 (UTC as TIMESTAMP columns hold it)
    return since, since + timedelta(days=1)


def days_to_count(connection: Connection, today: date) -> list[date]:
    """Days before ``today`` with words in the file whose forms have not been counted, oldest first."""
    rows = connection.execute(
        """SELECT DISTINCT fetched_at::DATE AS day FROM messages WHERE fetched_at < ? AND text IS NOT NULL
           AND fetched_at::DATE NOT IN (SELECT day FROM symbol_form_days) ORDER BY day""",
        [_span(today)[0]],
    ).fetchall()
    return [day for (day,) in rows]


def compute_priors(connection: Connection, today: date) -> int:
    """The version of ``today``: the sums over the days before it; the number of symbols. The same days give the same sums."""
    with transaction(connection):
        connection.execute("DELETE FROM symbol_priors WHERE computed_on = ? OR computed_on <= ?", [today, today - timedelta(days=PRIORS_KEPT)])  # fmt: skip
        connection.execute(
            """INSERT INTO symbol_priors SELECT $today::DATE, symbol, sum(with_dollar), sum(in_capitals), sum(in_lower) FROM symbol_forms
               WHERE day < $today AND day >= $from_day GROUP BY symbol ORDER BY symbol""",
            {"today": today, "from_day": today - timedelta(days=PRIOR_DAYS)},
        )
        row = connection.execute("SELECT count(*) FROM symbol_priors WHERE computed_on = ?", [today]).fetchone()
    return int(row[0]) if row else 0


def priors_are_stale(connection: Connection, today: date) -> bool:
    """True when there are counted days and no version of ``today``."""
    row = connection.execute(
        "SELECT EXISTS (FROM symbol_forms) AND NOT EXISTS (FROM symbol_priors WHERE computed_on = ?)", [today]
    ).fetchone()
    return bool(row and row[0])


def load_priors(connection: Connection, at: date | None = None) -> tuple[date | None, dict[str, Forms]]:
    """The newest version (at or before ``at``) and its sums; (None, {}) when there is none."""
    row = connection.execute(
        "SELECT max(computed_on) FROM symbol_priors WHERE computed_on <= coalesce($at, DATE '9999-01-01')", {"at": at}
    ).fetchone()
    version: date | None = row[0] if row else None
    if version is None:
        return None, {}
    rows = connection.execute(
        "SELECT symbol, with_dollar, in_capitals, in_lower FROM symbol_priors WHERE computed_on = ?", [version]
    ).fetchall()
    return version, {symbol: (dollar, capitals, ordinary) for symbol, dollar, capitals, ordinary in rows}


# ------------------------------------------------------------------------------------------------- what people look at


@dataclass(frozen=True, slots=True)
class BareToken:
    """Capital letters that many messages of a day hold, for a person to say whether they are a symbol."""

    token: str
    messages: int  # of the day, with the letters in capitals and without the dollar sign
    with_dollar: int
    dollar_share: float  # of the messages that write them in either way, 0..1
    before: float  # messages a day in the four weeks before, in capitals; 0 for a token that is new
    known: bool  # a list has it
    samples: tuple[str, ...]  # at most three texts


_TOKENS = f"""
    WITH {_WORDS},
    counts AS (
        SELECT ltrim(word, '$') AS token, count(*) FILTER (NOT starts_with(word, '$') AND NOT is_shouted) AS messages,
               count(*) FILTER (starts_with(word, '$')) AS with_dollar
        FROM words WHERE regexp_full_match(word, '[$]?[A-Z]{{2,5}}') GROUP BY ltrim(word, '$')),
    past AS (
        SELECT symbol, sum(in_capitals) / greatest(1, (SELECT count(*) FROM symbol_form_days WHERE day < $day AND day >= $day - INTERVAL 28 DAY)) AS a_day
        FROM symbol_forms WHERE day < $day AND day >= $day - INTERVAL 28 DAY GROUP BY symbol)
    SELECT token, messages, with_dollar, coalesce(a_day, 0),
           token IN (SELECT symbol FROM symbols WHERE status <> 'unverified') OR token || '.X' IN (SELECT symbol FROM symbols)
    FROM counts LEFT JOIN past ON past.symbol = counts.token
    WHERE messages >= $least AND NOT list_contains($decided, token)
    ORDER BY messages - coalesce(a_day, 0) DESC, messages DESC, token LIMIT $top"""


def bare_tokens(connection: Connection, day: date, decided: Iterable[str], top: int = 20, least: int = 3) -> list[BareToken]:  # fmt: skip
    """The day's top new bare tokens, most above their habit first, without those that were ``decided`` on."""
    since, until = _span(day)
    moment = {"since": since, "until": until}
    rows = connection.execute(_TOKENS, {**moment, "day": day, "least": least, "top": top, "decided": sorted(decided)}).fetchall()  # fmt: skip
    found = []
    for token, messages, dollar, before, known in rows:
        samples = connection.execute(
            """SELECT min(text) AS shown FROM messages WHERE fetched_at >= $since AND fetched_at < $until AND deleted_at IS NULL
               AND regexp_matches(text, '(^|[^$@#A-Za-z0-9])' || $token || '([^A-Za-z0-9]|$)')
               GROUP BY coalesce(text_key, hash(text)) ORDER BY count(*) DESC, shown LIMIT 3""",
            {**moment, "token": token},
        ).fetchall()
        found.append(BareToken(token, messages, dollar, dollar / (messages + dollar), float(before), bool(known), tuple(text for (text,) in samples)))  # fmt: skip
    return found


def standing(connection: Connection) -> list[tuple[Any, ...]]:
    """(kind, listed, retired, unverified) of the universe, most first."""
    return connection.execute(
        """SELECT coalesce(kind, 'unknown') AS of_kind, count(*) FILTER (status = 'listed'), count(*) FILTER (status = 'retired'),
                  count(*) FILTER (status = 'unverified') FROM symbols GROUP BY of_kind ORDER BY count(*) DESC, of_kind"""
    ).fetchall()
