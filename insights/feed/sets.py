"""What an entity set is: its properties, its key and where its rows come from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from insights.feed.edm import EdmType
from insights.feed.problems import FeedError

Row = Mapping[str, Any]
# An ORM path, or an expression over the set's rows.
Source = Any


@dataclass(frozen=True)
class Property:
    """One column of an entity set. ``source``: an ORM path or expression; empty: the path of the same name."""

    name: str
    type: EdmType
    says: str = ""
    source: Source = ""
    nullable: bool = False

    @property
    def path(self) -> Source:
        """Return where the value stands."""
        return self.source or self.name


@dataclass(frozen=True)
class EntitySet:
    """A table of the feed. Its rows are ``rows`` of the database or ``made`` in memory, by access of a person."""

    name: str
    entity: str
    says: str
    key: tuple[str, ...]
    properties: tuple[Property, ...]
    rows: Callable[[Any], "QuerySet[Any]"] | None = None
    # Rows in the order of the key; `fixed` holds the values that the filter pins by `eq`, so that it can skip early.
    made: Callable[[Any, Mapping[str, Any]], Iterator[Row]] | None = None
    # The rows are groups: their columns stand as they are and are never chosen anew.
    grouped: bool = False

    @cached_property
    def by_name(self) -> dict[str, Property]:
        """Return the properties by their names."""
        return {one.name: one for one in self.properties}

    def column(self, name: str, *, target: str = "$filter") -> Property:
        """Return the property of that name. Raises ``FeedError`` where there is none."""
        found = self.by_name.get(name)
        if found is None:
            raise FeedError(f"{self.name} has no property “{name[:60]}”. See $metadata for what it has.", target=target)
        return found
