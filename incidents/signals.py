"""What the backbone tells the floors above."""

from django.dispatch import Signal

# Sent inside the transaction when an incident has something for the loop to do: sender=Incident, incident_id=int.
incident_due = Signal()
# Sent inside the transaction, before what was proposed or asked about an incident is overtaken and it is looked into
# afresh: sender=Incident, incident=Incident, actor=str, reason=str.
incident_overtaken = Signal()
# Sent after the commit of a move: sender=Incident, incident_id=int, status=str.
incident_moved = Signal()
