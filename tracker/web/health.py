"""``/health``: the judgement as JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import Any

from tracker import __version__
from tracker.vitals import Judgement, Vitals


def document(vitals: Vitals, found: Judgement) -> dict[str, Any]:
    """What ``/health`` answers. Unknown is null."""
    return {
        "status": found.status,
        "at": vitals.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": __version__,
        "up_seconds": round(vitals.up_s, 1),
        "reasons": [asdict(reason) for reason in found.reasons],
        "sources": {"up": list(found.up), "out": list(found.out), "unknown": list(found.unknown)},
        "waiting_batches": vitals.waiting,
        "database": {
            "read_seconds_ago": None if vitals.health_age_s is None else round(vitals.health_age_s, 1),
            "held_seconds": None if vitals.held_s is None else round(vitals.held_s, 1),
        },
    }


def status_code(found: Judgement) -> int:
    """A load balancer and a container runtime look at nothing else."""
    return 503 if found.status == "down" else 200
