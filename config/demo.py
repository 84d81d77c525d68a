"""Everything that ``make demo`` prepares: database, keys, people, packs, the simulator."""

import hashlib
import io
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command

from audit import people, tokens
from audit.models import ApiToken
from connectors.simulator.mail.desk import free_ports
from connectors.simulator.receiver import signing_secret
from playbooks.manifests import installer

PACKS = (
    "o2c",
    "p2p",
    "crosswise",
    "reorder",
    "finance",
    "reports",
    "demo",
    "demo_crosswise",
    "demo_channels",
    "demo_trial",
)
SIMULATOR_SECRET = "simulator"  # noqa: S105 - the simulator's own default, not a secret
# Nothing was mended yet, and two processes start at once: here that is meant, and the ledger keeps why.
BREADTH = "The demonstration shows order to cash and purchase to pay side by side, against a simulated enterprise."


@dataclass(frozen=True)
class Access:
    """How to get in: the password of all demo users and the administrator's API token."""

    password: str
    token: str
    stream_token: str
    hook_secret: str


def kept(name: str, fresh: str) -> str:
    """Return the secret kept under ``name`` in the data folder, made on first use and readable by the owner only."""
    path: Path = settings.DATA_DIR / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(fresh)
    return path.read_text().strip()


def prepare(simulator_url: str) -> Access:
    """Migrate, install the packs and make the people. Safe to repeat: what is there stays."""
    password = kept("demo_password", secrets.token_urlsafe(9))
    hook_secret = kept("demo_hook_secret", secrets.token_urlsafe(24))
    host = simulator_url.removeprefix("http://")
    imap, smtp = _mail_ports()
    os.environ.update(
        GOLDSEAM_SIMULATOR_URL=simulator_url,
        GOLDSEAM_SIMULATOR_IMAP=str(imap),
        GOLDSEAM_SIMULATOR_SMTP=str(smtp),
        GOLDSEAM_SIMULATOR_SECRET=SIMULATOR_SECRET,
        GOLDSEAM_SIGNING_SECRET=signing_secret(SIMULATOR_SECRET),
        GOLDSEAM_HOOK_SECRET=hook_secret,
        GOLDSEAM_DEMO_PASSWORD=password,
    )
    # The simulator has the only private addresses that the demo may call.
    for address in (host, f"127.0.0.1:{imap}", f"127.0.0.1:{smtp}"):
        if address not in settings.OUTBOUND_ALLOW:
            settings.OUTBOUND_ALLOW.append(address)
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0, interactive=False)
    _administrator(password)
    _install_packs()
    return Access(password, _token("admin", "demo"), _token("integrator", "stream"), hook_secret)


def _mail_ports() -> tuple[int, int]:
    """Return the ports of the simulator's mailbox, the same at each start while they are free."""
    note: Path = settings.DATA_DIR / "demo_mail_ports"
    imap, smtp = free_ports([int(word) for word in note.read_text().split()] if note.exists() else [])
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{imap} {smtp}")
    return imap, smtp


def _install_packs() -> None:
    """Install the shipped packs where they are new: what a person has changed since must outlive a restart.

    Where the simulator is at another address than last time, the connections alone are brought in line.
    """
    files = [file for pack in PACKS for file in installer.pack_files(pack)]
    shipped = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    note: Path = settings.DATA_DIR / "demo_packs"
    where: Path = settings.DATA_DIR / "demo_addresses"
    addresses = " ".join(os.environ[f"GOLDSEAM_SIMULATOR_{name}"] for name in ("URL", "IMAP", "SMTP"))
    quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    if not note.exists() or note.read_text() != shipped:
        call_command("apply", pack=list(PACKS), confirm_breadth=BREADTH, **quiet)
        note.write_text(shipped)
    elif not where.exists() or where.read_text() != addresses:
        call_command("apply", *[str(file) for file in files if file.name == "connections.yaml"], **quiet)
    where.write_text(addresses)


def start_simulator(port: int, access: Access, target: str) -> "subprocess.Popen[bytes]":
    """Start the enterprise simulator as its own process, with its stream of exceptions aimed at ``target``."""
    command = [
        *(sys.executable, "-m", "connectors.simulator", "--port", str(port)),
        *("--data", str(settings.DATA_DIR / "simulator"), "--secret", os.environ["GOLDSEAM_SIMULATOR_SECRET"]),
        *("--target", target, "--hook-secret", access.hook_secret, "--token", access.stream_token),
        *("--tell", "dv", "sap", "idoc=sap", "sf=crm", "slack"),
        *("--mail", os.environ["GOLDSEAM_SIMULATOR_IMAP"], os.environ["GOLDSEAM_SIMULATOR_SMTP"]),
        *("--stream", os.environ.get("DEMO_STREAM", "320")),
        *("--stream-seconds", os.environ.get("DEMO_STREAM_SECONDS", "110")),
        "--attached",
    ]
    # It holds our end of a pipe: where we are killed, the pipe closes and it ends, instead of keeping the port.
    return subprocess.Popen(  # noqa: S603 - our own module
        command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )


def wait_for(url: str, process: "subprocess.Popen[bytes]", seconds: float = 20) -> None:
    """Wait until the process itself answers at ``url``: somebody else may hold its port.

    Raises ``RuntimeError`` where the process ends or the time is over.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"The simulator ended with code {process.returncode}: is its port taken?")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - a loopback address of our making
                if json.load(answer).get("process") == process.pid:
                    return
        except (OSError, ValueError, AttributeError):
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer within {seconds:.0f} s.")


def _administrator(password: str) -> None:
    if not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", password=password)


def _token(username: str, name: str) -> str:
    """Return the token kept for the demo; one that the database does not know is replaced."""
    path: Path = settings.DATA_DIR / f"demo_token_{username}"
    if path.exists() and ApiToken.objects.filter(digest=tokens.digest_of(path.read_text().strip()), revoked_at=None):
        return path.read_text().strip()
    path.unlink(missing_ok=True)
    _, text = people.issue_token(User.objects.get(username=username), name=name, actor="system:demo")
    return kept(path.name, text)
