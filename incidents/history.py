"""Field-level history of incidents, written beside the statements that change them."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from incidents import rows
from incidents.models import Incident


@lru_cache(maxsize=1)
def model() -> Any:
    """Return the model of the lines."""
    # Each look at `Incident.history` builds a class: more work than writing the row.
    return Incident.history.model


def remember(
    incidents: list[Incident], now: datetime, *, kind: str = "~", reason: str = "", by: AbstractBaseUser | None = None
) -> None:
    """Write one line of history per incident; ``kind`` is + or ~. Without ``by`` the request says who acts."""
    rows.put(model(), lines(incidents, now, kind=kind, reason=reason, by=by))


def lines(
    incidents: list[Incident], now: datetime, *, kind: str, reason: str = "", by: AbstractBaseUser | None = None
) -> list[dict[str, Any]]:
    """Return the rows of history that tell how ``incidents`` stand."""
    tracked = _tracked()
    user = by or (model().get_default_history_user(incidents[0]) if incidents else None)
    told = {
        "history_date": now,
        "history_type": kind,
        "history_change_reason": reason[:100],
        "history_user_id": user.pk if user else None,
    }
    return [{column: getattr(incident, name) for name, column in tracked} | told for incident in incidents]


@lru_cache(maxsize=1)
def _tracked() -> list[tuple[str, str]]:
    return [(field.attname, str(field.column)) for field in model().tracked_fields]
