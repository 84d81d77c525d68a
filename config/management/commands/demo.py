"""``manage.py demo``: the whole of Goldseam on one machine, with a simulated enterprise beside it."""

import os
import signal
import threading
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import demo, demo_logs

PATIENCE_SECONDS = 8


class Command(BaseCommand):
    """Prepare the data folder, start the simulator, web, worker and beat, and print how to get in."""

    help = (
        "Starts Goldseam with a simulated enterprise: Dynamics 365, SAP, Salesforce, mail and chat."
        " PORT and DATA_DIR come from the environment."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until Ctrl-C or SIGTERM, then stop everything that was started."""
        port = int(os.environ.get("PORT", "8000"))
        if settings.ENVIRONMENT == "prod":
            raise CommandError("The demo makes users with one printed password: it does not run with ENVIRONMENT=prod.")
        target, simulated = f"http://127.0.0.1:{port}", f"127.0.0.1:{port + 1}"
        access = demo.prepare(f"http://{simulated}")

        from config.embedded import Embedded  # after the migration: the schedule is read when it is made

        try:
            server = Embedded("127.0.0.1", port)
        except OSError as taken:
            raise CommandError(f"Port {port} cannot be used ({taken}). Choose another: PORT=8100 make demo") from taken
        simulator = demo.start_simulator(port + 1, access, target)
        try:
            demo.wait_for(f"http://{simulated}/control/health", simulator)
            self._serve(server, f"ready {target} user=admin password={access.password} token={access.token}")
        except RuntimeError as failure:
            raise CommandError(str(failure)) from failure
        finally:
            simulator.terminate()
            simulator.wait(timeout=20)
        self.stdout.flush()
        # Tasks that are still at work are left where they are: every row can be taken up again, and nobody who
        # pressed Ctrl-C wants to wait for a system that does not answer.
        os._exit(0)

    def _serve(self, server: Any, ready: str) -> None:
        asked = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            asked.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        server.start()
        # Beside this thread: a browser that keeps its connection open must not keep the process alive.
        threading.Thread(target=server.serve, name="web", daemon=True).start()
        self.stdout.write(ready)
        self.stdout.flush()
        if os.environ.get("DEMO_LOGS", "1") != "0":
            demo_logs.start(asked)
        asked.wait()
        stopping = threading.Thread(target=server.stop, name="stop", daemon=True)
        stopping.start()
        stopping.join(timeout=PATIENCE_SECONDS)
