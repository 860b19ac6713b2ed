"""The published lists of securities, and how the stream writes their symbols."""

from tracker.app import App

LOOK_S = 3600.0  # how often it is looked which lists are due; each has its own time


async def run(app: App) -> None:
    """Fetch what is due. What can't be had is said once and tried again; nobody waits for it."""
    await app.refresh_universe()
