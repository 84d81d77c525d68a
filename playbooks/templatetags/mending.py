"""What pages of the floors below load from this one: they cannot import it, but their templates may ask."""

from collections.abc import Mapping
from typing import Any

from django import template

from audit.access import Person
from incidents.models import Incident
from playbooks.console.dossier import Dossier, dossier
from playbooks.console.previews import StepPreview, labels_of, previews_in

register = template.Library()


@register.simple_tag
def steps_in(summary: Mapping[str, Any]) -> list[StepPreview]:
    """Return the steps that a request for approval holds by value, ready to be read."""
    steps = summary.get("steps") or []
    return previews_in(steps, labels_of(step["connection"] for step in steps))


@register.simple_tag
def file_of(incident_id: int, user: Person) -> Dossier | None:
    """Return the file of an incident, where ``user`` may see it."""
    try:
        return dossier(Incident.objects.visible_to(user), incident_id, user)  # type: ignore[arg-type]
    except Incident.DoesNotExist:
        return None
