"""Tasks that every Celeriac app has."""

from typing import Any

__all__ = ["CHORD_JOIN", "CHORD_JOIN_RETRIES", "join_chord"]

#: Runs when every header of a chord has ended; its row waits for them from before they exist.
CHORD_JOIN = "celeriac.chord_join"

#: The join itself must survive a bad minute of the database.
CHORD_JOIN_RETRIES = {"autoretry_for": (Exception,), "retry_backoff": True, "retry_backoff_max": 60, "max_retries": 12}


def join_chord(self: Any, body: Any, header_ids: list[str]) -> None:
    """Run the chord's body with its headers' results, or fail the body if a header failed."""
    self.app.backend.join_chord(body, header_ids)
