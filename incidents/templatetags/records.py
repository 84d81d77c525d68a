"""What the pages of the floors above load about an incident's entities."""

from typing import Any

from django import template

from audit.access import has_role
from incidents.entities import DECIDERS
from incidents.known import records_of
from incidents.models import Incident

register = template.Library()


@register.inclusion_tag("incidents/_records.html", takes_context=True)
def incident_records(context: dict[str, Any], incident: Incident, *, may_merge: bool = False) -> dict[str, Any]:
    """Draw what each system calls the entities of an incident, as far as the reader may see."""
    reader = context["request"].user
    return {
        "request": context["request"],
        "csrf_token": context.get("csrf_token", ""),
        "incident": incident,
        "known": records_of(incident, reader),
        "may_decide": has_role(reader, *DECIDERS),
        "may_merge": may_merge,
    }
