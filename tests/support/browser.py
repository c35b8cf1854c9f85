"""A browser for tests of web pages: where it is, or why there is none."""

import os
import shutil
from importlib.util import find_spec

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without a graphics card WebGL is computed; without a sandbox root may start it.
ARGUMENTS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def browser_path() -> str | None:
    """Of HAFLOC_BROWSER, or of the first that is installed; None where Playwright or all lack."""
    if find_spec("playwright") is None:
        return None
    named = os.environ.get("HAFLOC_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


MISSING = "no browser: install Debian's chromium (or name one in HAFLOC_BROWSER) and playwright"

if __name__ == "__main__" and browser_path() is None:
    print(f"The tests of the web page in a browser were skipped: {MISSING}")  # noqa: T201
