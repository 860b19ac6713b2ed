"""Commands that only read: reports, the brief, the leaderboard, health, scores, exports."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from tracker import brief as newsroom
from tracker import metrics
from tracker.cli_context import READ_WAIT_S, existing, installed_analysis, moment, with_context
from tracker.config import Config
from tracker.errors import BadInput
from tracker.ingest import Analysis
from tracker.render import FORMATS, emit, plain, table, talk, write_text
from tracker.store import naive_utc, people


@click.command()
@click.argument("name", required=False)
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]…")
@click.option("--format", "form", type=click.Choice([*FORMATS, "parquet"]), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--output", metavar="PATH")
@with_context
def query(
    config: Config, name: str | None, parameters: tuple[str, ...], form: str, as_json: bool, output: str | None
) -> None:
    """List the reports, or run one with its parameters."""
    form = "json" if as_json else form
    if name is None:
        known = [[r.name, r.question, " ".join(p.name for p in r.parameters)] for r in metrics.reports()]
        emit(["report", "question", "parameters"], known, form, output)
        return
    report = metrics.load_report(name)
    given = {}
    for item in parameters:
        key, separator, value = item.partition("=")
        if not separator:
            raise BadInput("not a parameter", item, "expected NAME=VALUE")
        given[key] = value
    values = metrics.bind(report, given)
    with existing(config).reading(READ_WAIT_S) as connection:
        if form == "parquet":
            if output is None:
                raise BadInput("parquet needs a file", "--output", "give a path")
            columns, rows = metrics.run(connection, report, values)
            people.to_parquet(connection, columns, rows, output)
            return
        columns, rows = metrics.run(connection, report, values)
    emit(columns, rows, form, output, report.question)


@click.command()
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@click.option("--at", "at", callback=moment, metavar="TIME", help="As of then (default: the newest reading).")
@click.option("--against", "group", metavar="GROUP", help="Beside the members of a group of the watch-list.")
@click.option(
    "--style",
    type=click.Choice(["full", "newsroom"]),
    default="full",
    show_default=True,
    help="All of it, or one paragraph.",
)
@click.option("--quotes/--no-quotes", default=True, help="Without: nobody's words, where posts may not be shown again.")
@click.option("--format", "form", type=click.Choice(["text", "md", "html", "json"]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--output", metavar="PATH")
@with_context
def brief(
    config: Config,
    symbols: tuple[str, ...],
    at: datetime | None,
    group: str | None,
    style: newsroom.Style,
    quotes: bool,
    form: newsroom.Form,
    as_json: bool,
    output: str | None,
) -> None:
    """The newsroom's brief about one symbol or several, from what is stored."""
    form = "json" if as_json else form
    with existing(config).reading(READ_WAIT_S) as connection:
        facts = [newsroom.read_facts(connection, symbol, at, group) for symbol in symbols]
    if not quotes:
        facts = [newsroom.unquoted(one) for one in facts]
    zone = config.tracker.timezone
    if len(facts) == 1 and form == "json":
        written = newsroom.write(facts[0], form, zone, style)
    else:
        written = newsroom.write_all(facts, form, zone, style)
    write_text(output, [written])


_TOP = (
    "place",
    "symbol",
    "messages",
    "organic",
    "authors",
    "volume_label",
    "volume_change",
    "buzz",
    "bullish_ratio",
    "sentiment_score",
    "sentiment_label",
)


@click.command()
@click.option("--window", type=click.Choice(["1h", "24h", "7d"]), default="24h", show_default=True)
@click.option("--at", "at", callback=moment, metavar="TIME")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True)
@with_context
def top(config: Config, window: str, at: datetime | None, limit: int, as_json: bool) -> None:
    """The leaderboard: who is talked about most."""
    with existing(config).reading(READ_WAIT_S) as connection:
        columns, rows = people.select(
            connection,
            f"""SELECT {", ".join(_TOP)}, "at" FROM leaderboard(coalesce($1::TIMESTAMP, (SELECT max("at") FROM readings)), $2) LIMIT $3""",
            [naive_utc(at), window, limit],
        )
    if not rows:
        talk.print("no readings yet: they are taken every five minutes while the daemon runs")
    as_of = f"{rows[0][-1]:%Y-%m-%d %H:%M} UTC" if rows else "–"
    emit(columns[:-1], [row[:-1] for row in rows], "json" if as_json else "table", None, f"{window} as of {as_of}")


@click.command()
@click.option("--json", "as_json", is_flag=True)
@with_context
def status(config: Config, as_json: bool) -> None:
    """Health of sources and streams, what waits, and what was lost."""
    store = existing(config)
    with store.reading(READ_WAIT_S) as connection:
        columns, rows = people.select(connection, "FROM source_health", [])
        totals = people.select(
            connection,
            """SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM mentions) AS mentions, (SELECT count(*) FROM gaps) AS gaps,
                      (SELECT max(fetched_at) FROM messages) AS newest_message_fetched_at, (SELECT max("at") FROM readings) AS newest_reading_at,
                      (SELECT count(*) FROM limits) AS limits""",
            [],
        )
    off = {name: settings.off_reason for name, settings in config.sources.items() if not settings.enabled}
    totals_row = dict(zip(totals[0], totals[1][0], strict=True))
    if as_json:
        found = {
            "streams": [dict(zip(columns, map(plain, row), strict=True)) for row in rows],
            "totals": {k: plain(v) for k, v in totals_row.items()},
            "off": off,
        }
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    shown = [
        "source",
        "stream",
        "status",
        "last_success_at",
        "next_poll_at",
        "failures",
        "added_1d",
        "up_1d",
        "gaps",
        "note",
    ]
    places = [columns.index(name) for name in shown]
    table(shown, [[row[place] for place in places] for row in rows])
    table(list(totals_row), [list(totals_row.values())])
    for name, reason in off.items():
        talk.print(f"{name} is off: {reason}", markup=False)


@click.command()
@click.option("--symbol", metavar="SYMBOL")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True)
@with_context
def spikes(config: Config, symbol: str | None, limit: int, as_json: bool) -> None:
    """Recent spikes, newest first."""
    with existing(config).reading(READ_WAIT_S) as connection:
        columns, rows = people.select(
            connection,
            """SELECT symbol, bucket_width, bucket_start, messages, organic, authors, expected, z, severity, kind FROM spikes
               WHERE $1::VARCHAR IS NULL OR symbol = $1 ORDER BY bucket_start DESC, z DESC LIMIT $2""",
            [symbol.upper() if symbol else None, limit],
        )
    emit(columns, rows, "json" if as_json else "table")


@click.command()
@click.argument("symbol")
@click.option("--window", type=click.Choice(["1h", "24h", "7d"]), default="24h", show_default=True)
@click.option("--json", "as_json", is_flag=True)
@with_context
def history(config: Config, symbol: str, window: str, as_json: bool) -> None:
    """When each label was entered and left."""
    with existing(config).reading(READ_WAIT_S) as connection:
        columns, rows = people.select(
            connection,
            """FROM label_changes($1, TIMESTAMP '1990-01-01', (SELECT max("at") FROM readings), $2) ORDER BY entered_at DESC""",
            [symbol.upper().lstrip("$"), window],
        )
    emit(columns, rows, "json" if as_json else "table")


@click.command()
@click.argument("text", required=False)
@click.option("--lines", is_flag=True, help="One text, or one JSON object with text (and source), per line from stdin.")
@click.option("--model", metavar="MODEL", type=click.Path(exists=True, dir_okay=False), help="Learned weights in place of the scorer in force.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True)
@with_context
def score(config: Config, text: str | None, lines: bool, model: str | None, as_json: bool) -> None:
    """Mentions and tone of a text, with the reason for each."""
    if model is not None:
        config = dataclasses.replace(config, tone=dataclasses.replace(config.tone, scorer="learned", model=Path(model)))
    analysis = installed_analysis(config)
    if lines:
        _score_lines(analysis)
        return
    if text is None:
        raise BadInput("nothing to score", "TEXT", "give a text, or --lines and texts on stdin")
    found = analysis.finder.find(text)
    counted = {mention.symbol for mention in analysis.finder.counted(found)}
    tone = analysis.scorer.explain(text)
    if as_json:
        mentions = [{**dataclasses.asdict(mention), "counted": mention.symbol in counted} for mention in found]
        click.echo(
            json.dumps(
                {
                    "mentions": mentions,
                    **_tone(tone),
                    "reasons": [{"term": term, "weight": weight} for term, weight in tone.reasons],
                },
                ensure_ascii=False,
                indent=1,
            )
        )
        return
    rows = [[m.symbol, m.match, m.surface, m.start, m.confidence, m.symbol in counted, m.reason] for m in found]
    table(["symbol", "match", "surface", "start", "confidence", "counted", "why"], rows, "mentions")
    table(["tone", "p_bullish", "stance", "scorer"], [[tone.tone, tone.p_bullish, tone.stance, tone.scorer]], "tone")
    table(["because of", "weight"], [list(reason) for reason in tone.reasons] or [["no word with a weight", None]])


def _tone(tone: Any) -> dict[str, Any]:
    return {"tone": tone.tone, "p_bullish": tone.p_bullish, "stance": tone.stance, "scorer": tone.scorer}


def _score_lines(analysis: Analysis) -> None:
    """One JSON line each; counted mentions only."""
    for line in sys.stdin.buffer:  # bytes: one that is no UTF-8 must not end the run
        raw = line.decode("utf-8", errors="replace").rstrip("\r\n")
        source, text = "", raw
        if raw.lstrip().startswith("{"):
            try:
                given = json.loads(raw)
            except (ValueError, RecursionError):
                given = None
            if isinstance(given, dict) and isinstance(given.get("text"), str):
                text, source = given["text"], str(given.get("source") or "")
        mentions = analysis.finder.counted(analysis.finder.find(text, (), source))
        tone = analysis.scorer.score(text, source)
        told = [
            {"symbol": m.symbol, "match": m.match, "surface": m.surface, "start": m.start, "confidence": m.confidence}
            for m in mentions
        ]
        sys.stdout.write(json.dumps({"mentions": told, **_tone(tone)}, ensure_ascii=False) + "\n")


@click.command()
@click.argument("name", metavar="TABLE", type=click.Choice(people.TABLES))
@click.option("--format", "form", type=click.Choice(["jsonl", "csv", "parquet"]), default="jsonl", show_default=True)
@click.option("--output", metavar="PATH", help="A file; needed for parquet (default: stdout).")
@with_context
def export(config: Config, name: str, form: str, output: str | None) -> None:
    """A table as JSON lines, CSV or Parquet."""
    if form == "parquet" and output is None:
        raise BadInput("parquet needs a file", "--output", "give a path")
    with existing(config).reading(READ_WAIT_S) as connection:
        people.export(connection, name, form, output)


def emit_report(report: Any, as_json: bool) -> None:
    """The closing line of a replay."""
    found = {field.name: plain(getattr(report, field.name)) for field in dataclasses.fields(report)}
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    table(list(found), [[getattr(report, name) for name in found]])


COMMANDS = (query, brief, top, status, spikes, history, score, export)
