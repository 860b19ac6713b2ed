"""Retention."""

from tracker.app import App


async def run(app: App) -> None:
    """Texts, mentions and attempts that are past their time go."""
    await app.prune()
