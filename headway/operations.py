"""Shell: the demo's operator. Changes go through the same ``headway`` commands a person types; looks go over REST.

Commands run niced and in a thread of their own, so that the operator's work does not disturb the headsets.
"""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

from headway.children import headway_command
from headway.errors import DemoError

COMMAND_TIMEOUT_S = 60.0
LOOK_TIMEOUT_S = 5.0
NICE = 10


class Operations:
    """What an operator does at one manager."""

    def __init__(self, manager_url: str) -> None:
        self._manager_url = manager_url
        self._hands = ThreadPoolExecutor(max_workers=1, thread_name_prefix="operator")
        self._client = httpx.Client(base_url=f"{manager_url}/v1", timeout=LOOK_TIMEOUT_S)

    def command(self, *arguments: str) -> Any:
        """Run ``headway ARGUMENTS --manager URL --json`` and return its answer.

        Raises:
            DemoError: it failed; carries what it said.
        """
        line = [
            "nice",
            "-n",
            str(NICE),
            *headway_command(*arguments),
            "--manager",
            self._manager_url,
            "--json",
        ]
        try:
            done = subprocess.run(
                line, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DemoError(f"`headway {' '.join(arguments)}` did not end: {error}") from error
        if done.returncode != 0:
            raise DemoError(f"`headway {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout)

    def begin(self, *arguments: str) -> Future[Any]:
        """Run a command beside the caller."""
        return self._hands.submit(self.command, *arguments)

    def look(self, path: str) -> Any:
        """Read one resource of the manager.

        Raises:
            DemoError: the manager does not answer.
        """
        try:
            return self._client.get(path).raise_for_status().json()
        except httpx.HTTPError as error:
            raise DemoError(f"the manager does not answer {path}: {error}") from error

    def registered(self) -> set[str]:
        """Ids of the headsets that the manager has admitted."""
        return {row["id"] for row in self.look("/devices") if row["admission"] == "admitted"}

    def close(self) -> None:
        """Wait for the command in progress and end."""
        self._hands.shutdown(wait=True, cancel_futures=True)
        self._client.close()
