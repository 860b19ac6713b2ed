"""Who may import whom: the rooms of the house in order, and who owns which package of others.

A room is a module of ``tracker``, or a package or a family of modules as one (``store``, ``tone``, ``sources``, ``jobs``,
``config*``, ``cli*``). It imports only rooms of the layers above it; rooms of one layer do not know each other.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("version",),  # tracker/__init__.py
    # values and errors; the two clocks; what is done to bare text
    ("models", "rows", "errors", "secret", "clock", "text", "pulse", "systemd"),
    # what comes over the wire; what is written to the log; what is configured; which symbols exist
    ("wire", "log", "config", "universe"),
    # deciding: pure, each of them
    ("pacing", "walk", "xml_tree", "bars", "mentions", "tone", "render", "listings", "verdicts", "promotion"),
    # feeds of entries out of XML; what is no talk as rows: pure
    ("atom", "feed", "aside", "reddit_json"),
    # how well they do on what people have labelled
    ("evaluate_mentions",),
    # which lists there are, and what becomes of them: pure
    ("universe_lists", "universe_merge"),
    # one answer of a server, read without acting, and without the secrets that it may quote
    ("answer", "mask"),
    # the one door to the network
    ("http",),
    # one module a service; none of them sees another
    ("sources",),
    # a page becomes a batch; a batch becomes rows: neither knows the other. Files of archives become items
    ("ingest", "store", "archive"),
    # who is due; the SQL that people ask for by name; price bars out of files
    ("poller", "reports", "prices", "universe_refresh", "learn", "rescore"),
    # what each column means
    ("dictionary",),
    # named SQL as typed rows
    ("metrics",),
    # readings as prose, as a picture, beside what the price did next
    ("brief", "plot", "backtest"),
    # what is worth telling: pure
    ("alerts",),
    # how the tracker itself does: pure
    ("vitals",),
    # from the configuration to the parts
    ("parts",),
    # telling it; asking whether what is stored is still there
    ("notify", "recheck"),
    # everything put together
    ("app",),
    # schedules; what others may read of it over HTTP; archives through the same pipeline; the past of a stream
    ("jobs", "web", "replay", "backfill"),
    # the composition root: nothing imports it
    ("cli",),
)
FAMILIES = (
    "archive",
    "config",
    "cli",
    "plot",
    "notify",
    "alerts",
    "listings",
    "learn",
    "replay",
)  # config_schema.py belongs to config, cli_read.py to cli

OWNERS: dict[str, frozenset[str]] = {
    "duckdb": frozenset({"store"}),
    "apscheduler": frozenset({"jobs"}),
    "vaderSentiment": frozenset({"tone"}),
    # app: the type of the transport that it hands on; mask: how it writes what stands in an address
    "httpx": frozenset({"answer", "http", "app", "mask"}),
    "websockets": frozenset({"http"}),
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli", "render"}),
    "tzdata": frozenset(),  # found by the standard library
    "apprise": frozenset({"notify"}),
    "ahocorasick_rs": frozenset({"mentions"}),
    "starlette": frozenset({"web"}),
    "uvicorn": frozenset({"web"}),
    "prometheus_client": frozenset({"web"}),
}
EXTRAS: dict[str, frozenset[str]] = {
    "matplotlib": frozenset({"plot"}),
    "plotly": frozenset({"plot"}),
    "onnxruntime": frozenset({"tone"}),
    "tokenizers": frozenset({"tone"}),
    "numpy": frozenset({"tone"}),
    "zstandard": frozenset(),  # found by its name, where the standard library has no Zstandard
}

# imports within a function, each for a reason that stands beside it
LATE = frozenset(
    {"tracker.tone", "tracker.tone.second", "jobs.daemon", "tracker.cli", "tracker.plot_static", "tracker.plot_page"}
)

# the wall clock is an argument; these read it: the clock itself, and who stands at an edge of the program
WALL = frozenset({"tracker.clock", "tracker.http", "tracker.cli", "tracker.replay", "jobs"})


@dataclass(frozen=True, slots=True)
class Module:
    """One file of ours, parsed."""

    name: str  # dotted, a package without its __init__
    tree: ast.Module

    @property
    def room(self) -> str:
        top, *rest = self.name.split(".")
        if top == "jobs":
            return "jobs"
        if not rest:
            return "version"
        first = "cli" if rest[0] == "__main__" else rest[0]
        return next((family for family in FAMILIES if first.startswith(f"{family}_")), first)


@cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted([*(ROOT / "tracker").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = Module(name, ast.parse(path.read_text(encoding="utf-8")))
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all that is imported, wherever the import stands; of ours the module, not the name in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules() else str(node.module)


DEPTH = {room: depth for depth, layer in enumerate(LAYERS) for room in layer}


def test_every_module_has_its_room_and_every_room_its_module() -> None:
    assert {module.room for module in modules().values()} == set(DEPTH)
    assert len(DEPTH) == sum(len(layer) for layer in LAYERS), "a room is named once"


def test_a_room_imports_only_rooms_of_the_layers_above_it() -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules().values()
        for name in imported(module.tree)
        if name in modules() and (other := modules()[name].room) != module.room and DEPTH[other] >= DEPTH[module.room]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", OWNERS | EXTRAS)
def test_a_package_of_others_has_its_owner(package: str) -> None:
    users = {
        module.room
        for module in modules().values()
        if package in {name.split(".")[0] for name in imported(module.tree)}
    }
    assert users == (OWNERS | EXTRAS)[package]


def test_every_package_that_the_project_needs_is_owned_and_no_other_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [needed for name, extra in project["optional-dependencies"].items() if name != "dev" for needed in extra]
    for needed, owners in ((project["dependencies"], OWNERS), (extras, EXTRAS)):
        names = {requirement.split(">")[0].split("=")[0].strip().lower().replace("-", "_") for requirement in needed}
        assert names == {package.lower() for package in owners}
    tops = {name.split(".")[0] for module in modules().values() for name in imported(module.tree)}
    assert tops - set(sys.stdlib_module_names) - {"tracker", "jobs"} == {
        package for package, rooms in (OWNERS | EXTRAS).items() if rooms
    }


def test_a_source_sees_the_network_and_pure_helpers_and_nothing_else() -> None:
    allowed = {"models", "errors", "secret", "wire", "walk", "atom", "reddit_json", "bars", "feed", "http", "text"}
    for module in modules().values():
        if module.room == "sources":
            seen = {modules()[name].room for name in imported(module.tree) if name in modules()}
            others = {name for name in imported(module.tree) if name.startswith("tracker.sources")}
            assert seen <= allowed, module.name
            assert others == set(), f"{module.name} knows another source"


def test_what_decides_has_no_way_to_act() -> None:
    acting = {"asyncio", "os", "socket", "subprocess", "threading", "time", "urllib.request"}
    for room in (
        "models",
        "errors",
        "text",
        "wire",
        "pacing",
        "walk",
        "xml_tree",
        "atom",
        "reddit_json",
        "feed",
        "bars",
        "aside",
        "mentions",
    ):
        assert acting & set(imported(modules()[f"tracker.{room}"].tree)) == set(), room


def test_the_engine_knows_no_schedule() -> None:
    users = {
        module.name for module in modules().values() if "jobs" in {name.split(".")[0] for name in imported(module.tree)}
    }
    assert {name for name in users if name.startswith("tracker")} == {"tracker.cli"}


def test_nobody_rolls_dice() -> None:
    assert [module.name for module in modules().values() if "random" in set(imported(module.tree))] == []


def reads_the_wall(tree: ast.AST) -> bool:
    written = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return bool(written & {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"})


def test_time_is_an_argument_but_at_the_edges() -> None:
    assert {module.name for module in modules().values() if reads_the_wall(module.tree)} <= WALL


def test_imports_stand_at_the_top_but_for_named_reasons() -> None:
    late = {
        module.name
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and list(imported(node))
    }
    assert late <= LATE


def test_the_check_sees_an_import_wherever_it_stands() -> None:
    tree = ast.parse(
        "if TYPE_CHECKING:\n    import duckdb\ndef f():\n    from tracker.store import people\nfrom tracker import app\n"
    )
    assert set(imported(tree)) == {"duckdb", "tracker.store.people", "tracker.app"}
