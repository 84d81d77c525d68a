"""JSON as it should be: no duplicate keys, no NaN, no absurd depth or digits."""

from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """A JSON parser that refuses what different readers would read differently."""
