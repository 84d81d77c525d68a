"""Why an action was not done: the one family of refusals that pages and the API know how to answer."""


class Refusal(Exception):
    """An action was not done, for a reason that the person who asked can act on.

    ``status`` is the HTTP status that the API answers with and ``code`` a stable word for programs.
    """

    status = 409
    code = "conflict"


class IllegalMove(Refusal):
    """The state machine has no such move from here."""

    code = "illegal_move"


class LostRace(Refusal):
    """Somebody else changed the row first; look again, then decide."""

    code = "lost_race"


class Stale(Refusal):
    """The caller saw an older version than the one that stands (``If-Match``)."""

    status = 412
    code = "stale"


class NotAllowed(Refusal):
    """This person may see the row but may not do this to it."""

    status = 403
    code = "not_allowed"


class Invalid(Refusal):
    """What was sent cannot be meant; ``errors`` names each field with its messages."""

    status = 400
    code = "invalid"

    def __init__(self, message: str, errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or {}
