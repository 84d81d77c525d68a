"""What makes two signals one problem: kind, business entity and chosen attributes, normalised and hashed."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from audit.errors import Invalid
from audit.proofs import digest

FINGERPRINT_VERSION = 1
# Words that stand for "no key": as an entity they would fold strangers into one incident.
_NOBODY = frozenset({"na", "n/a", "n.a.", "nan", "nil", "none", "null", "undefined", "unknown", "tbd", "test", "xxx"})
_CONSTANT = re.compile(r"[\W_0]*")


class NoFingerprint(Invalid):
    """The entity's key is empty or a constant: signals of different problems would become one incident."""

    code = "no_fingerprint"


@dataclass(frozen=True)
class Fingerprint:
    """A digest and the parts that it was made from."""

    value: str
    parts: dict[str, Any]

    def explain(self) -> dict[str, Any]:
        """Return what went into the digest, for people: version, kind, entity, attributes, and which were missing."""
        return self.parts


def fingerprint(
    code: str, entity_type: str, entity_key: str, attributes: Mapping[str, Any], chosen: Iterable[str] = ()
) -> Fingerprint:
    """Return the fingerprint over kind, entity and the ``chosen`` attributes.

    Raises ``NoFingerprint`` for an empty or constant key, such as "", "-", "n/a", "unknown", "0" or "null".
    """
    key = normal(entity_key)
    if _CONSTANT.fullmatch(key) or key in _NOBODY:
        raise NoFingerprint(
            f"{entity_key!r} names no business entity.",
            {"entity_key": ["Name the one order, invoice or customer that this is about."]},
        )
    kept = {name: _value(attributes.get(name)) for name in sorted(set(chosen))}
    parts = {
        "version": FINGERPRINT_VERSION,
        "kind": normal(code),
        "entity_type": normal(entity_type),
        "entity_key": key,
        "attributes": kept,
    }
    value = digest(parts)
    missing = [name for name, part in kept.items() if part is None]
    return Fingerprint(value, {**parts, "missing": missing} if missing else parts)


def normal(text: str) -> str:
    """Return ``text`` as it is compared: one Unicode form, no case, nothing invisible, plain dashes, single spaces."""
    if not text.isascii():
        text = "".join(_letter(letter) for letter in unicodedata.normalize("NFKC", text))
        # Folding case can take letters apart again.
        text = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(text.replace("\0", "").casefold().split())


def _letter(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Cf":  # zero-width joiners and their like, which mail programs leave behind
        return ""
    return "-" if category == "Pd" else letter


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return normal(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 10 and 10.0 are the same line number
    if isinstance(value, Mapping):
        return {str(name): _value(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_value(part) for part in value]
    return value
