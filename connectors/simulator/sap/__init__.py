"""SAP as it answers and tells on the wire: OData in two versions, functions, IDocs, and its side of the business."""
