"""Signing in: who came and went stands in the ledger, and the ledger is what slows down guessing."""

import math
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.crypto import salted_hmac

from audit import context
from audit.actions import record
from audit.clock import db_now
from audit.models import Entry

WINDOW = timedelta(minutes=5)
# Failures within the window before the next try must wait: of one name from one address, and of one address.
PER_NAME = 5
PER_ADDRESS = 50
# Enough of the newest lines to fill both limits; reading them is one short walk down an index.
_LOOK_AT = 400
SUCCEEDED, FAILED, LEFT = "login.succeeded", "login.failed", "login.ended"


def seconds_to_wait(username: str) -> int:
    """Return how long the next try must wait, 0 for none. Counts rows, so it holds across all processes."""
    address, now = context.current().address, db_now()
    wanted = _name(username)
    lines = Entry.objects.filter(verb__in=(FAILED, SUCCEEDED), address=address, at__gt=now - WINDOW)
    of_name, of_address = [], []
    open_for_name = True
    for verb, name, at in lines.order_by("-n").values_list("verb", "target_id", "at")[:_LOOK_AT]:
        if verb == FAILED:
            of_address.append(at)
        if name == wanted and open_for_name:
            # A success ends the count: what came before it was a person's own slip.
            open_for_name = verb == FAILED
            of_name += [at] if open_for_name else []
    waits = [
        (times[limit - 1] + WINDOW - now).total_seconds()
        for times, limit in ((of_name, PER_NAME), (of_address, PER_ADDRESS))
        if len(times) >= limit
    ]
    return max((math.ceil(wait) for wait in waits), default=0)


def failed(username: str) -> None:
    """Enter a failed try."""
    _enter(FAILED, "anonymous", username)


def succeeded(user: Any) -> None:
    """Enter that a person signed in."""
    _enter(SUCCEEDED, user.get_username(), user.get_username())


def left(user: Any) -> None:
    """Enter that a person signed out."""
    _enter(LEFT, user.get_username(), user.get_username())


def _enter(verb: str, actor: str, username: str) -> None:
    with transaction.atomic():
        record(verb, actor=actor, target=_name(username))


def _name(username: str) -> str:
    """Return the name of a person, or a mark that is the same for the same text.

    What was typed may be a password in the wrong field, and what stands in the ledger stands for ever.
    """
    typed = username.replace("\x00", "")
    if User.objects.filter(username=typed).exists():
        return typed
    return f"unknown {salted_hmac('audit.sign_in', typed).hexdigest()[:12]}"
