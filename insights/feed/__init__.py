"""The read-only OData v4 feed: what Power BI and Excel read, under the same access rules as every page."""
