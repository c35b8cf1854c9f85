"""A real server of Milvus in a folder, which can be killed and started again.

One runs on a machine at a time: the store in it takes ports of its own.
"""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

# The Python of an environment of its own with `pip install milvus==2.3.5`, whose
# wheel carries the standalone server.
VARIABLE = "HAFLOC_MILVUS_PYTHON"
_PROGRAM = """
import sys, time
from milvus import MilvusServer
server = MilvusServer(debug=True)
server.set_base_dir(sys.argv[1])
server.listen_port = int(sys.argv[2])
server.start()
print("started", flush=True)
time.sleep(86_400)
"""


class MilvusProcess:
    """The server of one folder, at one port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, within: float = 120.0) -> None:
        """Start it and wait until it answers; raises RuntimeError with the end of its log."""
        log = self._folder / "log.txt"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [os.environ[VARIABLE], "-c", _PROGRAM, str(self._folder), str(self.port)],
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        end = time.monotonic() + within
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as wire:
                if wire.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"Milvus did not start: {log.read_bytes()[-2000:].decode()}")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
