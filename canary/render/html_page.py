"""The HTML shell of the report: a self-contained page without requests, for screen and print."""

import base64
import hashlib
from collections.abc import Sequence
from string import Template

from canary.text.sanitize import escape_html_text

STYLE = """
:root { color-scheme: light dark;
  --paper: #f4f5f7; --card: #ffffff; --ink: #1b1f24; --muted: #59636e; --grid: #dfe3e8;
  --stable: #0067a3; --canary: #c8500a; --soft: rgba(200, 80, 10, .14); --limit: #8a1c4a;
  --metric0: #6b4fa0; --metric1: #00795c; --metric2: #8a5a00; --metric3: #3b4754; }
@media (prefers-color-scheme: dark) { :root:not(.printing) {
  --paper: #14171b; --card: #1e2329; --ink: #e8ebee; --muted: #a3adb8; --grid: #343b44;
  --stable: #5cb3ea; --canary: #f5a04c; --soft: rgba(245, 160, 76, .18); --limit: #f08bb4;
  --metric0: #b9a3ea; --metric1: #4fd0a8; --metric2: #e3c05a; --metric3: #c3ccd6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main, footer { max-width: 1080px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 44px; }
h1 { font-size: clamp(1.55rem, 4.6vw, 2.5rem); line-height: 1.2; margin: 0 0 .5em;
  text-wrap: balance; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .3em; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.6em 0 .4em; }
p { margin: 0 0 1em; max-width: 72ch; overflow-wrap: anywhere; }
.kind { color: var(--muted); font-size: .85rem; margin: 0 0 .6em; }
.lead { font-size: 1.1rem; color: var(--muted); }
section { background: var(--card); border: 1px solid var(--grid); border-radius: 12px;
  padding: 24px; margin: 0 0 24px; }
figure { margin: 1.2em 0 0; }
.chart { min-height: 300px; margin: 0 -8px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; margin: 0 0 .4em;
  padding: 0; font-size: .88rem; color: var(--muted); }
.legend li { display: flex; align-items: center; gap: 8px; overflow-wrap: anywhere; }
.legend svg { flex: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0 0 .5em; }
th, td { text-align: left; vertical-align: top; padding: 8px 16px 8px 0;
  border-top: 1px solid var(--grid); overflow-wrap: anywhere; }
thead th { border-top: 0; color: var(--muted); font-weight: 600; font-size: .88rem; }
tbody th { font-weight: 500; color: var(--muted); overflow-wrap: normal; }
.compare thead td { border: 0; }
.compare thead th { padding-left: 17px; }
.compare td { font-weight: 600; font-size: 1.05rem; }
.compare tbody td:first-of-type { border-left: 3px solid var(--stable); padding-left: 14px; }
.compare tbody td:last-of-type { border-left: 3px solid var(--canary); padding-left: 14px; }
.decisions td:not(:last-child), .decisions th:not(:last-child) { white-space: nowrap; }
.decisions strong { margin-right: .4em; white-space: nowrap; }
code { font: .86em ui-monospace, "SF Mono", Menlo, Consolas, monospace; color: var(--muted); }
dl { display: grid; grid-template-columns: minmax(7em, max-content) 1fr; gap: 4px 20px;
  margin: 0; font-size: .94rem; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.note { color: var(--muted); font-size: .88rem; }
footer { padding-bottom: 44px; }
@media (max-width: 600px) {
  header, main, footer { padding: 0 12px; }
  header { padding-top: 24px; }
  section { padding: 16px 14px; border-radius: 10px; }
  th, td { padding-right: 10px; }
  .compare td { font-size: .96rem; }
  .compare thead th { padding-left: 12px; }
  .compare td:first-of-type, .compare tbody td:last-of-type { padding-left: 9px; }
  .decisions td, .decisions th { padding-right: 8px; font-size: .92rem; }
  .decisions code { display: block; }
  .decisions code + br { display: none; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin: 0 0 .6em; }
}
@media print {
  :root { color-scheme: light; }
  body { background: none; font-size: 10.5pt; }
  header { padding-top: 0; }
  section { border: 0; border-top: 1px solid var(--grid); border-radius: 0; padding: 14px 0; }
  section + section { break-before: page; }
  .decisions tbody tr:first-child { break-before: avoid; }
  .chart, tr, dl { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  .scroll { overflow: visible; }
}
"""

SCRIPT = """
(function () {
  "use strict";
  var root = document.documentElement;
  var options = { responsive: true, displayModeBar: false, showTips: false };
  function themed(value, colors) {
    if (typeof value === "string") {
      var name = /^var\\((--[a-z0-9]+)\\)$/.exec(value);
      return name ? colors.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) {
      return value.map(function (item) { return themed(item, colors); });
    }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(function (entry) {
        return [entry[0], themed(entry[1], colors)];
      }));
    }
    return value;
  }
  function draw(width) {
    var colors = getComputedStyle(root);
    document.querySelectorAll("[data-figure]").forEach(function (box) {
      var source = document.getElementById(box.dataset.figure).textContent;
      var figure = themed(JSON.parse(source), colors);
      figure.layout.dragmode = matchMedia("(pointer: fine)").matches ? "zoom" : false;
      if (width) {
        figure.layout.width = width;
        figure.layout.height *= 0.76;
      }
      box.style.height = figure.layout.height + "px";
      Plotly.react(box, figure.data, figure.layout, options);
    });
  }
  function screen() { root.classList.remove("printing"); draw(0); }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { draw(0); });
  addEventListener("beforeprint", function () { root.classList.add("printing"); draw(680); });
  addEventListener("afterprint", screen);
  screen();
})();
"""

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<p class="kind">Incident report of canary</p>
<h1>$heading</h1>
<p class="lead">$intro</p>
</header>
<main>
$body
</main>
<footer>
<p class="note">This file is self-contained: it loads nothing and sends nothing.</p>
</footer>
$scripts
</body>
</html>
""")


def render_page(*, heading: str, intro: str, body: str, scripts: Sequence[str]) -> str:
    """Return the page; `body` is HTML, `heading` and `intro` are text, `scripts` run in order.

    The page's Content-Security-Policy allows exactly these scripts and no requests.
    """
    return PAGE.substitute(
        policy=build_policy(scripts),
        title=escape_html_text(heading),
        style=STYLE,
        heading=escape_html_text(heading),
        intro=escape_html_text(intro),
        body=body,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def build_policy(scripts: Sequence[str]) -> str:
    """Return the Content-Security-Policy that allows `scripts`, inline styles and nothing else."""
    digests = " ".join(f"'sha256-{_hash_script(script)}'" for script in scripts) or "'none'"
    rules = (
        "default-src 'none'",
        f"script-src {digests}",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def _hash_script(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
