"""What Teams needs to let a card be posted."""

from typing import Any

from connectors.kit.needs import Needs, Told


def needs(settings: Any) -> Told:
    """Return the one right: the workflow's address, which may post where the workflow posts and nowhere else."""
    return Told((), {"teams.post": Needs(("a workflow that posts to one channel",))})
