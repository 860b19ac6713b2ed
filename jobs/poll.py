"""Ask every stream that is due."""

from tracker.app import App


async def run(app: App) -> None:
    """Start the polls; they run on their own and are counted by the poller."""
    app.poll_due(push=False)
