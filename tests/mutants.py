"""Broken on purpose: variants of the collector, each of which a named check has to catch.

A mutant is a patch (file, the text that stands there, the text in its place; it has to fit exactly once, or the harness
fails, so that mutants do not rot) on a temporary copy of the program. Its check is a test, run against that copy in a
process of its own: where it passes, the mutant lives, and the check is worth nothing. Those of ``OUTSIDE`` are
hunted a second time, by the checker alone, which knows nothing of the parts: it sees a whole daemon that loses a message,
doubles one or asks too early. The others are breaks that something else makes up for (a journal that is not read again is
fetched again), or that the invented world has no occasion for.

    python tests/mutants.py            # each by its own check, as a table
    python tests/mutants.py --all      # and from outside
    python tests/mutants.py NAME…
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("tracker", "jobs", "queries", "tests")
LONGEST_S = 120.0  # a check that takes longer hangs
DAEMON_S = 400.0
CHECKER = tuple(
    f"test_guarantee.py::{name}"
    for name in (
        "test_in_calm_weather_what_is_shown_late_is_found_through_the_overlap_alone",
        "test_every_message_is_stored_once_through_every_fault_and_several_kills",
        "test_without_an_overlap_position_and_messages_are_still_one",
    )
)
_SEEDS = "2"  # of the checker for each mutant


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to be wrong."""

    name: str
    file: str  # below the root of the project
    old: str  # stands there exactly once
    new: str
    check: str  # below tests/


_STORE, _WRITE, _WALK, _BLUESKY = "tracker/store/__init__.py", "tracker/store/write.py", "tracker/walk.py", "tracker/sources/bluesky.py"  # fmt: skip
_ANSWER, _HTTP, _INGEST, _POLLER = "tracker/answer.py", "tracker/http.py", "tracker/ingest.py", "tracker/poller.py"
_ALL_OF_WALK = "            return _arrived(tuple(items), at, validators, dead_end if stuck else None, leaf.complete)\n    return Page(items=tuple(items), cursor=at.kept(), covers_from=None, more=True)"

MUTANTS: tuple[Mutant, ...] = (
    # position and messages
    Mutant("position before messages", _STORE, "            with transaction(connection):\n                done = apply(connection, [batch for _, batch in part]",
           "            state.save_streams(connection, [b.stream for _, b in part if b.stream])\n            with transaction(connection):\n                done = apply(connection, [batch for _, batch in part]",
           "test_promises.py::test_position_and_messages_are_one_transaction"),
    Mutant("journal cut before the commit", _STORE, "            with transaction(connection):\n                done = apply(connection, [batch for _, batch in part]",
           "            self.journal.applied(part[-1][0])\n            with transaction(connection):\n                done = apply(connection, [batch for _, batch in part]",
           "test_promises.py::test_position_and_messages_are_one_transaction"),
    Mutant("journal not replayed", "tracker/store/journal.py", "            if sequence > applied:\n", "            if False:\n",
           "test_journal.py::test_records_are_applied_after_a_kill_before_the_commit"),
    Mutant("journal replayed twice", _WRITE, "    if sequence is not None:\n", "    if False:\n",
           "test_journal.py::test_records_are_applied_exactly_once_after_a_kill_between_commit_and_cut"),
    Mutant("a torn record is kept", "tracker/store/journal.py", "                    self._cut(self._size)\n", "                    pass\n",
           "test_journal.py::test_a_torn_last_line_is_cut_off_and_the_rest_stays"),
    Mutant("position moves though nothing was kept", _POLLER, "        try:\n            await asyncio.shield(self._keep(batch))",
           "        if batch.stream is not None:\n            self._state.streams[batch.stream.key] = batch.stream\n        try:\n            await asyncio.shield(self._keep(batch))",
           "test_poller.py::test_what_cannot_be_kept_has_not_happened_and_stops_the_run"),
    Mutant("position forgotten after a failure", _INGEST, "page.cursor is not None else stream.cursor,", "page.cursor is not None else None,",
           "test_ingest.py::test_each_failure_is_a_row_and_a_wait_and_moves_nothing_else"),
    # once
    Mutant("no key", _WRITE, "ANTI JOIN known ON known.source = staged.source AND known.id = staged.id", "ANTI JOIN known ON false",
           "test_promises.py::test_the_same_page_twice_is_once"),
    Mutant("polls of one flush not deduplicated", _WRITE, "            key = (row.source, row.id)\n", '            key = (row.source, row.id + " " * number)\n',
           "test_promises.py::test_the_same_page_twice_is_once"),
    Mutant("equal text merged", _WRITE, "            key = (row.source, row.id)\n", "            key = (row.source, str(row.text_key))\n",
           "test_promises.py::test_equal_words_of_two_people_are_two_messages"),
    # walking back
    Mutant("empty page means caught up", _WALK, "        return Page(items=items, cursor=None, note=\"the listing is empty\" if at.known is not None else None)",
           "        return Page(items=items, cursor={\"known\": at.began, \"validators\": {}}, covers_from=_moment(at.known))",
           "test_walk.py::test_an_empty_listing_says_nothing_and_moves_nothing"),
    Mutant("no overlap", _WALK, "_behind(end, at.known - overlap_s)", "_behind(end, at.known)",
           "test_walk.py::test_an_item_shown_late_is_found_within_the_overlap"),
    Mutant("a tie ends the walk", _WALK, "sum(stamp < line for stamp in end)", "sum(stamp <= line for stamp in end)",
           "test_walk.py::test_a_whole_page_of_ties_does_not_end_the_walk"),
    Mutant("> in place of >=", "tracker/sources/hackernews.py", 'f"created_at_i>={since}"', 'f"created_at_i>{since}"',
           "test_source_hackernews.py::test_later_polls_ask_from_the_overlap_before_what_is_known"),
    Mutant("first page only", _WALK, "        if at.known is None or at.token is None or _behind(", "        if True or _behind(",
           "test_walk.py::test_a_burst_of_several_pages_comes_in_one_poll"),
    Mutant("newest-page-only cursor", _WALK, _ALL_OF_WALK, _ALL_OF_WALK.replace("cursor=at.kept()", 'cursor={"known": at.top, "validators": {}}'),
           "test_walk.py::test_a_burst_of_several_polls_resumes_and_moves_the_cursor_only_at_its_end"),
    Mutant("single anchor", _WALK, "        if number == 0 and asked is not None and not at.again and _is_empty(leaf):", "        if False:",
           "test_walk.py::test_a_walk_whose_anchor_was_deleted_begins_again_and_loses_nothing"),
    Mutant("one blank answer ends the walk", _WALK, "        if blank and not at.doubted and (number or leaf.complete):", "        if False:",
           "test_walk.py::test_one_blank_answer_in_the_middle_of_a_walk_loses_nothing"),
    Mutant("one old stamp ends the walk", _WALK, "2 * sum(stamp < line for stamp in end) >= len(end)", "any(stamp < line for stamp in end)",
           "test_walk.py::test_one_stamp_far_in_the_past_ends_no_walk"),
    Mutant("a stamp of tomorrow is believed", _WALK, "times = [min(found, self.began) for found in _times(leaf.items)]", "times = [found for found in _times(leaf.items)]",
           "test_walk.py::test_a_future_stamp_does_not_carry_the_cursor_beyond_the_servers_clock"),
    Mutant("unchanged hides what comes late", _WALK, "        if asked is None and _shows_all_of(overlap_s, leaf, end, at.top):\n", "        if asked is None:\n",
           "test_walk.py::test_validators_are_kept_only_where_the_newest_page_holds_the_whole_overlap"),
    Mutant("gap hidden", _WALK, "gap = Gap(_at(at.known), _at(at.oldest), dead_end)", "gap = None",
           "test_walk.py::test_a_dead_end_leaves_a_gap_between_the_old_cursor_and_the_oldest_that_came"),
    Mutant("gap not written down", _INGEST, "    if page is not None and page.gap is not None and talks:\n", "    if False:\n",
           "test_ingest.py::test_a_known_loss_becomes_a_gap_row"),
    Mutant("validator stored early", _WALK, _ALL_OF_WALK, _ALL_OF_WALK.replace("cursor=at.kept()", 'cursor={**at.kept(), "validators": validators}'),
           "test_walk.py::test_validators_are_kept_only_once_what_they_vouch_for_is_stored"),
    Mutant("trust in whole seconds", _ANSWER, "served - modified >= timedelta(seconds=2)", "served >= modified",
           "test_http.py::test_last_modified_is_used_only_when_its_second_is_over"),
    # deletions
    Mutant("deletions ignored by the source", _BLUESKY, "        return Deletion(_SOURCE, id=uri, revision=revision, deleted_at=_at(time_us))", "        return None",
           "test_promises.py::test_a_stream_tells_of_posts_edits_deletions_and_accounts_that_end"),
    Mutant("deletions ignored by the store", _WRITE, "    if folded.deletions:\n", "    if False:\n",
           "test_store_write.py::test_deletion_takes_text_author_mentions_and_tone_and_leaves_a_tombstone"),
    Mutant("a deletion leaves the author", _WRITE, "SET text = NULL, author = NULL,", "SET text = NULL,",
           "test_store_write.py::test_deletion_takes_text_author_mentions_and_tone_and_leaves_a_tombstone"),
    Mutant("replay resurrects", _WRITE, "        ANTI JOIN tombstones ON tombstones.source = staged.source AND tombstones.id = staged.id\n              AND", "        ANTI JOIN tombstones ON false\n              AND",
           "test_store_write.py::test_deletion_that_comes_before_its_message_keeps_it_out"),
    Mutant("edit of a deleted message resurrects", _WRITE, "          AND NOT EXISTS (SELECT 1 FROM tombstones WHERE tombstones.source", "          AND NOT EXISTS (SELECT 1 FROM tombstones WHERE false AND tombstones.source",
           "test_store_write.py::test_replayed_creation_does_not_bring_back_what_was_deleted"),
    # the stream
    Mutant("no rewind after a reconnect", _BLUESKY, "    if known is not None:\n        params.append", "    if False:\n        params.append",
           "test_source_bluesky.py::test_a_reconnect_asks_again_for_the_overlap"),
    Mutant("no watchdog", _BLUESKY, "            if loop.time() >= bites_at:\n", "            if False:\n",
           "test_source_bluesky.py::test_silence_beyond_the_watchdog_is_unavailable"),
    Mutant("watchdog counts any frame", _BLUESKY, "                if event.post:\n", "                if True:\n",
           "test_promises.py::test_news_of_accounts_are_no_posts_for_the_watchdog"),
    # what comes over the wire
    Mutant("one bad item drops the page", _INGEST, "        if isinstance(item, Flaw):\n            skipped += 1\n", "        if isinstance(item, Flaw):\n            return Digest((), (), (), (), 1)\n",
           "test_ingest.py::test_a_flaw_is_counted_and_the_rest_of_the_page_is_kept"),
    Mutant("dirty text dropped", "tracker/wire.py", '    return _SURROGATES.sub("\\ufffd", value)', "    return None if _SURROGATES.search(value) else value",
           "test_wire.py::test_cleaned_text_can_be_stored_and_keeps_its_length"),
    Mutant("truncated gzip accepted", _ANSWER, "        if self._gzip and not self._member.eof:\n", "        if False:\n",
           "test_http.py::test_a_body_that_is_not_plain_or_one_whole_gzip_is_malformed"),
    Mutant("a bomb is inflated at once", _ANSWER, "self._member.decompress(chunk, STEP)", "self._member.decompress(chunk)",
           "test_http.py::test_a_gzip_bomb_is_cut_at_the_cap_and_costs_no_memory"),
    Mutant("a 304 that nobody asked for is believed", _HTTP, "        if status == 304 and not sent:\n", "        if False:\n",
           "test_http.py::test_a_304_that_nobody_asked_for_is_malformed"),
    Mutant("off-host redirect followed", _ANSWER, "    if not same and not upgrade:\n", "    if False:\n",
           "test_http.py::test_another_host_is_never_visited"),
    # manners
    Mutant("Retry-After ignored", "tracker/pacing.py", "    return pace.max_backoff_s if wish_s > MAX_NAMED_WAIT_S else max(0.0, wish_s)", "    return None",
           "test_ingest.py::test_nobody_is_asked_before_a_named_time_nor_before_the_interval"),
    Mutant("Retry-After computed by our clock", _ANSWER, 'parse_retry_after(headers.get("retry-after"), served_at)', 'parse_retry_after(headers.get("retry-after"), now)',
           "test_http.py::test_a_refusal_carries_the_wait_that_the_server_named"),
    Mutant("a named time forgotten at a restart", _POLLER, "        for limit in limits:\n", "        for limit in ():\n",
           "test_poller.py::test_a_named_time_is_kept_across_restarts"),
    Mutant("named times in the file not read", _STORE, "limits = {limit.scope: limit for limit in state.load_limits(connection)}", "limits = {}",
           "test_promises.py::test_a_named_time_is_read_from_the_file"),
    Mutant("a named time holds for one stream only", _HTTP, "            self._gate.shut(wish_s)\n", "            pass\n",
           "test_http.py::test_nobody_in_the_scope_is_asked_after_a_server_has_named_a_time"),
    Mutant("the budget begins anew at a restart", _POLLER, "when + shift for when, requests in used.get(target.name, ())", "when + shift for when, requests in ()",
           "test_poller.py::test_requests_of_the_last_run_count"),
)  # fmt: skip
# quick enough for every run of the tests
QUICK = (
    "no overlap",
    "validator stored early",
    "truncated gzip accepted",
    "Retry-After computed by our clock",
    "gap hidden",
)


# each of these the checker sees from outside
OUTSIDE = frozenset(
    {
        "journal replayed twice",
        "position forgotten after a failure",
        "no key",
        "polls of one flush not deduplicated",
        "equal text merged",
        "empty page means caught up",
        "no overlap",
        "a tie ends the walk",
        "> in place of >=",
        "first page only",
        "newest-page-only cursor",
        "one blank answer ends the walk",
        "a stamp of tomorrow is believed",
        "unchanged hides what comes late",
        "deletions ignored by the source",
        "deletions ignored by the store",
        "a deletion leaves the author",
        "no rewind after a reconnect",
        "no watchdog",
        "one bad item drops the page",
        "dirty text dropped",
        "off-host redirect followed",
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    check: str
    killed: bool
    seconds: float
    said: str  # the end of what the check printed


def fits(mutant: Mutant, root: Path = ROOT) -> int:
    """How often the text that it replaces stands in its file."""
    return (root / mutant.file).read_text(encoding="utf-8").count(mutant.old)


def copy_of_the_program(folder: Path) -> Path:
    for name in COPIED:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns(".*", "golden", "samples"), dirs_exist_ok=True
        )
    for name in ("config.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def run_checks(folder: Path, checks: Sequence[str], longest_s: float = LONGEST_S) -> tuple[int, str]:
    """(exit code of pytest, what it said) of tests in a copy; 124 where they took too long."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-p",
        "no:xdist",
    ]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TRACKER_SEED"))
    }
    try:
        done = subprocess.run(
            [*command, *(f"tests/{check}" for check in checks)], cwd=folder, capture_output=True, text=True, timeout=longest_s,
            env={**environment, "PYTHONPATH": str(folder), "COLUMNS": "200", "TRACKER_SEEDS": _SEEDS},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, f"no end within {longest_s:g} s"
    return done.returncode, (done.stdout + done.stderr)[-2000:]


def hunt(mutant: Mutant, folder: Path, *, outside: bool = False) -> Verdict:
    """Patch the copy, run the check of the mutant, or the checker, and put everything back."""
    if fits(mutant, folder) != 1:
        raise ValueError(f"the mutant {mutant.name!r} fits {fits(mutant, folder)} times in {mutant.file}, not once")
    path, started = folder / mutant.file, time.monotonic()
    right = path.read_text(encoding="utf-8")
    try:
        _write(path, right.replace(mutant.old, mutant.new))
        code, said = run_checks(folder, CHECKER, DAEMON_S) if outside else run_checks(folder, [mutant.check])
    finally:
        _write(path, right)
    # 1 is a test that failed; everything else (nothing found, nothing imported, no end) is no verdict
    check = "the checker" if outside else mutant.check
    return Verdict(mutant, check, code == 1 and " failed" in said, time.monotonic() - started, said)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):  # two edits may fall into one second
        compiled.unlink()


def table(verdicts: Sequence[Verdict]) -> str:
    width = max(len(verdict.mutant.name) for verdict in verdicts)
    return "\n".join(
        f"{verdict.mutant.name:{width}}  {'killed by' if verdict.killed else 'LIVES, in spite of'} {verdict.check} ({verdict.seconds:.1f} s)"
        for verdict in verdicts
    )


def hunt_all(mutants: Sequence[Mutant], folder: Path, *, outside: bool = False) -> list[Verdict]:
    """First the program as it is has to pass, then each mutant has to fail; ``outside``: then the checker hunts, too."""
    copy_of_the_program(folder)
    watched = [mutant for mutant in mutants if outside and mutant.name in OUTSIDE]
    checks = {mutant.check for mutant in mutants} | (set(CHECKER) if watched else set())
    code, said = run_checks(folder, sorted(checks), 2 * DAEMON_S)
    if code != 0:
        raise AssertionError(f"the program as it is does not pass the checks:\n{said}")
    verdicts = []
    for mutant, from_outside in [*((one, False) for one in mutants), *((one, True) for one in watched)]:
        verdicts.append(hunt(mutant, folder, outside=from_outside))
        print(table(verdicts[-1:]), flush=True)
    return verdicts


def main(arguments: Sequence[str]) -> int:
    names = set(arguments) - {"--all"}
    if unknown := names - {mutant.name for mutant in MUTANTS}:
        print(f"no such mutant: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    wanted = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    with tempfile.TemporaryDirectory() as folder:
        verdicts = hunt_all(wanted, Path(folder), outside="--all" in arguments)
    alive = [verdict for verdict in verdicts if not verdict.killed]
    print(f"{len(verdicts) - len(alive)} of {len(verdicts)} killed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
