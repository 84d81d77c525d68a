"""The demo's event logs: a year of order to cash for each unit, brought in beside everything else, and watched."""

import hashlib
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections

from connectors.simulator.distributor import history
from connectors.simulator.distributor.catalogue import BUSINESS_UNIT
from insights import actions
from insights.detectors.actions import rehearse_now
from insights.detectors.models import Detector
from insights.models import EventLog
from insights.states import LogState
from playbooks.manifests import installer

logger = logging.getLogger(__name__)
ACTOR = "system:demo"
NAMES = {"demf": "Order to cash, Europe", "usmf": "Order to cash, United States"}
MAPPING = {
    "case": "order", "activity": "activity", "timestamp": "time", "resource": "user", "amount": "amount",
    "time_zone": "UTC",
}  # fmt: skip
PATIENCE_SECONDS = 600
_CHUNK = 1 << 20


def start(stopping: threading.Event) -> threading.Thread:
    """Bring the logs in from a thread of its own: nobody waits for them, and what fails is logged."""
    thread = threading.Thread(target=_guarded, args=(stopping,), name="event logs", daemon=True)
    thread.start()
    return thread


def _guarded(stopping: threading.Event) -> None:
    try:
        bring_in()
        if not watched() and wait_until_ready(stopping.wait):
            watch()
        if watched():
            rehearse(stopping.is_set)
    except Exception:
        logger.exception("the demo's event logs could not be brought in")
    finally:
        connections.close_all()


def bring_in(seed: int = 7) -> list[EventLog]:
    """Receive the logs once, as any file is received; workers import them. One that a person deletes stays away."""
    note: Path = settings.DATA_DIR / "demo_logs"
    if note.exists():
        return []
    # A start that was broken off may have left the first of them.
    wanted = [company for company, name in NAMES.items() if not EventLog.objects.filter(name=name).exists()]
    folder: Path = settings.DATA_DIR / "demo_logs_incoming"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", history.__name__, "--out", str(folder), "--seed", str(seed)]
    # A process of its own: drawing a year of events must not hold up the pages.
    subprocess.run(command, cwd=settings.BASE_DIR, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own module
    made = [_receive(folder / history.file_of(company), company) for company in wanted]
    shutil.rmtree(folder, ignore_errors=True)
    note.write_text("\n".join(NAMES.values()))
    return made


def _receive(path: Path, company: str) -> EventLog:
    with path.open("rb") as file:
        return actions.receive(
            iter(lambda: file.read(_CHUNK), b""),
            name=NAMES[company],
            actor=ACTOR,
            file_name=path.name,
            mapping=MAPPING,
            process="o2c",
            business_unit=BUSINESS_UNIT[company],
            origin="folder",
        )


def wait_until_ready(wait: Callable[[float], object] = time.sleep) -> bool:
    """Wait until both logs can be asked; false where one cannot be imported, or it takes too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        states = list(EventLog.objects.filter(name__in=NAMES.values()).values_list("state", flat=True))
        if LogState.FAILED in states:
            logger.warning("one of the demo's event logs could not be imported; see Insights")
            return False
        if states.count(LogState.READY) == len(NAMES):
            return True
        if wait(0.5):
            return False
    return False


def _detectors() -> tuple[list[Path], str]:
    """Return the files of the detectors and their digest."""
    files = sorted((installer.PACKS / "demo" / "detectors").glob("*.yaml"))
    return files, hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _note() -> Path:
    note: Path = settings.DATA_DIR / "demo_detectors"
    return note


def watched() -> bool:
    """Tell whether these detectors were installed before: what a person has changed since must outlive a restart."""
    return _note().exists() and _note().read_text() == _detectors()[1]


def watch() -> None:
    """Install the detectors, all or none. Raises ``RuntimeError`` where a file is wrong."""
    files, shipped = _detectors()
    report = installer.run(files, actor=ACTOR)
    if wrong := [*report.problems, *report.conflicts]:
        raise RuntimeError("; ".join(map(str, wrong)))
    _note().write_text(shipped)


def rehearse(stopped: Callable[[], bool] = lambda: False) -> int:
    """Rehearse every detector that never was, one after the other, and return how many were."""
    by = User.objects.get(username="admin")
    waiting = Detector.objects.filter(enabled=True, versions__active=True, versions__rehearsals__isnull=True)
    done = 0
    for detector in waiting.order_by("pk").distinct():
        if stopped():
            break
        rehearse_now(detector, by=by)
        done += 1
    return done
