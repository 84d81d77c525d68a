"""The API's parser; it stands on the ground floor, where the webhooks can reach it too."""

from audit.strictjson import StrictJSONParser

__all__ = ["StrictJSONParser"]
