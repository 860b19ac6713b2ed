"""What the meter shows, written down."""

from tracker.app import App


async def run(app: App) -> None:
    """Flushing takes the readings of each five minutes first, from what was known until then."""
    await app.flush()
