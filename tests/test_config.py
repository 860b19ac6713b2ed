"""config.toml: complete or refused, everything wrong told at once, nothing secret told at all."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tracker import __version__, config
from tracker.config import Config, SourceDefaults, SourceSettings
from tracker.config_alerts import crontab
from tracker.config_schema import (
    DAY,
    HOUR,
    YEAR,
    Alerts,
    Comparison,
    Extract,
    Http,
    Jobs,
    Meter,
    Spikes,
    Store,
    Tone,
    Tracker,
    Web,
    Window,
)
from tracker.config_values import Wrong, budget, duration, duration_or_off, size, symbol
from tracker.errors import ConfigError, TrackerError
from tracker.secret import Secret

HERE = Path(__file__).resolve().parent
SHIPPED = HERE.parent / "config.toml"
MARKER = "s3cr3t-marker"
ENV = {"WORD": MARKER, "NUMBER": "4", "SPAN": "90s", "YES": "true", "EMPTY": ""}


def chirp_stream(given: str) -> str:
    if given.strip().lower() != "posts":
        raise ValueError(f'expected "posts", the only stream there is, found {given!r}')
    return "posts"


def chirp_streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    return ("posts",)


def gated_stream(given: str) -> str:
    return f"symbol/{given.removeprefix('symbol/').upper()}"


def gated_streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"symbol/{symbol}" for symbol in symbols)


CHIRP = SourceDefaults(
    base_url="wss://chirp.example",
    interval_s=5.0,
    budget=(60, 60.0),
    default_on=True,
    needs_acknowledgement=False,
    credentials=(),
    stream_name=chirp_stream,
    default_streams=chirp_streams,
    keep="mentions",
    overlap_s=7.0,
)
GATED = SourceDefaults(
    base_url="https://api.gated.example/api/2",
    interval_s=120.0,
    budget=(120, HOUR),
    default_on=False,
    needs_acknowledgement=True,
    credentials=("token", "password"),
    stream_name=gated_stream,
    default_streams=gated_streams,
)
KNOWN: Mapping[str, SourceDefaults] = {"gated": GATED, "chirp": CHIRP}


def anything(given: str) -> str:
    return given


@pytest.fixture
def write(tmp_path: Path):
    """write(text) -> the loaded configuration of a file that holds it, in a folder of its own."""

    def load(text: str, env: Mapping[str, str] = ENV, **options) -> Config:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return config.load(path, env, known_sources=KNOWN, **options)

    return load


@pytest.fixture
def gated(write):
    """gated(lines) -> the settings of the source that needs an acknowledgement, which is given."""

    def load(lines: str = "", above: str = "") -> SourceSettings:
        head = f"{above}\n[watchlist]\nsymbols = ['GME']\n[sources.gated]\nenabled = true\nacknowledge_terms = true\n"
        return write(f"{head}{lines}\n").sources["gated"]

    return load


# ------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize("path", sorted((HERE / "config").glob("*.bad.toml")), ids=lambda path: path.name)
def test_bad_file_tells_every_problem_and_no_secret(path: Path):
    expected = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    with pytest.raises(ConfigError) as caught:
        config.load(path, ENV, known_sources=KNOWN)
    assert [str(problem) for problem in caught.value.problems] == expected
    assert str(path) in str(caught.value)
    assert MARKER not in str(caught.value)
    assert all(line.isprintable() for line in str(caught.value).splitlines())


def test_every_expected_message_has_its_file():
    texts = {path.name.removesuffix(".txt") for path in (HERE / "config").glob("*.bad.txt")}
    files = {path.name.removesuffix(".toml") for path in (HERE / "config").glob("*.bad.toml")}
    assert texts == files
    assert len(files) >= 10


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"a = " + b"[" * 20_000, "nested"),
        (b"a = " + b"1" * 5000, "thousands of digits"),
        (b"[http]\nmax_body = 0x" + b"f" * 20_000, "thousands of digits"),
        (b"[http]\nmax_body = 0x" + b"f" * 2_000, "a size such as"),
    ],
)
def test_hostile_file_is_a_config_error(tmp_path: Path, body: bytes, word: str):
    path = tmp_path / "config.toml"
    path.write_bytes(body)
    with pytest.raises(ConfigError, match=word):
        config.load(path, {}, known_sources=KNOWN)


# ------------------------------------------------------------------------------------- finding


def test_empty_file_means_every_default(write, tmp_path: Path):
    found = write("")
    assert found.tracker == Tracker(data_dir=tmp_path / "data")
    assert found.store == Store(path=tmp_path / "data" / "tracker.duckdb")
    assert (found.http, found.extract, found.tone) == (Http(), Extract(), Tone())
    assert (found.meter, found.spikes, found.jobs) == (Meter(), Spikes(), Jobs())
    assert (found.watchlist.symbols, found.watchlist.discover) == ((), True)
    assert [(name, source.enabled) for name, source in found.sources.items()] == [("chirp", True), ("gated", False)]


def test_missing_file_says_where_it_looked(tmp_path: Path):
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / "nowhere.toml"))):
        config.find(tmp_path / "nowhere.toml")


def test_folder_is_no_configuration(tmp_path: Path):
    with pytest.raises(ConfigError, match="a file at"):
        config.load(tmp_path, {}, known_sources=KNOWN)


def test_own_file_in_the_current_folder_comes_before_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert config.find().read_bytes() == SHIPPED.read_bytes()
    (tmp_path / "config.toml").write_text("")
    assert config.find() == tmp_path / "config.toml"


def test_given_file_comes_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("config.toml", "other.toml"):
        (tmp_path / name).write_text("")
    assert config.find("other.toml").name == "other.toml"


def test_relative_paths_start_at_the_folder_of_the_file(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = write("[tracker]\ndata_dir = 'kept'\n[store]\npublish = 'copy.duckdb'\n[tone]\nlexicon = '/words.tsv'\n")
    assert found.tracker.data_dir == tmp_path / "kept"
    assert found.store.path == tmp_path / "kept" / "tracker.duckdb"
    assert found.store.publish == tmp_path / "copy.duckdb"
    assert found.tone.lexicon == Path("/words.tsv")


def test_relative_paths_of_the_packaged_file_start_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    found = config.load(None, {}, known_sources=shipped_known())
    assert found.store.path == tmp_path / "data" / "tracker.duckdb"


def test_data_folder_given_by_the_caller_wins(write, tmp_path: Path):
    found = write("[tracker]\ndata_dir = '${WORD}'\n", data_dir=tmp_path / "mine")
    assert found.tracker.data_dir == tmp_path / "mine"
    assert found.store.path == tmp_path / "mine" / "tracker.duckdb"
    assert dict(config.in_force(found))["tracker.data_dir"] == str(tmp_path / "mine")


# ------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        *(("60s", 60), ("5m", 300), ("1h", HOUR), ("30d", 30 * DAY), ("2w", 14 * DAY), ("5y", 5 * YEAR)),
        *(("500ms", 0.5), ("700ms", 0.7), ("0.5s", 0.5), ("1.5h", 5400), (" 5 m ", 300), (90, 90), ("45", 45)),
    ],
)
def test_duration(given: object, seconds: float):
    assert duration()(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "s", "5M", "5 min", "-5s", "1h30m", "٣s", "1e3", True, None, [], float("inf"), 10**400]
)
def test_no_duration(given: object):
    with pytest.raises(Wrong):
        duration()(given)


@pytest.mark.parametrize(
    ("given", "seconds"), [("off", 0), (0, 0), ("0s", 0), ("1d", DAY), ("60s", 60), (90, 90), (" 2w ", 14 * DAY)]
)
def test_duration_or_off(given: object, seconds: float):
    assert duration_or_off(given) == seconds


@pytest.mark.parametrize("given", ["Off", "never", "", "59s", 1, -1, False, None, [], "1000y"])
def test_neither_duration_nor_off(given: object):
    with pytest.raises(Wrong, match='a minute or more such as "1d", or "off"'):
        duration_or_off(given)


@pytest.mark.parametrize(
    ("own", "lines", "seconds"),
    [
        (DAY, "", DAY),
        (DAY, 'recheck = "off"', 0),
        (DAY, "recheck = 0", 0),
        (DAY, 'recheck = "2h"', 2 * HOUR),
        (0.0, "", 0),
        (0.0, 'recheck = "7d"', 7 * DAY),
        (None, "", 0),
        (None, 'recheck = "off"', 0),
    ],
)
def test_how_often_stored_messages_are_asked_about(tmp_path: Path, own: float | None, lines: str, seconds: float):
    path = tmp_path / "config.toml"
    path.write_text(f"[sources.chirp]\n{lines}\n", encoding="utf-8")
    known = {"chirp": dataclasses.replace(CHIRP, recheck_s=own)}
    assert config.load(path, {}, known_sources=known).sources["chirp"].recheck_s == seconds


def test_a_source_that_can_not_be_asked_what_is_gone_takes_no_recheck(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text("[sources.chirp]\nrecheck = '1d'\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r'sources\.chirp\.recheck: found a duration, expected "off"'):
        config.load(path, {}, known_sources={"chirp": CHIRP})


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ("16MB", 16_000_000),
        ("64KiB", 65_536),
        ("1.1MB", 1_100_000),
        ("2GiB", 2**31),
        ("512", 512),
        (512, 512),
        ("8B", 8),
    ],
)
def test_size(given: object, count: int):
    assert size(given) == count


@pytest.mark.parametrize("given", ["", "MB", "0", "1.5B", "16mb", "16 megs", -1, True, 0.5, "9" * 16])
def test_no_size(given: object):
    with pytest.raises(Wrong):
        size(given)


def test_budget():
    assert budget("100/1h") == (100, HOUR)
    assert budget("1 / 500ms") == (1, 0.5)


@pytest.mark.parametrize("given", ["100", "/1h", "100/", "0/1h", "1.5/1h", "100/0s", "100/1h/1h", 100, None])
def test_no_budget(given: object):
    with pytest.raises(Wrong):
        budget(given)


@pytest.mark.parametrize(
    ("given", "canonical"), [("$BABA", "BABA"), ("btc.x", "BTC.X"), ("^GSPC", "^GSPC"), ("CL=F", "CL=F")]
)
def test_symbol(given: str, canonical: str):
    assert symbol(given) == canonical


def test_symbols_are_kept_once_and_groups_are_watched_too(write):
    found = write(
        "[watchlist]\nsymbols = ['gme', '$GME', 'BABA']\n[watchlist.groups]\nchina = ['BABA', 'jd']\n"
    ).watchlist
    assert found.symbols == ("GME", "BABA")
    assert found.groups == {"china": ("BABA", "JD")}
    assert found.watched == ("GME", "BABA", "JD")


def test_meter_spikes_and_extract(write):
    found = write(
        "[meter]\nbands = [10, 20.5, 30, 100]\nwindows = ['30m', '1d']\nk = 2.5\n[spikes]\nz = 4\n"
        "[extract]\naliases = { 'The Mouse' = 'dis' }\nblock = ['yolo']\n[tone]\nscorer = 'vader'\nneutral_band = 0\n"
    )
    assert found.meter.bands == (10.0, 20.5, 30.0, 100.0)
    assert found.meter.windows == (Window("30m", 1800.0), Window("1d", DAY))
    assert (found.meter.k, found.spikes.z, found.spikes.minimum_authors) == (2.5, 4.0, 5)
    assert (found.extract.aliases, found.extract.block) == ({"The Mouse": "DIS"}, ("YOLO",))
    assert (found.tone.scorer, found.tone.neutral_band) == ("vader", 0.0)


# ------------------------------------------------------------------------------------- environment


def test_environment_goes_into_any_value_and_dollars_are_escaped(write):
    found = write(
        "[tracker]\ncontact = 'https://example.org/${NUMBER}/$$${NUMBER}$$'\n[http]\nmax_pages = '${NUMBER}'\n"
        "deadline = '${SPAN}'\nmax_body = '${NUMBER}KiB'\n[watchlist]\nsymbols = ['$BABA', 'S${NUMBER}']\n"
        "discover = '${YES}'\n[spikes]\nz = '${NUMBER}'\n"
    )
    assert found.tracker.contact == "https://example.org/4/$4$"
    assert (found.http.max_pages, found.http.deadline_s, found.http.max_body) == (4, 90.0, 4096)
    assert found.watchlist.symbols == ("BABA", "S4")
    assert found.watchlist.discover is True
    assert found.spikes.z == 4.0


def test_text_is_no_number_unless_it_came_from_the_environment(write):
    with pytest.raises(ConfigError, match=r'http\.max_pages: found "4"'):
        write("[http]\nmax_pages = '4'\n")


def test_environment_is_never_expanded_twice(write):
    assert write("[tracker]\ncontact = '${A}'\n", {"A": "${B}", "B": "no"}).tracker.contact == "${B}"


def test_variable_that_is_set_to_nothing_is_no_credential(write):
    with pytest.raises(ConfigError, match=r"sources\.gated\.token: found \*\*\*, expected text that is not empty"):
        write("[sources.gated]\ntoken = '${EMPTY}'\n")


# ------------------------------------------------------------------------------------- sources


def test_source_without_a_table_takes_what_it_says_of_itself(write):
    found = write("[http]\nmax_pages = 3\noverlap = '2h'\n").sources["chirp"]
    assert (found.enabled, found.off_reason, found.streams) == (True, None, ("posts",))
    assert (found.interval_s, found.budget, found.keep, found.pace_by) == (5.0, (60, 60.0), "mentions", "source")
    assert (found.base_url, found.own_base_url) == ("wss://chirp.example", False)
    assert found.max_pages == 3
    assert found.overlap_s == 7.0  # its own stands above the general one


def test_source_overrides_everything_of_http(gated):
    lines = (
        "deadline = '100ms'\nmax_body = '1KiB'\nmax_backoff = '2s'\nbreaker = '3s'\noverlap = 0\nwatchdog = '4s'\n"
        "page_every = '0.5s'\nmax_pages = 2\nuser_agent = 'mine'\nevery = 0.25\n"
        "budget = '5/1s'\npace_by = 'host'\nkeep = 'mentions'"
    )
    found = gated(lines, above="[http]\ndeadline = '9s'\nmax_pages = 9\nuser_agent = 'general'")
    assert (found.deadline_s, found.max_body, found.max_backoff_s, found.breaker_s) == (0.1, 1024, 2.0, 3.0)
    assert (found.overlap_s, found.watchdog_s, found.page_every_s, found.max_pages) == (0.0, 4.0, 0.5, 2)
    assert (found.user_agent, found.interval_s, found.budget) == ("mine", 0.25, (5, 1.0))
    assert (found.pace_by, found.keep) == ("host", "mentions")


def test_timeout_is_another_word_for_deadline(gated):
    assert gated("timeout = '3s'").deadline_s == 3.0


def test_no_streams_given_means_none_and_not_the_default(gated):
    assert gated("streams = []").off_reason == "no streams configured"


def test_streams_are_canonical_and_given_ones_replace_the_default(gated):
    assert gated().streams == ("symbol/GME",)
    assert gated("streams = ['baba', 'symbol/BABA', 'jd']").streams == ("symbol/BABA", "symbol/JD")


def test_symbols_that_only_a_group_names_have_streams(write):
    found = write("[watchlist.groups]\nchina = ['JD']\n[sources.gated]\nenabled = true\nacknowledge_terms = true\n")
    assert found.sources["gated"].streams == ("symbol/JD",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "off by default"),
        ("[sources.gated]\nenabled = false\nacknowledge_terms = true", "switched off"),
        ("[sources.gated]\nenabled = true", "terms are not acknowledged"),
        ("[sources.gated]\nacknowledge_terms = true", "off by default"),
        ("[sources.gated]\nenabled = true\nacknowledge_terms = true", "no streams configured"),
        (
            "[watchlist]\nsymbols = ['A']\n[sources.gated]\nenabled = true\nacknowledge_terms = true\nstreams = []",
            "no str",
        ),
    ],
)
def test_source_that_stays_off_says_why(write, text: str, reason: str):
    found = write(text).sources["gated"]
    assert not found.enabled
    assert reason in (found.off_reason or "")


@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ("http://127.0.0.1:8099", "http://127.0.0.1:8099/api/2"),
        ("http://127.0.0.1:8099/", "http://127.0.0.1:8099/api/2"),
        ("http://[::1]:8099/mirror/", "http://[::1]:8099/mirror"),
        ("ws://localhost", "ws://localhost/api/2"),
    ],
)
def test_own_base_url_without_a_path_has_the_path_of_the_original(gated, given: str, base_url: str):
    found = gated(f"base_url = '{given}'")
    assert (found.base_url, found.own_base_url) == (base_url, True)


def test_original_base_url_is_not_the_operators(gated):
    found = gated("base_url = 'https://api.gated.example/api/2/'")
    assert (found.base_url, found.own_base_url) == ("https://api.gated.example/api/2", False)


@pytest.mark.parametrize(
    "given",
    [
        *("https://", "//host/x", "https://ho st", "https://host:99999", "https://[::1", "a:b"),
        *("https://me:pw@host", "https://me@host/", "https://host/?a=b", "https://host/#a"),
    ],
)
def test_no_base_url(gated, given: str):
    with pytest.raises(ConfigError, match="expected an http, https, ws or wss address"):
        gated(f"base_url = '{given}'")


def test_credentials_stand_in_their_table_or_beside_the_other_keys(gated):
    found = gated("password = 'pa$$$$'\ncredentials = { token = '${WORD}' }").credentials
    assert found == {"token": Secret(MARKER), "password": Secret("pa$$")}


def test_secret_is_in_no_text_made_of_the_configuration(write):
    found = write(
        "[sources.gated]\ntoken = '${WORD}'\nbase_url = 'https://m.example/${WORD}'\n"
        "[store]\npublish = '/tmp/${WORD}'\n"
    )
    assert config.secrets(found) == (Secret(MARKER),)
    assert MARKER not in repr(found.sources["gated"].credentials)
    rows = dict(config.in_force(found))
    assert rows["sources.gated.base_url"] == "https://m.example/${WORD}"
    assert MARKER not in repr(rows)
    assert not [key for key in rows if "token" in key]


# ------------------------------------------------------------------------------------- alerts


RULE = (
    "[alerts]\nchannels = { desk = 'jsons://desk.example/hook' }\n[[alerts.rules]]\nname = 'r'\nchannels = ['desk']\n"
)


def test_a_rule_has_working_defaults(write):
    found = write(RULE + "when = 'spike'\n").alerts.rules["r"]
    assert (found.symbols, found.channels, found.cool_down_s) == (None, ("desk",), 6 * HOUR)
    assert (found.widths, found.severity, found.kind) == (("1h", "1d"), "notable", "organic")
    assert found.window == Window("24h", DAY)


def test_a_rule_takes_everything_that_suits_its_kind(write):
    groups = "[watchlist.groups]\npond = ['frog', 'TOAD']\n"
    rule = "when = 'spike'\ngroup = 'pond'\nwidth = '5m'\nseverity = 'high'\nkind = 'any'\ncool_down = 0\n"
    found = write(groups + RULE + rule).alerts.rules["r"]
    assert (found.symbols, found.widths, found.severity, found.kind) == (("FROG", "TOAD"), ("5m",), "high", "any")
    assert found.cool_down_s == 0


@pytest.mark.parametrize(
    ("given", "comparison"),
    [
        ("sentiment_score > 80", Comparison("sentiment_score", ">", 80, 0, 100)),
        ("volume_z<=-2.5", Comparison("volume_z", "<=", -2.5, None, None)),
        ("  buzz  >=  3 ", Comparison("buzz", ">=", 3, 0, None)),
        ("bullish_ratio < 0.25", Comparison("bullish_ratio", "<", 0.25, 0, 1)),
    ],
)
def test_a_comparison_names_a_column_and_a_number(write, given: str, comparison: Comparison):
    found = write(RULE + f"when = '{given}'\nwindow = '1h'\n").alerts.rules["r"]
    assert (found.when, found.comparison, found.window.name) == ("crossing", comparison, "1h")


@pytest.mark.parametrize(
    "given",
    [
        "sentiment_score > 100", "sentiment_score >= 0", "sentiment_score < 0", "sentiment_score > 101", "messages >= 0",
        "bullish_ratio <= 1", "volume_change < -1", "sentiment_score = 80", "sentiment_score > high", "score > 80",
        "sentiment_score > 80 and buzz > 2", "80 < sentiment_score", "messages > -1", "Spike", "",
    ],
)  # fmt: skip
def test_a_comparison_that_can_not_turn_is_refused(write, given: str):
    with pytest.raises(ConfigError, match=r"alerts\.rules\[0\]\.when: found"):
        write(RULE + f"when = '{given}'\n")


@pytest.mark.parametrize(
    ("given", "spelt"),
    [
        ("0 8 * * 1-5", "0 8 * * mon,tue,wed,thu,fri"),
        ("*/20 8-9,17 * * *", "0,20,40 8,9,17 * * *"),
        ("0 0 * * 0", "0 0 * * sun"),
        ("0 0 * * 5-7", "0 0 * * sun,fri,sat"),
        ("0 0 * * fri-sun", "0 0 * * sun,fri,sat"),
        ("0 0 * * 7,1", "0 0 * * sun,mon"),
        ("0 0 * * */2", "0 0 * * sun,tue,thu,sat"),
        ("5/30 * 29 FEB *", "5,35 * 29 2 *"),
        ("0 0 31 jan-mar *", "0 0 31 1,2,3 *"),
    ],
)
def test_a_crontab_line_is_spelt_out_with_the_days_that_crontab_means(given: str, spelt: str):
    assert crontab(given) == spelt


@pytest.mark.parametrize(
    "given",
    [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
        "5-1 * * * *", "*/0 * * * *", "a * * * *", "* * * foo *", "* * * * mo", "1,,2 * * * *", "-1 * * * *",
        "0 0 31 2,4 *", "0 0 13 * 5", "*-5 * * * *", "1-2-3 * * * *", "@daily", "٣ * * * *", None, 5,
    ],
)  # fmt: skip
def test_what_is_no_crontab_line_is_refused(given: object):
    with pytest.raises(Wrong):
        crontab(given)


def test_an_address_of_a_channel_is_a_secret_as_are_its_parts(write):
    channels = "[alerts.channels]\ndesk = 'slack://${WORD}/T1234567890/token-of-sixteen'\nhook = { url = 'ntfy://h', insecure = true }\n"
    found = write(channels)
    assert not found.alerts.channels["desk"].insecure
    assert found.alerts.channels["hook"].insecure
    masked = {secret.reveal() for secret in config.secrets(found)}
    assert {
        f"slack://{MARKER}/T1234567890/token-of-sixteen",
        MARKER,
        "T1234567890",
        "token-of-sixteen",
        "ntfy://h",
    } == masked
    for text in (repr(found.alerts), str(found.alerts.channels["desk"]), repr(config.in_force(found))):
        assert not [secret for secret in masked if secret in text]


def test_where_the_web_listens_and_under_which_names(write):
    found = write("[web]\nhost = 'FE80::1'\nport = 0\nallowed_hosts = ['Tracker.LAN', 'tracker.lan', '::1']\n").web
    assert found == Web(True, "fe80::1", 0, ("tracker.lan", "::1"))
    assert not write("[web]\nenabled = false\n").web.enabled


@pytest.mark.parametrize("given", ["", "a:80", "http://a", "a/b", "a b", "[::1]", "*", "x@y", "1::2::3"])
def test_what_is_no_host_is_refused(write, given: str):
    with pytest.raises(ConfigError, match=r"web.host: found .*expected (a host name|text that is not empty)"):
        write(f"[web]\nhost = '{given}'\n")


def test_rules_are_in_force_key_by_key(write):
    rows = dict(config.in_force(write(RULE + "when = 'buzz > 3'\n")))
    assert rows["alerts.rules.r.comparison.column"] == "buzz"
    assert rows["alerts.rules.r.channels"] == '["desk"]'
    assert rows["alerts.channels.desk.private"] == "false"
    assert rows["alerts.timeout_s"] == "20.0"


@pytest.mark.parametrize("link", ["", "https://desk.example/{symbol}?a=b", "http://127.0.0.1:8787/symbol/{symbol}"])
def test_a_link_leads_to_the_web_or_nowhere(write, link: str):
    assert write(f"[alerts]\nlink = '{link}'\n").alerts.link == link


# ------------------------------------------------------------------------------------- what others ask of it


def test_user_agent_names_program_version_and_contact(write):
    assert config.user_agent(write("")) == f"tracker/{__version__} (no contact configured)"
    named = write("[tracker]\ncontact = 'me@example.org'\n")
    assert config.user_agent(named) == f"tracker/{__version__} (+me@example.org)"
    assert named.sources["chirp"].user_agent == config.user_agent(named)
    own = write("[tracker]\ncontact = 'me@example.org'\n[http]\nuser_agent = 'mine/1'\n")
    assert config.user_agent(own) == own.sources["chirp"].user_agent == "mine/1"


def test_configuration_in_force_is_flat_and_whole(write, tmp_path: Path):
    rows = dict(config.in_force(write("[watchlist]\ngroups = { china = ['JD'] }\n[meter]\nwindows = ['1h']\n")))
    assert rows["watchlist.groups.china"] == '["JD"]'
    assert rows["meter.windows"] == '["1h"]'
    assert rows["http.deadline_s"] == "20.0"
    assert rows["sources.gated.budget"] == "[120, 3600.0]"
    assert rows["store.path"] == str(tmp_path / "data" / "tracker.duckdb")
    assert rows["store.publish"] == "null"
    assert {"jobs.tick_s", "spikes.z", "tone.scorer", "extract.threshold", "sources.chirp.off_reason"} <= set(rows)


def test_configuration_can_not_be_changed(write):
    found = write("")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.tracker.contact = "x"
    with pytest.raises(TypeError):
        found.sources["chirp"] = None


def test_config_error_is_one_of_ours_and_counts(write):
    with pytest.raises(TrackerError, match="2 problems in the configuration"):
        write("[http]\na = 1\nb = 2\n")


# ------------------------------------------------------------------------------------- the file that comes along


REDDIT_CREDENTIALS = ("client_id", "client_secret", "feed_token", "feed_user")


def shipped_known() -> dict[str, SourceDefaults]:
    open_source = dataclasses.replace(GATED, stream_name=anything, needs_acknowledgement=False)
    return {
        "bluesky": dataclasses.replace(CHIRP, overlap_s=None),
        "fourchan": dataclasses.replace(CHIRP, stream_name=anything, overlap_s=None, show=False),
        "hackernews": CHIRP,
        "lemmy": open_source,
        "mastodon": dataclasses.replace(GATED, stream_name=anything, credentials=("access_token",)),
        "nostr": open_source,
        "reddit": dataclasses.replace(
            open_source, credentials=("client_id", "client_secret", "feed_token", "feed_user"), recheck_s=DAY
        ),
        "stocktwits": dataclasses.replace(GATED, credentials=("access_token",)),
        "telegram": open_source,
        "x": dataclasses.replace(open_source, credentials=("bearer_token",), recheck_s=0.0),
        "rss": dataclasses.replace(CHIRP, stream_name=anything),
        "apewisdom": CHIRP,
        "arctic_shift": open_source,
        "tradestie": open_source,
        "stocktwits_firestream": dataclasses.replace(GATED, credentials=("username", "password")),
        "prices_yahoo": GATED,
        "prices_nasdaq": GATED,
        "options_cboe": GATED,
        "youtube": dataclasses.replace(open_source, credentials=("key",)),
    }


def test_shipped_file_runs_as_it_stands():
    found = config.load(SHIPPED, {}, known_sources=shipped_known())
    on = {name for name, source in found.sources.items() if source.enabled}
    assert on == {"bluesky", "fourchan", "hackernews", "reddit", "rss", "apewisdom"}
    assert {name for name, source in found.sources.items() if not source.show} == {"fourchan"}
    assert found.sources["reddit"].streams == ("r/stocks", "r/wallstreetbets")
    assert found.sources["reddit"].budget == (1, 60.0)
    assert found.watchlist.groups["china_tech"] == ("BABA", "BIDU", "JD")
    assert {"BABA", "AAPL", "NVDA", "TSLA", "GME", "SPY", "BTC.X"} <= set(found.watchlist.symbols)


def test_shipped_file_states_the_defaults():
    found = config.load(SHIPPED, {}, known_sources=shipped_known())
    assert (found.http, found.extract, found.tone) == (Http(), Extract(), Tone())
    assert (found.meter, found.spikes, found.jobs) == (Meter(), Spikes(), Jobs())
    assert found.alerts == Alerts()
    assert found.tracker == Tracker(data_dir=SHIPPED.parent / "data")
    assert found.store == Store(path=found.tracker.data_dir / "tracker.duckdb")
    assert found.web == Web()


def test_shipped_file_mentions_every_key():
    text = SHIPPED.read_text(encoding="utf-8")
    for key in config.keys({"chirp": CHIRP}):
        # a source's table shows its keys once, for all sources; those of [http] it merely takes over
        last = key.rpartition(".")[2]
        assert re.search(rf"^(?:#\s*)?(?:{last} = |\[\[{re.escape(key)}\]\])", text, re.MULTILINE), key


def test_commented_examples_of_the_shipped_file_are_right(tmp_path: Path):
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    examples = [re.sub(r"^# (?=[\w\"]+[ \w\"]* = |\[)", "", line) for line in lines]
    doubled = [line for line in examples if not re.match(r"credentials = \{ feed_token", line)]
    path = tmp_path / "config.toml"
    path.write_text("\n".join(doubled), encoding="utf-8")
    assert len(tomllib.loads(path.read_text())["alerts"]["rules"]) == 3
    names = re.findall(r"\$\{([A-Z_]{5,})\}", path.read_text())
    given = {**dict.fromkeys(names, "given"), "DESK_CHANNEL": "discord://given"}
    found = config.load(path, given, known_sources=shipped_known())
    assert {rule.when for rule in found.alerts.rules.values()} == {"spike", "label_change", "digest"}
    assert found.alerts.rules["moods"].symbols == ("BABA", "BIDU", "JD")
    assert found.alerts.channels["here"].private
    assert found.extract.aliases == {"the mouse house": "DIS"}
    assert found.sources["x"].credentials == {"bearer_token": Secret("given")}
    assert (found.sources["x"].recheck_s, found.sources["reddit"].recheck_s) == (7 * DAY, DAY)
    assert found.sources["reddit"].credentials.keys() == {"client_id", "client_secret"}
