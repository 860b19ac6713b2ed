"""Facts into buckets and spikes."""

from tracker.app import App


async def run(app: App) -> None:
    """Only what was touched since the last time."""
    await app.rollup()
