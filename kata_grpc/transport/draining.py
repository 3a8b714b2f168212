"""Whether the server is stopping: long calls look between two steps."""

from __future__ import annotations


class Draining:
    """Starts once and stays so."""

    def __init__(self) -> None:
        self.started = False

    def start(self) -> None:
        """From now on long calls end where they can be resumed."""
        self.started = True
