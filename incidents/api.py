"""Signals and incidents for programs."""

from incidents.contributions import contribute, contribute_happenings, contribute_waiting

__all__ = ["contribute", "contribute_happenings", "contribute_waiting"]
