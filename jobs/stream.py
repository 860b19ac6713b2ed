"""Keep push streams connected."""

from tracker.app import App


async def run(app: App) -> None:
    """Connect those that are due and not connected."""
    app.poll_due(push=True)
