"""Slack and Teams as they answer and tell on the wire."""
