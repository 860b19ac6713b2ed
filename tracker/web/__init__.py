"""What others may read over HTTP while the daemon runs: ``/health`` and ``/metrics``. Read-only, on this machine.

    App ─► board (one question to the database, cached) ─► Vitals, Counts ─► health, metrics (pure) ─► guard ─► server

It runs in the loop of the daemon and never waits for the database: what it can't have at once it answers as last read,
and says how old that is. No secret, no path and no words of a message or of a server stand in any answer.
"""

from tracker.web.server import serve

__all__ = ["serve"]
