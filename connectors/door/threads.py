"""Threads that our own messages began: what somebody answers there belongs to the incident that was told of."""

from connectors.models import BegunThread, Call
from connectors.talk.messages import THREAD

LONGEST = 500


def note(call: Call) -> None:
    """Keep the thread that a message about an incident stands in; of several incidents the first one counts."""
    result = call.answer.get("result")
    thread = result.get(THREAD) if isinstance(result, dict) else None
    if call.incident_id is not None and isinstance(thread, str) and thread:
        row = BegunThread(connection_id=call.connection_id, thread=thread[:LONGEST], incident_id=call.incident_id)
        BegunThread.objects.bulk_create([row], ignore_conflicts=True)


def incident_of(connection_id: int, thread: str) -> int | None:
    """Return the number of the incident that the message which began a thread told of."""
    rows = BegunThread.objects.filter(connection=connection_id, thread=thread[:LONGEST])
    return rows.values_list("incident_id", flat=True).first()
