"""Print a new API token, once."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from audit.context import Source, coming_from
from audit.errors import Invalid
from audit.people import issue_token


class Command(BaseCommand):
    """``issue_token USERNAME [--name TEXT] [--days N] [--scope SCOPE …]``."""

    help = "Prints a new API token for USERNAME. It is shown once; only its digest is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="command line", help="what the token is for")
        parser.add_argument("--days", type=int, help="how long it lives; without it, until it is revoked")
        parser.add_argument(
            "--scope", action="append", default=[], help="read, write, signals:write …; none: all that the user may do"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        if options["days"] is not None and options["days"] < 1:
            raise CommandError("--days must be at least 1.")
        with coming_from(Source("command")):
            try:
                _, text = issue_token(
                    user, name=options["name"], actor="system:command", scopes=options["scope"], days=options["days"]
                )
            except Invalid as refusal:
                hints = " ".join(hint for hints in refusal.errors.values() for hint in hints)
                raise CommandError(f"{refusal} {hints}".strip()) from refusal
        self.stdout.write(text)
