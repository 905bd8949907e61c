"""What people are told to install can be installed: from where the program itself came."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        pytest.param(None, "canary-controller[load]", id="from the package index"),
        pytest.param("file:///home/me/my%20canary", "/home/me/my canary[load]", id="from a clone"),
        pytest.param("file:///srv/c-0.1.0.whl", "/srv/c-0.1.0.whl[load]", id="from a file"),
    ],
)
def test_the_command_names_the_source(tmp_path: Path, origin: str | None, expected: str):
    """As pip records it beside the package (PEP 610)."""
    record = tmp_path / "canary_controller-9.9.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: canary-controller\n", "utf-8")
    if origin:
        (record / "direct_url.json").write_text(json.dumps({"url": origin}), "utf-8")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from canary.errors import install_command; print(install_command('load'))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"pip install '{expected}'\n"
