"""A real Chromium for browser tests, by whatever the machine has."""

import os
import shutil

# Without the networking flags Chromium looks up its maker's hosts at every start.
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# The first is the same engine without the frame around its pages, which a headless Chromium draws too: for a test with
# one window that frame is about half of the work.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def flags() -> list[str]:
    """Command-line flags for this machine; root has no sandbox to use."""
    return [*FLAGS, *(["--no-sandbox"] if os.getuid() == 0 else [])]
