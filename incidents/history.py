"""Field-level history of incidents, written beside the statements that change them."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import models

from incidents import rows
from incidents.models import Incident


@lru_cache(maxsize=1)
def _model() -> Any:
    # Each look at `Incident.history` builds a class: more work than writing the row.
    return Incident.history.model


def remember(
    incidents: list[Incident], now: datetime, *, kind: str = "~", reason: str = "", by: AbstractBaseUser | None = None
) -> None:
    """Write one line of history per incident; ``kind`` is + or ~. Without ``by`` the request says who acts."""
    rows.insert([line(incident, now, kind=kind, reason=reason, by=by) for incident in incidents])


def line(
    incident: Incident, now: datetime, *, kind: str, reason: str = "", by: AbstractBaseUser | None = None
) -> models.Model:
    """Return the line of history that tells how ``incident`` stands, not yet saved."""
    model = _model()
    user = by or model.get_default_history_user(incident)
    columns = {field.attname: getattr(incident, field.attname) for field in model.tracked_fields}
    made: models.Model = model(
        history_date=now,
        history_type=kind,
        history_change_reason=reason[:100],
        history_user_id=user.pk if user else None,
        **columns,
    )
    return made
