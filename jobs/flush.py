"""Commit what polls have brought."""

from tracker.app import App

LOOK_S = 0.25  # how often it is looked whether anything has waited for long enough


async def run(app: App) -> None:
    """Short openings of the file, so that it is free nearly always."""
    await app.flush_due()
