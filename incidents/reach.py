"""How far a sender reaches: the units and regions whose incidents its signals may join.

One record is one problem, whoever tells of it, so the unit is no part of a fingerprint. But a sender of one unit must
neither attach to an incident of another nor learn that there is one. What it tells of such a record opens an incident
of its own unit, under a fingerprint set apart by that unit; a person who sees both can merge them.
"""

from dataclasses import dataclass

from audit.proofs import digest
from incidents.fingerprints import Fingerprint
from incidents.models import Incident, Signal
from incidents.normal import NormalSignal


@dataclass(frozen=True)
class Reach:
    """Units and regions that a sender works for; ``None``: all of them."""

    units: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None

    def covers(self, row: Incident | Signal) -> bool:
        """Tell whether the row is the sender's to know of; one whose place nobody knows yet is."""
        return _among(row.business_unit, self.units) and _among(row.region, self.regions)

    def apart(self, print_: Fingerprint, given: NormalSignal) -> Fingerprint:
        """Return the fingerprint of the same problem, kept apart for the place that the signal names."""
        unit = given.business_unit or ",".join(self.units or ())
        region = given.region or ",".join(self.regions or ())
        parts = {**print_.parts, "apart": {"business_unit": unit, "region": region}}
        return Fingerprint(digest(parts), parts)


EVERYWHERE = Reach()


def _among(place: str, places: tuple[str, ...] | None) -> bool:
    return places is None or not place or place in places
