"""Walk the ledger; exit 1 and name the first broken entry where it does not hold."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from audit import ledger, triggers


class Command(BaseCommand):
    """``verify_audit [--anchor NUMBER:HASH …]``."""

    help = "Walks the ledger and checks every entry; exit 1 names the first that does not hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--anchor",
            action="append",
            default=[],
            metavar="NUMBER:HASH",
            help="an entry's hash as noted elsewhere; finds a ledger that was rewritten or cut as a whole",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            anchors = ledger.anchors_from(options["anchor"])
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from error
        report = ledger.verify(anchors=anchors)
        if not triggers.installed(connection):
            self.stderr.write("warning: the database does not refuse changes to the ledger (its triggers are missing)")
        if report.broken:
            raise CommandError(f"BROKEN at entry {report.broken.n}: {report.broken.because}")
        self.stdout.write(f"The ledger holds: {report.entries} entries. Its end: {report.n}:{report.hash}")
