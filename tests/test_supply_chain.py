"""What is imported asks nobody: every module, in a process in which no name is resolved and no socket connects."""

from __future__ import annotations

import subprocess
import sys

from world_daemon import ROOT, environment

EVERYTHING = """
import importlib, pkgutil, sys
banned = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname",
          "socket.gethostbyaddr", "socket.getnameinfo", "subprocess.Popen", "os.system", "os.posix_spawn", "os.fork",
          "urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect"}
asked = []
def watch(name, arguments):
    if name in banned:
        asked.append(name)
        raise OSError(f"{name} is banned here")
sys.addaudithook(watch)
import tracker, jobs
found = []
for package in (tracker, jobs):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            found.append(module.name)
try:
    __import__("socket").create_connection(("127.0.0.1", 9), 1)
except OSError as error:
    assert "banned" in str(error), error
print(len(found), asked.count("socket.getaddrinfo"), len(asked))
"""


def test_no_module_asks_the_network_or_starts_a_process_when_it_is_imported() -> None:
    found = subprocess.run(
        [sys.executable, "-c", EVERYTHING], capture_output=True, text=True, timeout=120, env=environment(), cwd=ROOT
    )
    assert found.returncode == 0, found.stderr[-2000:]
    modules, tried, asked = map(int, found.stdout.split())
    assert modules > 100
    assert (tried, asked) == (1, 1), "only our own attempt, which shows that the ban holds"
