"""What Dataverse sends, for people to try a hook with."""

from connectors.base import Sample
from connectors.kinds.dataverse.events import ORGANIZATION

_UPDATE = """{
  "MessageName": "Update",
  "PrimaryEntityName": "incident",
  "PrimaryEntityId": "00000000-0000-4000-8000-000000000001",
  "OperationId": "00000000-0000-4000-8000-000000000002",
  "CorrelationId": "00000000-0000-4000-8000-000000000003",
  "OperationCreatedOn": "/Date(1767225600000+0000)/",
  "InputParameters": [
    {"key": "Target", "value": {
      "__type": "Entity:http://schemas.microsoft.com/xrm/2011/Contracts",
      "LogicalName": "incident",
      "Id": "00000000-0000-4000-8000-000000000001",
      "Attributes": [{"key": "title", "value": "A sample"}]}}
  ]
}"""


def update(organization: str) -> Sample:
    """Return a webhook about a changed case of this organization."""
    return Sample(_UPDATE, headers=((ORGANIZATION, organization),) if organization else ())
