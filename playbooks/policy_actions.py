"""The one writer of policies' texts: a new text is a new version, tried before it is activated."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max

from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid, LostRace
from incidents.expressions import BadExpression, compile_expression
from playbooks import guards
from playbooks.models import Policy, PolicyVersion
from playbooks.policies import RISKS, VARIABLES, Situation, rule_on, variables_of

# Dividing by zero gives infinity or no number at all, and comparing that may silence a policy that should speak.
_DIVIDES = re.compile(r"/(?!\s*(?=[\d.]*[1-9])\d+(\.\d+)?(?![\w.]))")
_TEXT = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|//[^\n]*")
NOTHING_SAID = "allow"
GIVEN = frozenset(one.name for one in fields(Situation))


@dataclass(frozen=True)
class PolicyText:
    """What a version says: the columns that make one version differ from another."""

    condition: str
    verdict: str
    message: str
    operations: list[str] = field(default_factory=list)
    corrections: dict[str, str] = field(default_factory=dict)
    risk: str = ""


def publish(
    policy_slug: str,
    condition: str,
    verdict: str,
    *,
    message: str,
    author: str,
    operations: Sequence[str] = (),
    corrections: Mapping[str, str] | None = None,
    risk: str = "",
    tests: Sequence[Mapping[str, Any]] = (),
    label: str = "",
    owner: User | None = None,
    reason: str = "",
) -> PolicyVersion:
    """Make this text the policy's next version and the active one; return it.

    A policy of that name is made where there is none. The same text as the active one's returns that one. ``tests``
    are ``{"given": {…}, "expect": verdict}`` and must all pass. Raises ``Invalid`` with what is wrong, per field,
    and ``LostRace`` where somebody published at the same moment.
    """
    text = PolicyText(condition, verdict, message, list(operations), dict(corrections or {}), risk)
    errors = objections(text) or failures(policy_slug, text, tests)
    if errors:
        raise Invalid(f"The policy {policy_slug} cannot be activated.", errors)
    try:
        with transaction.atomic():
            policy, _ = Policy.objects.get_or_create(
                slug=policy_slug, defaults={"label": label or policy_slug, "owner": owner}
            )
            return _activate(policy, text, author, reason)
    except IntegrityError as error:
        raise LostRace(f"Somebody else published {policy_slug} just now. Look again, then publish.") from error


def _activate(policy: Policy, text: PolicyText, author: str, reason: str) -> PolicyVersion:
    # The policy's row is held, so that two publishers take their numbers one after the other.
    Policy.objects.select_for_update().get(pk=policy.pk)
    active = policy.versions.filter(active=True).first()
    if active is not None and text_of(active) == text:
        return active
    policy.versions.filter(active=True).update(active=False)
    number = (policy.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    version = PolicyVersion.objects.create(
        policy=policy, number=number, active=True, author=author, created_at=db_now(), **asdict(text)
    )
    record(
        "policy.activated",
        actor=author,
        target=policy,
        reason=reason,
        before={"version": active.number, **asdict(text_of(active))} if active else None,
        after={"version": number, **asdict(text)},
    )
    return version


@transaction.atomic
def retire(policy_slug: str, *, actor: str, reason: str) -> bool:
    """Silence the policy: its active version is active no more, and stays to be read. ``False`` where none was.

    Raises ``Invalid`` where a playbook in use would be left with nothing that guards it.
    """
    policy = Policy.objects.select_for_update().filter(slug=policy_slug).first()
    active = policy.versions.filter(active=True).first() if policy else None
    if policy is None or active is None:
        return False
    if lost := guards.lost_by(policy_slug, enabled=False, operations=[]):
        raise Invalid(lost, {"enabled": [lost]})
    policy.versions.filter(active=True).update(active=False)
    record("policy.retired", actor=actor, target=policy, reason=reason, before={"version": active.number})
    return True


def text_of(version: PolicyVersion) -> PolicyText:
    """Return what ``version`` says."""
    return PolicyText(**{one.name: getattr(version, one.name) for one in fields(PolicyText)})


def objections(text: PolicyText) -> dict[str, list[str]]:
    """Say, per field, what in ``text`` cannot be meant; empty: nothing."""
    found: dict[str, list[str]] = {}
    sources = {"condition": text.condition, **{f"corrections.{name}": one for name, one in text.corrections.items()}}
    for where, source in sources.items():
        wrong = _wrong_expression(source)
        if wrong:
            found[where] = [wrong]
    if text.verdict not in PolicyVersion.Verdict.values:
        found["verdict"] = [f"One of {', '.join(PolicyVersion.Verdict.values)}."]
    elif (text.verdict == PolicyVersion.Verdict.CORRECT) != bool(text.corrections):
        found["corrections"] = ["The verdict correct, and only that, says what to set a parameter to."]
    if text.risk not in ("", *RISKS):
        found["risk"] = [f"One of {', '.join(RISKS)}, or blank."]
    if not text.message.strip():
        found["message"] = ["Say in words why: people read it."]
    if any(":" not in name for name in text.operations):
        found["operations"] = ["An operation is named connection:operation, such as fo:invoice.credit."]
    return found


def _wrong_expression(source: str) -> str:
    try:
        strange = sorted(compile_expression(source).references() - VARIABLES)
    except BadExpression as wrong:
        return str(wrong)
    if _DIVIDES.search(_TEXT.sub("''", source)):
        return "Divide by a number other than zero only; write a > b * c for a / b > c."
    return f"“{strange[0]}” is not known here; known are {', '.join(sorted(VARIABLES))}." if strange else ""


def failures(policy_slug: str, text: PolicyText, tests: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Run the policy's own tests and say which fail, per test; empty: all pass."""
    found = {}
    for number, test in enumerate(tests):
        wrong = _failure(policy_slug, text, test)
        if wrong:
            found[f"tests[{number}]"] = [wrong]
    return found


def _failure(policy_slug: str, text: PolicyText, test: Mapping[str, Any]) -> str:
    given, expected = test.get("given"), test.get("expect")
    if set(test) != {"given", "expect"} or not isinstance(given, Mapping):
        return "A test has `given` (a situation) and `expect` (a verdict)."
    if expected not in PolicyVersion.Verdict.values:
        return f"`expect` is one of {', '.join(PolicyVersion.Verdict.values)}."
    strange = sorted(set(given) - GIVEN)
    if strange:
        return f"`given` has no “{strange[0]}”; it has {', '.join(sorted(GIVEN))}."
    try:
        said = say(policy_slug, text, given)
    except InvalidOperation:
        return "The given amount is no number."
    return "" if said == expected else f"It says {said} where {expected} is expected."


def say(policy_slug: str, text: PolicyText, given: Mapping[str, Any]) -> str:
    """Return the verdict of ``text`` alone in a situation; what it does not speak about, it allows."""
    operation = str(given.get("operation") or next(iter(text.operations), "any:any"))
    if text.operations and operation not in text.operations:
        return NOTHING_SAID
    amount = given.get("amount")
    situation = Situation(
        **{
            **given,
            "operation": operation,
            "connection": str(given.get("connection") or operation.partition(":")[0]),
            "amount": None if amount is None else Decimal(str(amount)),
        }
    )
    version = PolicyVersion(policy=Policy(slug=policy_slug), number=0, **asdict(text))
    ruling = rule_on(version, variables_of(situation))
    return ruling.verdict if ruling else NOTHING_SAID
