"""What F&O sends, for people to try a hook with."""

from connectors.base import Sample

BUSINESS_EVENT = Sample(
    """{
  "BusinessEventId": "SalesInvoicePostedBusinessEvent",
  "BusinessEventLegalEntity": "demf",
  "ControlNumber": 5637145326,
  "EventId": "00000000-0000-4000-8000-000000000001",
  "EventTimeIso8601": "2026-01-01T00:00:00.0000000Z",
  "InvoiceId": "CIV-000001",
  "SalesOrderId": "SO-000001"
}"""
)
