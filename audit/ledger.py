"""Walk the ledger from its first entry to its end and find the first place where it does not hold."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet, Subquery

from audit.actions import entry_hash
from audit.models import Entry, Head
from audit.proofs import GENESIS


@dataclass(frozen=True)
class Broken:
    """The first entry that does not hold, a stable word for why, and the same in a sentence."""

    n: int
    what: str  # missing, number, previous, changed, cut, head, anchor
    because: str


@dataclass(frozen=True)
class Report:
    """What a walk found: how many entries were read, where the chain ends, and what is broken, if anything."""

    entries: int
    n: int
    hash: str
    broken: Broken | None = None


def verify(*, anchors: Mapping[int, str] | None = None, chunk: int = 2000) -> Report:
    """Check every entry against its own hash, the one before it, and the chain's end.

    ``anchors`` are hashes by number that were noted outside the database: they find a ledger that was
    cut or rewritten as a whole, which no look inside can. Entries written meanwhile are not walked.
    """
    # One statement, so that the end and the largest number are seen at the same moment.
    largest = Subquery(Entry.objects.order_by("-n").values("n")[:1])
    end = Head.objects.filter(pk=1).annotate(largest=largest).values("n", "hash", "largest").first()
    if end is None:
        return Report(0, 0, "", Broken(0, "head", "The end of the chain is missing from its table."))
    walk = _Walk(dict(anchors or {}))
    for entry in _stream(Entry.objects.filter(n__lte=end["n"]), chunk):
        broken = walk.take(entry)
        if broken:
            return Report(walk.count, walk.n, walk.hash, broken)
    return Report(walk.count, walk.n, walk.hash, walk.arrive(end["n"], end["hash"], end["largest"]))


def _stream(entries: "QuerySet[Entry]", chunk: int) -> Iterator[Entry]:
    """Yield in order of number, a chunk at a time; memory stays flat on any length of ledger."""
    after: int | None = None
    while True:
        rows = entries if after is None else entries.filter(n__gt=after)
        part = list(rows.order_by("n")[:chunk])
        yield from part
        if len(part) < chunk:
            return
        after = part[-1].n


class _Walk:
    """Where a walk stands: the last entry that held."""

    def __init__(self, anchors: dict[int, str]) -> None:
        self.anchors = anchors
        self.count, self.n, self.hash = 0, 0, GENESIS

    def take(self, entry: Entry) -> Broken | None:
        if entry.n != self.n + 1:
            what = "missing" if entry.n > self.n + 1 else "number"
            return Broken(self.n + 1, what, f"Entry {self.n + 1} is missing: after {self.n} comes {entry.n}.")
        if entry.previous_hash != self.hash:
            return Broken(entry.n, "previous", f"Entry {entry.n} does not continue entry {self.n}.")
        if entry.hash != entry_hash(entry):
            return Broken(entry.n, "changed", f"Entry {entry.n} was changed after it was written.")
        if self.anchors.get(entry.n, entry.hash) != entry.hash:
            return Broken(entry.n, "anchor", f"Entry {entry.n} is not the one that was noted: the chain was rewritten.")
        self.count, self.n, self.hash = self.count + 1, entry.n, entry.hash
        return None

    def arrive(self, n: int, hash_: str, largest: int | None) -> Broken | None:
        if n > self.n:
            return Broken(self.n + 1, "cut", f"The end was cut off: entries {self.n + 1} to {n} are missing.")
        if hash_ != self.hash:
            return Broken(self.n, "head", f"The end of the chain does not carry the hash of entry {self.n}.")
        if largest is not None and largest > n:
            return Broken(n + 1, "head", f"Entry {largest} stands beyond the end of the chain at {n}.")
        beyond = [number for number in self.anchors if number > self.n]
        if beyond:
            return Broken(min(beyond), "cut", f"Entry {min(beyond)} was noted and is missing: the end was cut off.")
        return None


def anchors_from(texts: Iterable[str]) -> dict[int, str]:
    """Read anchors written ``NUMBER:HASH``. Raises ``ValueError`` for anything else."""
    anchors = {}
    for text in texts:
        number, _, value = text.partition(":")
        if len(value) != 64:
            raise ValueError(f"An anchor reads NUMBER:HASH, not {text!r}.")
        anchors[int(number)] = value.lower()
    return anchors
