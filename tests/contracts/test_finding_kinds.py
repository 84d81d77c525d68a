"""What kinds that find records by declared fields have in common."""

import pytest

from connectors import gateway
from connectors.base import Blocked, Connector, Read
from connectors.kit.finding import SETTING, FindArguments
from connectors.models import Connection
from tests.contracts.test_connector_kinds import KINDS, connection_of, operations_of

pytestmark = pytest.mark.any_database

FINDING = pytest.mark.parametrize(
    "kind", [kind for _, kind in KINDS if any(operation.name == "record.find" for operation in operations_of(kind))]
)


@FINDING
def test_finding_is_one_read_of_one_shape_that_evidence_may_use(kind: type[Connector]) -> None:
    operation = next(one for one in operations_of(kind) if one.name == "record.find")

    assert isinstance(operation, Read)
    assert operation.query_language is None
    assert issubclass(operation.arguments, FindArguments)
    assert list(operation.arguments.model_fields) == ["entity", "where", "fields", "limit"]
    assert kind.config.model_fields["findable"].title == SETTING


@FINDING
def test_what_nobody_opened_for_finding_is_not_asked_for(
    kind: type[Connector], db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connection_of(kind)
    Connection.objects.filter(pk=connection.pk).update(config={**connection.config, "findable": ""})
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("Something was asked."))
    fields = next(one for one in operations_of(kind) if one.name == "record.find").arguments.model_fields
    asked = {name: (fields[name].examples or [""])[0] for name in ("entity", "where")}

    with pytest.raises(Blocked, match=f"{SETTING}” at the connection opens nothing") as blocked:
        gateway.call(connection, "record.find", asked, actor="test")

    assert blocked.value.code == "entity"
