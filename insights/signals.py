"""News of this floor for its own bells."""

from django.dispatch import Signal

# An event log waits for a worker; sent inside the transaction that makes it so. Arguments: log_id.
log_waits = Signal()
