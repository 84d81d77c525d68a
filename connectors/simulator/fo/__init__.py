"""Dynamics 365 F&O as it answers on the wire: data entities, their grammar, and what its actions do."""
