"""Writes the two documents that tell a client what the feed holds: the service document and ``$metadata`` (CSDL)."""

import json
from collections.abc import Sequence
from functools import lru_cache
from xml.sax.saxutils import quoteattr

from insights.feed.sets import EntitySet, Property
from insights.feed.syntax import FUNCTIONS, MATCHES

NAMESPACE = "Goldseam"
_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">\n'
    '<edmx:Reference Uri="https://oasis-tcs.github.io/odata-vocabularies/vocabularies/Org.OData.Core.V1.xml">'
    '<edmx:Include Namespace="Org.OData.Core.V1" Alias="Core"/></edmx:Reference>\n'
    '<edmx:Reference Uri="https://oasis-tcs.github.io/odata-vocabularies/vocabularies/Org.OData.Capabilities.V1.xml">'
    '<edmx:Include Namespace="Org.OData.Capabilities.V1" Alias="Capabilities"/></edmx:Reference>\n'
    "<edmx:DataServices>\n"
    f'<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="{NAMESPACE}">\n'
)
_TAIL = "</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n"


def service_document(sets: Sequence[EntitySet], root: str, *, context: bool = True) -> str:
    """Return the list of entity sets as JSON."""
    listed = [{"name": one.name, "kind": "EntitySet", "url": one.name} for one in sets]
    head = {"@odata.context": f"{root}$metadata"} if context else {}
    return json.dumps({**head, "value": listed})


@lru_cache(maxsize=4)
def metadata(sets: tuple[EntitySet, ...]) -> str:
    """Return the metadata document of these entity sets."""
    types = "".join(_type(one) for one in sets)
    listed = "".join(_listed(one) for one in sets)
    container = f'<EntityContainer Name="Feed">\n{listed}{_capabilities()}</EntityContainer>\n'
    return _HEAD + types + container + _TAIL


def _type(entity_set: EntitySet) -> str:
    keys = "".join(f"<PropertyRef Name={quoteattr(name)}/>" for name in entity_set.key)
    properties = "".join(_property(one) for one in entity_set.properties)
    return (
        f"<EntityType Name={quoteattr(entity_set.entity)}>\n<Key>{keys}</Key>\n{properties}"
        f"{_says(entity_set.says)}</EntityType>\n"
    )


def _property(one: Property) -> str:
    facets = "".join(f" {name}={quoteattr(value)}" for name, value in one.type.facets)
    nullable = "" if one.nullable else ' Nullable="false"'
    head = f"<Property Name={quoteattr(one.name)} Type={quoteattr(str(one.type))}{nullable}{facets}"
    return f"{head}>{_says(one.says).strip()}</Property>\n" if one.says else f"{head}/>\n"


def _says(text: str) -> str:
    return f'<Annotation Term="Core.Description" String={quoteattr(text)}/>\n' if text else ""


def _listed(entity_set: EntitySet) -> str:
    kind = quoteattr(f"{NAMESPACE}.{entity_set.entity}")
    refused = "".join(
        f'<Annotation Term="Capabilities.{term}"><Record><PropertyValue Property="{name}" Bool="false"/>'
        "</Record></Annotation>\n"
        for term, name in (
            ("InsertRestrictions", "Insertable"),
            ("UpdateRestrictions", "Updatable"),
            ("DeleteRestrictions", "Deletable"),
            ("SearchRestrictions", "Searchable"),
            ("ExpandRestrictions", "Expandable"),
        )
    )
    return f"<EntitySet Name={quoteattr(entity_set.name)} EntityType={kind}>\n{refused}</EntitySet>\n"


def _capabilities() -> str:
    functions = "".join(f"<String>{name}</String>" for name in sorted([*FUNCTIONS, *MATCHES]))
    return (
        '<Annotation Term="Capabilities.ConformanceLevel"'
        ' EnumMember="Capabilities.ConformanceLevelType/Intermediate"/>\n'
        '<Annotation Term="Capabilities.BatchSupported" Bool="false"/>\n'
        f'<Annotation Term="Capabilities.FilterFunctions"><Collection>{functions}</Collection></Annotation>\n'
    )
