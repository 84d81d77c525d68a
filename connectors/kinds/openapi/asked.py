"""What the kind tells those who choose and declare: what a document offers, what it is asked, what another changes."""

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.kinds.openapi import answering, comparing, drawing
from connectors.kinds.openapi.compiling import document_of
from connectors.kit.declaring import Answers, Choice, Described, Difference, Sheet, Told


class Declared:
    """The part of the kind that forms are drawn from; see ``connectors.kit.declaring.Declares``."""

    @classmethod
    def offers(cls, config: Mapping[str, Any]) -> list[tuple[str, list[Choice]]]:
        """Return what can be chosen, in the groups of the document. Raises ``Unusable``."""
        groups: dict[str, list[Choice]] = {}
        for one in document_of(str(config.get("document") or "")).offered.values():
            groups.setdefault(one.group, []).append((one.name, f"{one.method} {one.path} – {one.label} ({one.name})"))
        return sorted(groups.items())

    @classmethod
    def described(cls, config: Mapping[str, Any]) -> Described:
        """Return what the document says of itself. Raises ``Unusable``."""
        return comparing.described(document_of(str(config.get("document") or "")))

    @classmethod
    def differences(cls, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
        """Return what another document changes about the chosen operations; nothing where one cannot be read."""
        return comparing.differences(before, after)

    @classmethod
    def sheets(cls, config: Mapping[str, Any], labels: Mapping[str, str], answers: Answers) -> list[Sheet]:
        """Return what is asked of the chosen operations: as answered, else as declared, else as suggested."""
        return drawing.drawn(config, labels, answers)

    @classmethod
    def told(cls, before: Mapping[str, Any], entered: Mapping[str, Any], answers: Answers) -> Told:
        """Return what a configuration becomes by a form's answers; ``before`` is what the form was drawn of."""
        return answering.result(before, entered, answers)

    @classmethod
    def placed(cls, message: str, names: Sequence[str]) -> tuple[str, str]:
        """Return the operation and question that a refusal is about; two blanks where it is about neither."""
        return answering.placed(message, names)
