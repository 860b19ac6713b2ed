"""How people here write, learned from the labels that they declare."""

from tracker.app import App

LOOK_S = 60.0  # how often it is looked whether a run is due, and whether a person has put another model in force


async def run(app: App) -> None:
    """Take up the model in force; learn when `[tone] learn` says so and it is time."""
    await app.learn()
