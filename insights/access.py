"""Who may see and change what insights holds."""

from typing import Any

from audit.access import has_role

# Who brings in logs and switches detectors on.
OWNERS = ("automation_admin", "operator")


def may_import(user: Any) -> bool:
    """Tell whether ``user`` may bring in an event log."""
    return has_role(user, *OWNERS)
