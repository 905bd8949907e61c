"""What the images are made of: `python -m tools.supply_chain --help`.

    lock             writes locks/*.txt: exact versions and hashes, for every platform
    check BASE       writes an SBOM (CycloneDX) for each image into dist/, asks for known
                     vulnerabilities, and refuses a base image without a digest

Both use tools in an environment of their own (build/supply-chain); the project needs none of them.
"""

import argparse
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "locks"
EXTRAS = {"operator": ("google",), "checks": ("google", "load", "postgres")}
"""The images, and the extras that each has."""
TOOLS = ("uv==0.13.9", "pip-audit==2.10.1", "cyclonedx-bom==7.5.0")
_UNIVERSAL = ("--generate-hashes", "--universal", "--python-version", "3.11")
_BARE = ("--no-header", "--no-annotate", "--quiet")
_UNKNOWN = "could not be audited"


def has_digest(base: str) -> bool:
    """Whether an image is named by what it contains: `python:3.14-slim@sha256:…`."""
    return re.search(r"@sha256:[0-9a-f]{64}$", base) is not None


def read_pins(text: str) -> dict[str, str]:
    """Versions by normalized name, of a lock or of constraints.txt."""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def lock() -> None:
    """Writes all locks, with the versions of constraints.txt."""
    tools = _install_tools()
    for name, extras in EXTRAS.items():
        chosen = [word for extra in extras for word in ("--extra", extra)]
        _compile(tools, LOCKS / f"{name}.txt", "pyproject.toml", *chosen, "-c", "constraints.txt")
    backend = re.search(
        r'^requires = \["([^"]+)"\]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    if backend is None:
        sys.exit("pyproject.toml: expected one build requirement with its version")
    wanted = ROOT / "build" / "backend.in"
    wanted.write_text(f"{backend[1]}\n")
    _compile(tools, LOCKS / "build.txt", str(wanted))


def check(base: str) -> None:
    """Ends with an error where the release would not be what it says."""
    tools, problems = _install_tools(), []
    (ROOT / "dist").mkdir(exist_ok=True)
    for name in EXTRAS:
        requirements, bom = f"locks/{name}.txt", f"dist/sbom-{name}.cdx.json"
        _run(tools / "cyclonedx-py", "requirements", requirements, "--of", "JSON", "-o", bom)
        print(f"{bom}: written")
        audit = [str(tools / "pip-audit"), "-r", requirements, "--require-hashes", "--disable-pip"]
        done = subprocess.run(  # noqa: S603 - our own tool
            audit, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode or _UNKNOWN in done.stdout + done.stderr:
            problems.append(f"{requirements}: pip-audit found something, or could not ask:")
            problems += (done.stdout + done.stderr).strip().splitlines()[:5]
    if not has_digest(base):
        problems.append(f"BASE={base}: expected an image with its digest (NAME@sha256:…)")
    sys.exit("\n".join(problems) or None)


def _install_tools() -> Path:
    folder = ROOT / "build" / "supply-chain"
    if not (folder / "bin").exists():
        venv.create(folder, with_pip=True)
    _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *TOOLS)
    return folder / "bin"


def _compile(tools: Path, out: Path, *words: str) -> None:
    _run(tools / "uv", "pip", "compile", *words, *_UNIVERSAL, *_BARE, "-o", str(out))


def _run(program: Path, *words: str) -> None:
    subprocess.run([str(program), *words], cwd=ROOT, check=True)  # noqa: S603 - our own tools


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.supply_chain", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("lock")
    commands.add_parser("check").add_argument("base")
    given = parser.parse_args()
    if given.command == "lock":
        lock()
    else:
        check(given.base)


if __name__ == "__main__":
    main()
