"""``manage.py import_log``: event logs from the command line."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.errors import Refusal
from audit.models import BusinessUnit
from insights.actions import import_file
from insights.drawing.placing import keep_first
from insights.models import EventLog
from insights.states import LogState

_ENDINGS = (
    ".xes", ".xes.gz", ".csv", ".csv.gz", ".tsv", ".txt", ".parquet", ".jsonocel", ".json", ".sqlite", ".zip", ".xml",
)  # fmt: skip


class Command(BaseCommand):
    """Import event logs here and now: a file, or every log in a folder."""

    help = "Import an event log (XES, CSV, Parquet, OCEL; packed or not), or every log in a folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file or folder and what is known of it."""
        parser.add_argument("path", type=Path, metavar="FILE_OR_FOLDER")
        parser.add_argument("--name", default="", help="Default: the name of the file.")
        parser.add_argument("--mapping", default="", metavar="JSON", help='{"case": …, "activity": …, "timestamp": …}')
        parser.add_argument("--object-type", default="", metavar="TYPE", help="The object that is a case (OCEL).")
        parser.add_argument("--process", default="", metavar="SLUG", help="The template it follows: o2c or p2p.")
        parser.add_argument("--unit", default="", metavar="SLUG", help="The business unit that may see it.")
        parser.add_argument("--region", default="", metavar="NAME", help="The region that may see it.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import each file and say what came of it; leave with 1 where one failed."""
        path: Path = options["path"]
        files = _files(path)
        if options["unit"] and not BusinessUnit.objects.filter(slug=options["unit"]).exists():
            raise CommandError(f"There is no business unit “{options['unit']}”.")
        more = {"object_type": options["object_type"], "process": options["process"]}
        more |= {"business_unit": options["unit"], "region": options["region"]}
        mapping, failed = _mapping(options["mapping"]), 0
        for file in files:
            try:
                log = import_file(file, name=options["name"] or file.name, mapping=mapping, **more)
            except Refusal as refusal:
                self.stderr.write(f"{file.name}: {_why(refusal)}")
                failed += 1
                continue
            self.stdout.write(f"{file.name}: {_outcome(log)}")
            failed += log.state != LogState.READY
            if log.state == LogState.READY:
                keep_first(log)
        if failed:
            raise CommandError(f"{failed} of {len(files)} logs are not ready.")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CommandError(f"There is no file or folder {path}.")
    files = sorted(each for each in path.iterdir() if each.is_file() and each.name.lower().endswith(_ENDINGS))
    files = [each for each in files if not each.name.endswith(".figures.json")]
    if not files:
        raise CommandError(f"There is no event log in {path}.")
    return files


def _mapping(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise CommandError(f"--mapping is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise CommandError('--mapping takes an object such as {"case": "order"}.')
    return found


def _why(refusal: Refusal) -> str:
    errors: dict[str, list[str]] = getattr(refusal, "errors", {})
    return " ".join([str(refusal), *(f"{field}: {' '.join(told)}" for field, told in errors.items())])


def _outcome(log: EventLog) -> str:
    if log.state == LogState.READY:
        return (
            f"event log {log.pk} is ready: {log.cases} cases, {log.events} events, {log.rejected_count} lines refused"
        )
    if log.state == LogState.MAPPING:
        return f"event log {log.pk} waits for its mapping; give --mapping or say it on the page"
    return f"event log {log.pk} failed: {log.error}"
