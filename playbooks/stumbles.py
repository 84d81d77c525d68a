"""Counts how often the loop could not carry an incident past its present status, for back-off and for people to see."""

from audit.clock import db_now
from incidents.models import Incident
from playbooks.models import Stumble

FAULT = "Goldseam: "  # a failure of ours begins so; it is not counted together with those of other systems


def note(incident: Incident, message: str) -> int:
    """Count one more failure of this sort in this status and return how many there have been in a row."""
    stumble, _ = Stumble.objects.get_or_create(incident=incident, defaults={"status": incident.status, "at": db_now()})
    alike = stumble.status == incident.status and stumble.message.startswith(FAULT) == message.startswith(FAULT)
    count = stumble.count + 1 if alike else 1
    Stumble.objects.filter(pk=stumble.pk).update(
        status=incident.status, count=count, message=message[:2000], at=db_now()
    )
    return count


def forget(incident: Incident) -> None:
    """It goes on again."""
    Stumble.objects.filter(incident=incident).delete()
