"""``manage.py move_event_logs``: the tables of finished logs go to the object store, or come back."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit.errors import Refusal
from insights.eventlog.moving import move, to_move


class Command(BaseCommand):
    """Bring the tables of every event log to the object store of ``INSIGHTS_STORE``, or back to the data folder."""

    help = "Move the tables of finished event logs to the object store (INSIGHTS_STORE), or back with --to-folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the direction."""
        parser.add_argument("--to-folder", action="store_true", help="Bring them back to the data folder.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Move one log after the other and say what came of it; leave with 1 where one stayed."""
        if not settings.INSIGHTS_STORE:
            raise CommandError("INSIGHTS_STORE names no object store.")
        to_store = not options["to_folder"]
        logs, stayed = to_move(to_store=to_store), 0
        for log in logs:
            try:
                move(log, to_store=to_store)
            except (Refusal, OSError) as reason:
                self.stderr.write(f"{log.pk} {log.name}: stays. {reason}")
                stayed += 1
                continue
            self.stdout.write(f"{log.pk} {log.name}: moved")
        if stayed:
            raise CommandError(f"{stayed} of {len(logs)} logs were not moved. Run it again.")
        self.stdout.write(f"{len(logs)} logs were moved." if logs else "All logs lie there already.")
