"""The files by which it is installed: hardened, complete, and in step with the program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tracker.config_schema import Store, Web

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "deploy" / "tracker.service"
IMAGE = ROOT / "deploy" / "Containerfile"


def unit() -> dict[str, dict[str, str]]:
    """Section -> key -> value; a key that stands twice is a mistake here."""
    found: dict[str, dict[str, str]] = {}
    section = ""
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            found[section] = {}
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        assert key not in found[section], f"{key} stands twice"
        found[section][key] = value
    return found


def seconds(text: str) -> float:
    number, word = re.fullmatch(r"(\d+)(s|min)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "min": 60}[word]


def test_the_unit_says_what_it_has_to() -> None:
    service = unit()["Service"]
    assert unit().keys() == {"Unit", "Service", "Install"}
    assert service["Type"] == "notify"
    assert service["ExecStart"].split()[-1] == "run"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2", "as long as 2 is the exit code of a wrong configuration"
    for key in ("DynamicUser", "PrivateTmp", "NoNewPrivileges", "ProtectHome", "PrivateDevices", "RestrictSUIDSGID", "LockPersonality"):  # fmt: skip
        assert service[key] == "yes", key
    assert service["ProtectSystem"] == "strict"
    assert service["RestrictAddressFamilies"].split() == ["AF_INET", "AF_INET6", "AF_UNIX"]
    assert service["SystemCallFilter"] == "@system-service"
    assert service["CapabilityBoundingSet"] == ""
    assert service["UMask"] == "0077"
    assert service["StateDirectory"] == "tracker"
    assert f"/var/lib/{service['StateDirectory']}" in service["ExecStart"]


def test_limits_of_the_unit_leave_room_for_those_of_the_program() -> None:
    whole, service = unit()["Unit"], unit()["Service"]
    assert seconds(service["TimeoutStopSec"]) > 5  # an orderly end takes five seconds at most
    assert seconds(service["WatchdogSec"]) >= 30  # pings come every ten seconds
    assert int(whole["StartLimitBurst"]) * (seconds(service["RestartSec"]) + 10) < seconds(whole["StartLimitIntervalSec"])  # fmt: skip
    assert int(service["MemoryMax"].removesuffix("G")) * 2**30 > 2 * Store(path=Path()).memory_limit
    assert int(service["LimitNOFILE"]) >= 1024


def test_the_unit_is_one_for_systemd(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    there = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    copy = tmp_path / "tracker.service"
    copy.write_text(there.replace("file:/opt/tracker/docs/operating.md", "man:systemd(1)"), encoding="utf-8")
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60
    )
    told = [line for line in found.stderr.splitlines() if "tracker.service" in line]
    if not told and found.returncode != 0:
        pytest.skip(f"systemd-analyze can't look at units here: {found.stderr.strip()[:200]}")
    assert told == []
    assert found.returncode == 0


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", IMAGE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_runs_as_nobody_special_and_is_stopped_like_the_daemon() -> None:
    found = dict(instructions())
    order = [name for name, _ in instructions()]
    assert int(found["USER"]) >= 1000
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert "RUN" not in order[order.index("USER") :]
    assert found["STOPSIGNAL"] == "SIGTERM"
    for name in ("ENTRYPOINT", "CMD", "VOLUME"):  # exec form: the daemon is process 1 and gets the signal
        assert isinstance(json.loads(found[name]), list), name
    assert [*json.loads(found["ENTRYPOINT"]), *json.loads(found["CMD"])][-1] == "run"
    assert json.loads(found["VOLUME"]) == ["/data"]
    assert "ADD" not in order


def test_the_image_comes_from_a_named_version_of_a_public_one() -> None:
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert bases
    for base in bases:
        assert re.fullmatch(r"python:3\.\d+-slim", base), base


def test_the_image_asks_its_own_health_where_it_listens_by_default() -> None:
    _, _, command = dict(instructions())["HEALTHCHECK"].partition("CMD ")
    assert f"http://127.0.0.1:{Web().port}/health" in json.loads(command)[-1]


def test_all_that_is_copied_exists_and_nothing_private_is_sent_along() -> None:
    assert (ROOT / ".dockerignore").read_bytes() == (ROOT / ".containerignore").read_bytes()
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        word.removeprefix("./")
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for word in rest.split()[:-1]
    }
    assert rules[0] == "*"
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    refused = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    for secret in ("author.key", "secrets.env", "tracker.duckdb", "tracker.duckdb.wal", "tracker.journal"):
        assert any(fnmatch(secret, rule) for rule in refused), secret
