"""docs/pictures/notification.png: `python -m tools.notification_picture` makes it.

The message to Slack that `canary notify docs/examples/auth.yaml` previews, laid out as Slack does
with its blocks: header, section, fields. Needs chromium.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.photograph import photograph

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs/pictures/notification.png"
_STYLE = """
body{margin:0;padding:14px 20px;width:660px}
body{background:#fff;color:#1d1c1d;font:15px/1.46 Lato,system-ui,sans-serif}
.who{display:flex;gap:9px;align-items:baseline}
.app{background:#ddd;border-radius:3px;font-size:10px;padding:1px 4px;color:#616061}
.logo{float:left;width:36px;height:36px;border-radius:5px;background:#0f766e;color:#fff}
.logo{font:bold 20px/36px sans-serif;text-align:center}
main{margin-left:46px}
h1{font-size:18px;margin:6px 0}
h1 svg{vertical-align:-2px}
section{margin:8px 0;white-space:pre-line}
.fields{display:grid;grid-template-columns:1fr 1fr;gap:0 16px}
a{color:#1264a3;text-decoration:none}
time{color:#616061;font-size:12px}
"""
_STOP = (
    '<svg width="18" height="18" viewBox="0 0 18 18">'
    '<path d="M5.3 0h7.4L18 5.3v7.4L12.7 18H5.3L0 12.7V5.3z" fill="#dc2626"/></svg>'
)
"""For 🛑: not every machine has a font for it."""


def preview() -> list[Mapping[str, Any]]:
    """The blocks of the message."""
    command = [sys.executable, "-m", "canary", "notify", "docs/examples/auth.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    payload = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("{"))[0]
    blocks: list[Mapping[str, Any]] = payload["blocks"]
    return blocks


def block(one: Mapping[str, Any]) -> str:
    """One block as HTML."""
    if one["type"] == "header":
        return f"<h1>{text(one['text']).replace('🛑', _STOP)}</h1>"
    if "fields" in one:
        fields = "".join(f"<section>{text(field)}</section>" for field in one["fields"])
        return f'<div class="fields">{fields}</div>'
    return f"<section>{text(one['text'])}</section>"


def text(one: Mapping[str, str]) -> str:
    """Plain text, or Slack's own markup with its bold and its links."""
    if one["type"] == "plain_text":
        return escape(one["text"])
    linked = re.sub(r"<([^|>]+)\|([^>]+)>", r'<a href="\1">\2</a>', one["text"])
    return re.sub(r"\*([^*]+)\*", r"<b>\1</b>", linked)


def main() -> int:
    """Makes the picture."""
    body = "".join(block(one) for one in preview())
    who = '<div class="who"><b>canary</b><span class="app">APP</span><time>10:42</time></div>'
    html = f'<style>{_STYLE}</style><div class="logo">c</div><main>{who}{body}</main>'
    with TemporaryDirectory() as folder:
        page = Path(folder) / "message.html"
        page.write_text(f"<!doctype html><meta charset=utf-8>{html}", "utf-8")
        photograph(page, FILE, 500, width=720)
    return 0


if __name__ == "__main__":
    sys.exit(main())
