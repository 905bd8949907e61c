"""Rewrites what is generated: console blocks of Markdown files, docs/spec.md, the CRD.

`python -m tools.generate` writes; with `--check` it only says what is out of date (exit code 1).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from canary.manifests import crd_yaml
from tools.spec_page import spec_page

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```console\n\$ (canary [^\n]*)\n.*?^```$", re.MULTILINE | re.DOTALL)


def console_blocks(text: str) -> str:
    """The text in which each `$ canary …` block holds what that really prints (80 columns)."""
    return BLOCK.sub(lambda block: f"```console\n$ {block[1]}\n{_output(block[1])}```", text)


def _output(command: str) -> str:
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(  # noqa: S603 - our own program, called as our own pages say
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in lines)


def generated() -> dict[Path, str]:
    """What each file with generated parts should hold."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    texts = {page: page.read_text("utf-8") for page in pages}
    expected = {page: console_blocks(text) for page, text in texts.items() if BLOCK.search(text)}
    return expected | {ROOT / "docs/spec.md": spec_page(), ROOT / "manifests/crd.yaml": crd_yaml()}


def main() -> int:
    """Writes or checks; 0 when nothing is (any longer) out of date."""
    stale = {
        page: text
        for page, text in generated().items()
        if not page.exists() or page.read_text("utf-8") != text
    }
    check = "--check" in sys.argv[1:]
    for page, text in stale.items():
        name = page.relative_to(ROOT)
        print(f"{name} is out of date: run `make generate`" if check else f"{name} written")
        if not check:
            page.write_text(text, "utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
