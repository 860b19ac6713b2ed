"""A second opinion on a sample of the newest messages."""

from tracker.app import App


async def run(app: App) -> None:
    """Off unless ``[tone.second] model`` names a classifier."""
    await app.ask_second()
