"""Dataverse as it answers on the wire: tables, queries, change tracking, change sets."""
