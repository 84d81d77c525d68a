"""What a kind asks of its operations beyond their settings: questions with their answers, drawn as a form.

A kind that implements ``Declares`` keeps its declarations as one text, which files hold too. The form's answers become
that text, and nothing else does: one writer, one validator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

Choice = tuple[str, str]  # what is sent, and what is read
Groups = Sequence[tuple[str, Sequence[Choice]]]
Answers = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Part:
    """One question: a choice, a text, a box, or several boxes."""

    name: str
    label: str
    way: str = "text"  # choice, text, flag or several
    value: Any = ""
    choices: Groups = ()  # of a choice and of several; of a text: what may be meant
    help: str = ""
    redraws: bool = False  # other questions depend on it


@dataclass(frozen=True)
class Sheet:
    """What is asked of one operation."""

    name: str
    title: str
    request: str  # method and path
    state: str  # suggested, declared or read
    groups: Sequence[tuple[str, Sequence[Part]]]
    reasons: Sequence[str] = ()
    trouble: str = ""  # why it cannot be declared at all
    is_folded: bool = False  # its questions are asked for when it is opened


@dataclass
class Told:
    """What a form's answers come to. ``errors``: by operation and question; a blank question is the whole operation."""

    text: str = ""
    chosen: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    # By argument, what each sheet says of it; a blank label takes one away.
    labels: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[tuple[str, str], str] = field(default_factory=dict)
    clashes: list[str] = field(default_factory=list)  # changed in the form and in the text


@dataclass(frozen=True)
class Described:
    """What a document says of itself, to be read before anything of it is used."""

    title: str
    version: str
    count: int  # of its operations
    digest: str
    hosts: tuple[str, ...] = ()  # that it names as servers: none of them is called unless it is entered
    outside: tuple[str, ...] = ()  # references that lead out of it: none of them is followed


@dataclass(frozen=True)
class Difference:
    """What another document changes about an operation that is used."""

    name: str
    request: str  # method and path, as they were
    changes: tuple[str, ...]
    gone: bool = False


@runtime_checkable
class Declares(Protocol):
    """A kind whose operations are chosen of what it is given, and declared one by one.

    Its settings mark what is chosen with ``offered`` and the declarations' text with ``sheets``; what is chosen and not
    declared yet is kept in a setting called ``waiting``.
    """

    @classmethod
    def offers(cls, config: Mapping[str, Any]) -> list[tuple[str, list[Choice]]]:
        """Return what can be chosen, in groups: name, and what it does. Raises ``ValueError``."""

    @classmethod
    def described(cls, config: Mapping[str, Any]) -> Described:
        """Return what the document says of itself. Raises ``ValueError`` where it cannot be used."""

    @classmethod
    def differences(cls, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
        """Return what another document changes about the operations that ``before`` uses."""

    @classmethod
    def sheets(cls, config: Mapping[str, Any], labels: Mapping[str, str], answers: Answers) -> list[Sheet]:
        """Return what is asked of the chosen operations: as answered, else as declared, else as suggested.

        An operation with no answers in ``answers`` was opened to be read.
        """

    @classmethod
    def told(cls, before: Mapping[str, Any], entered: Mapping[str, Any], answers: Answers) -> Told:
        """Return what a configuration becomes by a form's answers; ``before`` is what the form was drawn of."""

    @classmethod
    def placed(cls, message: str, names: Sequence[str]) -> tuple[str, str]:
        """Return the operation and question that a refusal is about; two blanks where it is about neither."""
