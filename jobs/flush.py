"""Commit what polls have brought."""

from tracker.app import App


async def run(app: App) -> None:
    """Short openings of the file, so that it is free nearly always."""
    await app.flush()
