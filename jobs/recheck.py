"""Whether what is stored is still there, where deletions are silent."""

from tracker.app import App


async def run(app: App) -> None:
    """Start one request to each source that is due and has room beside its polls."""
    app.recheck()
