"""No byte of the file keeps what was taken away."""

from tracker.app import App


async def run(app: App) -> None:
    """Looks as often as there is a flush; rewrites when there is a reason and the pause is over."""
    await app.scrub()
