"""A copy for those who want to stay connected."""

from tracker.app import App


async def run(app: App) -> None:
    """Off unless ``[store] publish`` names a path."""
    await app.publish()
