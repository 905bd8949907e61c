"""Takes screenshots of local pages, with chromium."""

import shutil
import subprocess
from pathlib import Path


def photograph(page: Path, file: Path, height: int, width: int = 1100) -> None:
    """A screenshot of a local page, of so many pixels.

    Raises:
        SystemExit: chromium is not installed.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("expected chromium on the PATH, found none")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=5000"]
    size = f"--window-size={width},{height}"
    command = [browser, *options, size, f"--screenshot={file.resolve()}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - the browser
