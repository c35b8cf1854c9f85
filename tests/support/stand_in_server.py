"""A server in a process of its own, for tests that end one: INDEX SECONDS [WRITABLE FOLDER]."""

import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

from served import OPTIONS, MeanColour, make_service

from hafloc.serve.run import listen, run

index, slow, *folder = sys.argv[1:]
options = replace(OPTIONS, writable=bool(folder), hosts=None)
if folder:
    options = replace(options, photos_folder=Path(folder[0]))
socket = listen("127.0.0.1", 0)
service = make_service([Path(index)], MeanColour(float(slow)), options, StringIO())


def tell() -> None:
    sys.stdout.write(f"{socket.getsockname()[1]}\n")
    sys.stdout.flush()


run(service, socket, started=tell)
