"""News of task mining for its own bells."""

from django.dispatch import Signal

# A task log waits for a worker; sent inside the transaction that makes it so. Arguments: log_id.
task_log_waits = Signal()
