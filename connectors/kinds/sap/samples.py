"""What SAP sends, for people to try a hook with."""

from connectors.base import Sample

EVENT = Sample(
    """{
  "specversion": "1.0",
  "type": "sap.s4.beh.salesorder.v1.SalesOrder.Changed.v1",
  "source": "/default/sap.s4.beh/S4DCLNT100",
  "id": "00000000-0000-4000-8000-000000000001",
  "time": "2026-01-01T00:00:00Z",
  "datacontenttype": "application/json",
  "data": {"SalesOrder": "1"}
}""",
    "application/cloudevents+json",
)
