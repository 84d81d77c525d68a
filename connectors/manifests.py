"""Connections as code: one YAML document each, with secrets that come from the environment or from files."""

import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from audit.errors import Invalid
from audit.manifests import Difference, Document, DocumentType, differences
from connectors import actions, registry, repointing, texts, vault
from connectors.base import Connector, Operation
from connectors.door import budgeting, governing
from connectors.inbound.webhooks import hook_digest
from connectors.models import Connection

REASON = "applied from a file"
_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(.*)", re.DOTALL)


class ConnectionDocument(Document):
    """One configured system. ``connector`` is its kind of system, such as dynamics_fo."""

    slug: str = Field(max_length=60, pattern=r"^[-\w]+$")
    connector: str = Field(max_length=40)
    label: str = Field(default="", max_length=120)
    # A text may begin with env:NAME: the variable's value takes its place, what follows stays (env:ERP_URL/fo).
    config: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    operations: list[str] = []
    poll: bool = False
    enabled: bool = True
    owner: str = ""
    hook_secret: str = ""
    data_class: str = "business"
    reads: list[str] = []
    labels: dict[str, str] = {}
    cleared: list[str] = []
    team: str = ""
    rate_calls: int | None = None
    rate_seconds: int | None = None
    price_call: Decimal | None = None
    price_tokens: Decimal | None = None
    price_currency: str = ""

    @field_validator("connector")
    @classmethod
    def connector_is_known(cls, value: str) -> str:
        if value not in registry.KINDS:
            raise ValueError(f"unknown connector {value}; known are {', '.join(sorted(registry.KINDS))}")
        return value

    @field_validator("secrets")
    @classmethod
    def secrets_stay_out_of_files(cls, value: dict[str, str]) -> dict[str, str]:
        for name, source in value.items():
            if not source.startswith(("env:", "file:")):
                raise ValueError(f"write {name}: env:NAME or file:PATH, so that no secret stands in this file")
        return value

    @field_validator("hook_secret")
    @classmethod
    def hook_secret_stays_out_of_files(cls, value: str) -> str:
        if value and not value.startswith(("env:", "file:")):
            raise ValueError("write hook_secret: env:NAME or file:PATH, so that no secret stands in this file")
        return value


def plan_connection(document: ConnectionDocument) -> list[Difference]:
    """Say what applying a connection would change; of a secret only that it would. Raises ``Invalid``."""
    connection = Connection.objects.filter(slug=document.slug).first()
    before = actions.described(connection) if connection else None
    if connection is not None and connection.kind != document.connector:
        raise Invalid(
            f"connection {document.slug} is of the kind {connection.kind}: delete it, or use another slug.",
            {"connector": [f"Is {connection.kind}."]},
        )
    lines = differences(f"connection {document.slug}", before, _wanted(document))
    for name, value in _secrets(document).items():
        if connection is None or not _holds(connection, name, value):
            was = "set" if connection and name in connection.secrets else None
            lines.append(Difference(f"connection {document.slug}", f"secret {name}", was, "changed"))
    hook = _hook_secret(document)
    if hook and (connection is None or connection.hook_secret_digest != hook_digest(hook)):
        was = "set" if connection and connection.hook_secret_digest else None
        lines.append(Difference(f"connection {document.slug}", "hook_secret", was, "changed"))
    return lines


def apply_connection(document: ConnectionDocument, actor: str) -> bool:
    """Make the connection or bring it in line; nothing is called."""
    lines = plan_connection(document)
    if not lines:
        return False
    wanted = {**_wanted(document), "owner": actions.owner_named(document.owner)}
    wanted["config"] = texts.keep(registry.KINDS[document.connector], _settings(document).model_dump(mode="json"))
    changed = {line.field.removeprefix("secret ") for line in lines if line.field.startswith("secret ")}
    hook_secret = _hook_secret(document) if any(line.field == "hook_secret" for line in lines) else ""
    connection = Connection.objects.filter(slug=document.slug).first()
    moved = connection is not None and repointing.fresh_origins(
        registry.KINDS[document.connector], connection.config, wanted["config"]
    )
    # Whoever brings the secrets may send them elsewhere: then all that the file names are given, changed or not.
    secrets = {name: value for name, value in _secrets(document).items() if moved or name in changed}
    if connection is None:
        actions.create_connection(
            document.slug, document.connector, actor=actor, secrets=secrets, hook_secret=hook_secret,
            reason=REASON, **wanted,
        )  # fmt: skip
    else:
        actions.update_connection(
            connection, actor=actor, secrets=secrets, hook_secret=hook_secret, reason=REASON, **wanted
        )
    return True


def _wanted(document: ConnectionDocument) -> dict[str, Any]:
    kind, settings = registry.KINDS[document.connector], _settings(document)
    known = kind.operations_of(settings)
    return {
        "label": document.label or document.slug,
        "config": texts.named(kind, settings.model_dump(mode="json")),
        "operations": actions.valid_operations(kind, known, document.operations),
        "enabled": document.enabled,
        "poll": document.poll,
        "owner": document.owner,
        **_governed(document, kind, known),
    }


def _settings(document: ConnectionDocument) -> Any:
    """Return the settings that a document describes; a long text may lie in a file of its own (file:PATH)."""
    kind, where = registry.KINDS[document.connector], f"connection {document.slug}"
    config = {name: _resolved(value, f"{where}: {name}") for name, value in document.config.items()}
    for name in texts.fields_of(kind):
        if isinstance(config.get(name), str) and config[name].startswith("file:"):
            config[name] = _secret(config[name], f"{where}: {name}")
    return actions.valid_settings(document.connector, config)


def _governed(document: ConnectionDocument, kind: type[Connector], known: Sequence[Operation]) -> dict[str, Any]:
    """Return the rules of use as they would be stored. Raises ``Invalid``."""
    columns = {name: getattr(document, name) for name in governing.COLUMNS}
    wanted = Connection(slug=document.slug, kind=document.connector, **columns)
    governing.check(wanted, kind, known)
    return governing.described(wanted)


def _resolved(value: Any, where: str) -> Any:
    """Put an environment variable's value in the place of ``env:NAME`` at the beginning of a text."""
    found = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    return _variable(found[1], where) + found[2] if found else value


def _variable(name: str, where: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise Invalid(f"{where}: the environment variable {name} is not set.", {where: [f"Set {name}."]})
    return value


def _secret(source: str, where: str) -> str:
    """Read a secret from ``env:NAME`` or ``file:PATH``; an empty one must never be applied silently."""
    if source.startswith("env:"):
        return _variable(source.removeprefix("env:"), where)
    path = Path(source.removeprefix("file:"))
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{where}: {path} cannot be read.", {where: [type(error).__name__]}) from None
    if not value:
        raise Invalid(f"{where}: {path} is empty.", {where: ["Empty."]})
    return value


def _secrets(document: ConnectionDocument) -> Mapping[str, str]:
    return {
        name: _secret(source, f"connection {document.slug}: secret {name}") for name, source in document.secrets.items()
    }


def _hook_secret(document: ConnectionDocument) -> str:
    if not document.hook_secret:
        return ""
    return _secret(document.hook_secret, f"connection {document.slug}: hook_secret")


def _holds(connection: Connection, name: str, value: str) -> bool:
    sealed = connection.secrets.get(name)
    if sealed is None or vault.needs_resealing(sealed):
        return False
    try:
        return vault.open_sealed(connection, name, sealed) == value
    except vault.CannotOpen:
        return False


DOCUMENTS: dict[str, DocumentType] = {
    "connection": DocumentType(ConnectionDocument, 30, plan_connection, apply_connection),
    **budgeting.DOCUMENTS,
}
