"""Where the browser is that pages are tested in."""

import os
import shutil

import pytest


def find_chromium() -> str:
    """Its path; without one the test is skipped."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium, or set CHROMIUM to its path)")
    return path
