"""A secret stays with the addresses for which it was entered: who may change a connection cannot have it sent away."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic.fields import FieldInfo

from audit.errors import Invalid
from connectors.base import Connector

SECRETS = "secrets."  # what the names of errors begin with
_HOST, _PORT = "_host", "_port"
# Addresses that people follow, or that are fetched without any secret.
_WITHOUT_SECRETS = ("link", "fetches")


def hold(
    kind: type[Connector],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    stored: Collection[str],
    given: Collection[str],
) -> None:
    """Let settings change from ``before`` to ``after`` while the secrets ``stored`` stay, but for those ``given`` anew.

    Raises ``Invalid``, by secret, where one would be sent to a host that was none of the connection's.
    """
    fresh = fresh_origins(kind, before, after)
    kept = sorted(set(stored) - set(given) - {kind.signed_with})
    if fresh and kept:
        said = f"Enter it again: it would be sent to another address, {', '.join(fresh)}."
        errors = {f"{SECRETS}{name}": [said] for name in kept}
        raise Invalid(f"The address changes: enter {', '.join(kept)} again.", errors)


def fresh_origins(kind: type[Connector], before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return where the settings ``after`` send to and ``before`` did not; an address that the kind names is none."""
    return sorted(origins(kind, after) - origins(kind, before) - origins(kind, {}))


def origins(kind: type[Connector], config: Mapping[str, Any]) -> frozenset[str]:
    """Return the schemes, hosts and ports that a configuration sends to."""
    found = set()
    for name, info in kind.config.model_fields.items():
        value = config.get(name, info.default)
        if not isinstance(value, str) or not value or _without_secrets(info):
            continue
        if value.lower().startswith(("http://", "https://")):
            parts = urlsplit(value)
            found.add(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower())
        elif name.endswith(_HOST) and f"{name.removesuffix(_HOST)}_url" not in kind.secrets:
            # Beside a secret address its host is only what that address is held against.
            port = name.removesuffix(_HOST) + _PORT
            known = kind.config.model_fields.get(port)
            found.add(f"{value}:{config.get(port, known.default) if known else ''}".lower())
    return frozenset(found)


def _without_secrets(info: FieldInfo) -> bool:
    marks = info.json_schema_extra
    return isinstance(marks, dict) and any(mark in marks for mark in _WITHOUT_SECRETS)
