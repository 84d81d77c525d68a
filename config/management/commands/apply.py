"""``manage.py apply``: configuration as code."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from playbooks.manifests import installer

MARKS = {"created": "+", "changed": "~", "unchanged": "="}
WIDEST = 200


class Command(BaseCommand):
    """Bring the configuration in line with YAML files, or say what that would change."""

    help = "Apply YAML documents: connections, exception kinds, playbooks, policies, rules, SLAs, units, users, packs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take files, packs, and what to do with them."""
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE.yaml")
        parser.add_argument("--pack", action="append", default=[], metavar="SLUG", help="A shipped pack, such as o2c.")
        parser.add_argument("--plan", action="store_true", help="Show what would change; change nothing.")
        parser.add_argument("--actor", default="", metavar="NAME", help="The user in whose name the ledger enters it.")
        parser.add_argument(
            "--confirm-breadth", default="", metavar="REASON",
            help="Why a second process is switched on before the first verified mend; the ledger keeps it.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, check, apply; leave with 1 for a bad file and with 2 where what stands forbids it."""
        files = [*options["files"], *self._packs(options["pack"])]
        if not files:
            raise CommandError("Name at least one file, or a pack with --pack.")
        report = installer.run(
            files,
            actor=self._actor(options["actor"]),
            plan_only=options["plan"],
            confirm_breadth=options["confirm_breadth"],
        )
        if report.widening is not None and not report.conflicts:
            self.stderr.write(f"Warning: {report.widening.why} {report.widening.still}")
        for problem in (*report.problems, *report.conflicts):
            self.stderr.write(str(problem))
        if report.exit_code:
            self.stderr.write(f"Nothing was applied: {len(report.problems) + len(report.conflicts)} problem(s).")
            sys.exit(report.exit_code)
        self._show(report, planned=options["plan"], loud=options["verbosity"] > 1)

    def _packs(self, slugs: list[str]) -> list[Path]:
        files = []
        for slug in slugs:
            found = installer.pack_files(slug)
            if not found:
                known = ", ".join(sorted(folder.name for folder in installer.PACKS.iterdir() if folder.is_dir()))
                raise CommandError(f"There is no pack “{slug}”. Shipped packs: {known}.")
            files += found
        return files

    def _actor(self, name: str) -> str:
        if name and not get_user_model().objects.filter(username=name, is_active=True).exists():
            raise CommandError(f"There is no active user “{name}” to act for.")
        return name or "system:apply"

    def _show(self, report: installer.Report, *, planned: bool, loud: bool) -> None:
        for outcome in report.outcomes:
            if outcome.word == "unchanged" and not loud:
                continue
            self.stdout.write(f"{MARKS[outcome.word]} {outcome.kind} {outcome.name} {outcome.word}")
            for item in outcome.differences if outcome.word == "changed" or loud else ():
                self.stdout.write(f"    {item.field}: {_short(item.before)} → {_short(item.after)}")
        counts = ", ".join(f"{report.count(word)} {word}" for word in MARKS)
        self.stdout.write(f"Plan: {counts}. Nothing was changed." if planned else f"Applied: {counts}.")


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}…"
