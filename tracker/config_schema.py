"""The configuration as the rest of the program sees it: frozen, complete, every default in one place.

``config.load`` makes these from ``config.toml``. Times are seconds, sizes are bytes, paths are absolute, secrets
are ``Secret``; nothing is left to be looked up, resolved or checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from tracker.secret import Secret

LogFormat = Literal["text", "json"]
When = Literal["spike", "label_change", "crossing", "quiet", "source_down", "digest"]
PaceBy = Literal["source", "host"]
Scorer = Literal["learned", "lexicon", "vader"]
StanceName = Literal["bullish", "bearish", "neutral"]

HOUR = 3600.0
DAY = 24 * HOUR
YEAR = 365 * DAY
MB = 1_000_000


def _nothing() -> Mapping[str, Secret]:
    return MappingProxyType({})


# ------------------------------------------------------------------------------------- what a source brings along


@dataclass(frozen=True, slots=True)
class SourceDefaults:
    """What a source says of itself; handed to ``load`` so that the configuration never imports a source."""

    base_url: str  # scheme, host and path that requests are made below
    interval_s: float  # seconds between two polls of one stream
    budget: tuple[int, float]  # (requests, seconds) that the source may use at most
    default_on: bool  # on in an empty configuration
    needs_acknowledgement: bool  # never asked before acknowledge_terms = true
    credentials: tuple[str, ...]  # names of the credentials that it can use, all optional
    stream_name: Callable[[str], str]  # a stream as a person wrote it -> canonical; ValueError says what was expected
    default_streams: Callable[[tuple[str, ...]], tuple[str, ...]]  # watched symbols -> streams, when none are given
    keep: str = "all"  # "all" messages, or only those with "mentions"
    show: bool = True  # people may read its messages in briefs and reports; False: they are only counted
    overlap_s: float | None = None  # in place of the general one of [http]; None: that one
    max_pages: int | None = None  # in place of the general one of [http]; None: that one
    recheck_s: float | None = (
        None  # between two passes over what is stored, 0: only if configured; None: it can't be asked
    )
    text_at_most_s: float | None = None  # its terms: words are kept no longer than this; None: they say nothing


# ------------------------------------------------------------------------------------- the tables of config.toml


@dataclass(frozen=True, slots=True)
class Tracker:
    """[tracker]: the process as a whole."""

    data_dir: Path  # everything that the tracker writes lies below it
    timezone: str = "America/New_York"  # IANA name; the market's clock, for profiles and sessions
    contact: str = ""  # e-mail or address of the operator, told to every source in the user agent
    log_level: str = "info"  # debug, info, warning or error
    log_format: LogFormat = "text"  # one line of text or one JSON object per event


@dataclass(frozen=True, slots=True)
class Watchlist:
    """[watchlist]: which symbols matter to the operator."""

    symbols: tuple[str, ...] = ()  # canonical upper case, in the order of the file
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))  # name -> symbols
    discover: bool = True  # keep every symbol seen; False: only the watched ones

    @property
    def watched(self) -> tuple[str, ...]:
        """The symbols and those that only a group names, each once."""
        grouped = (symbol for members in self.groups.values() for symbol in members)
        return tuple(dict.fromkeys((*self.symbols, *grouped)))


@dataclass(frozen=True, slots=True)
class Http:
    """[http]: how any source is asked; every source may override every key."""

    deadline_s: float = 20.0  # whole request, from connect to the last byte
    max_body: int = 16 * MB  # decoded bytes of one answer
    max_backoff_s: float = HOUR  # the longest pause after failures
    breaker_s: float = HOUR  # pause after a refusal (401, 403, challenge page)
    user_agent: str | None = None  # replaces our own user agent altogether; None: ours, with the contact
    overlap_s: float = HOUR  # how far behind its cursor a stream asks again
    watchdog_s: float = 300.0  # longest silence of a push stream before it is connected anew
    page_every_s: float = (
        3.0  # how often a push stream hands over a page: it is stored at once, so this is how old it gets
    )
    max_pages: int = 10  # requests of one poll on its walk back to known ground


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """[sources.NAME], resolved: own keys, else those of [http], else what the source says of itself."""

    name: str  # stocktwits
    enabled: bool  # it will be polled; never without streams or a needed acknowledgement
    off_reason: str | None  # why it will not be polled, for a person; None when it will
    streams: tuple[str, ...]  # canonical names, each once
    interval_s: float  # seconds between two polls of one stream
    base_url: str  # no trailing slash, with a path where the source's own has one
    own_base_url: bool  # the operator's, not the source's own
    budget: tuple[int, float]  # (requests, seconds) that it may use at most
    deadline_s: float  # as in Http
    max_body: int
    max_backoff_s: float
    breaker_s: float
    overlap_s: float
    watchdog_s: float
    page_every_s: float
    max_pages: int
    user_agent: str  # what it is told, contact included
    pace_by: PaceBy  # a rate limit holds for the "source", or for its "host" with whoever else asks there
    keep: str  # "all" messages, or only those with "mentions"
    show: bool  # its messages stand in briefs and reports; False: they are only counted
    text_s: float | None  # how long the words of its messages are kept; None: as long as [store.retention] says
    acknowledge_terms: bool  # the operator has read the terms and takes the consequences
    recheck_s: float  # seconds between two passes that ask whether what is stored is still there; 0: it is not asked
    credentials: Mapping[str, Secret] = field(default_factory=_nothing)  # only those that were given


@dataclass(frozen=True, slots=True)
class Extract:
    """[extract]: finding symbols in text."""

    threshold: float = 0.5  # 0..1; mentions below this confidence are not counted
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # name in text -> symbol
    block: tuple[str, ...] = ()  # symbols never found by their bare form
    allow: tuple[str, ...] = ()  # symbols always found by their bare form


@dataclass(frozen=True, slots=True)
class Second:
    """[tone.second]: a second opinion on some messages, to compare with."""

    model: Path | None = None  # folder of a text classifier; None: nobody is asked
    share: float = 0.01  # 0..1, of the messages
    # what the classifier calls its classes -> what that means; those that are missing go by their names
    labels: Mapping[str, StanceName] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Tone:
    """[tone]: scoring text."""

    scorer: Scorer = "learned"  # which scorer makes the tone
    neutral_band: float = 0.1  # 0..0.5; p_bullish within 0.5 ± band is neutral
    lexicon: Path | None = None  # the operator's word list; None: the one that comes along
    model: Path | None = None  # learned weights to use as they are; None: the promoted ones, else those that come along
    learn: bool = False  # learn from declared labels, and promote what is no worse
    second: Second = field(default_factory=Second)


@dataclass(frozen=True, slots=True)
class Window:
    """A span over which the meter reads."""

    name: str  # as written: 24h; it names the window in the readings
    seconds: float


@dataclass(frozen=True, slots=True)
class Meter:
    """[meter]: from counts to a score and a label."""

    bands: tuple[float, float, float, float] = (25.0, 45.0, 55.0, 75.0)  # scores at which the label changes
    windows: tuple[Window, ...] = (Window("1h", HOUR), Window("24h", DAY), Window("7d", 7 * DAY))
    k: float = 4.0  # messages' worth of the market's habit that every ratio is shrunk towards
    baseline_days: int = 28  # whole days that the expected volume looks back on


@dataclass(frozen=True, slots=True)
class Spikes:
    """[spikes]: what counts as one. All three have to be reached."""

    z: float = 3.0  # surprise, in standard deviations
    minimum_messages: int = 10  # organic messages in the bucket
    minimum_authors: int = 5  # distinct authors in the bucket


@dataclass(frozen=True, slots=True)
class UniverseLists:
    """[universe]: the published lists of securities."""

    enabled: bool = True  # fetch them; False: what comes with the program, and what a person loads from a folder
    every_s: float = DAY  # how old a list may grow
    lists: tuple[str, ...] = ("nasdaq", "nasdaq_other", "sec_exchanges", "sec_tickers", "coins", "foreign")
    foreign: tuple[str, ...] = ("HKG", "LSE", "TOR", "VAN")  # markets of the list foreign
    addresses: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # publisher -> mirror


@dataclass(frozen=True, slots=True)
class Store:
    """[store]: the database file and how long things are kept in it."""

    path: Path  # the DuckDB file
    publish: Path | None = None  # where the read copy goes; None: no copy is made
    flush_s: float = 4.0  # how often collected pages are committed
    spill_limit: int = 256 * MB  # bytes that wait beside the file while somebody else holds it
    memory_limit: int = 512 * MB  # bytes that DuckDB may use
    threads: int = 2  # threads that DuckDB may use
    text_s: float = 30 * DAY  # how long the words of a message are kept
    mentions_s: float = 5 * YEAR  # how long mentions and tones are kept
    polls_s: float = 90 * DAY  # how long attempts are kept


@dataclass(frozen=True, slots=True)
class Jobs:
    """[jobs]: how often the daemon does what."""

    tick_s: float = 1.0  # how often due streams are looked for
    rollup_s: float = 30.0  # facts into buckets
    readings_s: float = 300.0  # buckets into readings
    prune_s: float = DAY  # drop what is past its retention
    publish_s: float = HOUR  # make the read copy
    learn_s: float = DAY  # learn from declared labels, where [tone] says so
    second_s: float = 60.0  # ask for second opinions, where there is one to ask
    concurrency: int = 8  # polls at a time
    poll_deadline_s: float = 300.0  # whole poll, all its requests and waits
    stuck_s: float = 300.0  # no commit, or no end of a run that is overdue, for so long: only a restart helps


@dataclass(frozen=True, slots=True)
class Web:
    """[web]: what others may read over HTTP."""

    enabled: bool = True
    host: str = "127.0.0.1"  # where it listens: this machine only
    port: int = 8787  # 0: any free one, which the log names
    allowed_hosts: tuple[str, ...] = ()  # names under which it may be asked, beside those of this machine and `host`


@dataclass(frozen=True, slots=True)
class Comparison:
    """``sentiment_score > 80``: a column of the readings against a number."""

    column: str
    op: Literal[">", ">=", "<", "<="]
    number: float
    low: float | None  # the least value that the column can have; None: there is none
    high: float | None  # the greatest one

    def __str__(self) -> str:
        return f"{self.column} {self.op} {self.number:g}"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """[[alerts.rules]]: what is worth telling, and to whom."""

    name: str  # unique; it names the rule in the tables
    when: When
    channels: tuple[str, ...]  # names of channels, at least one
    comparison: Comparison | None = None  # of a crossing
    symbols: tuple[str, ...] | None = (
        None  # its own or those of its group; None: the watch-list, all symbols if that is empty
    )
    cool_down_s: float = 6 * HOUR  # after an event no other one about the same symbol is told for so long
    widths: tuple[str, ...] = ("1h", "1d")  # buckets in which spikes are looked for: 5m, 1h, 1d
    severity: str = "notable"  # least severity of a spike that is told: notable, high, extreme
    kind: str = "organic"  # spikes that are told: organic, copied, any
    window: Window = Window("24h", DAY)  # the readings that it looks at
    cron: str = ""  # when a digest is due, in the market's zone; every field spelt out


@dataclass(frozen=True, slots=True)
class Channel:
    """[alerts.channels]: where alerts go."""

    name: str
    url: Secret  # an address as apprise has them; never shown, logged or stored
    insecure: bool = False  # it may be asked without encryption or without a checked certificate
    private: bool = False  # it may lie on this machine or in a private network


@dataclass(frozen=True, slots=True)
class Alerts:
    """[alerts]: who is told what. Without rules nothing is."""

    rules: Mapping[str, AlertRule] = field(default_factory=lambda: MappingProxyType({}))  # by name, in the file's order
    channels: Mapping[str, Channel] = field(default_factory=lambda: MappingProxyType({}))  # by name
    link: str = "https://stocktwits.com/symbol/{symbol}"  # where to read on; empty: nowhere
    timeout_s: float = 20.0  # a receiver that has not answered after so long is given up
    attempts: int = 8  # so many tries, within a day
    backoff_s: float = 30.0  # wait after the first failure; it doubles with each, up to an hour


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the operator decided, checked as a whole."""

    tracker: Tracker
    watchlist: Watchlist
    sources: Mapping[str, SourceSettings]  # every known source, also those that are off
    http: Http
    extract: Extract
    tone: Tone
    meter: Meter
    spikes: Spikes
    store: Store
    jobs: Jobs
    alerts: Alerts
    universe: UniverseLists
    web: Web
    path: Path  # the file that it was read from
    written: Mapping[str, str]  # key -> value as written, where an environment variable went in: it may be secret
