"""What a release consists of, and a dry run of it: `python -m tools.release --help`.

    check TAG        is TAG the version of this source, with a section in CHANGELOG.md?
    files            dist/: wheel, sdist, chart, install.yaml, hold.yaml and release notes
    dry-run          builds all of that and tries it; publishes nothing

The version is `__version__` of canary/__init__.py; `make generate` copies it to other places.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from canary import __version__

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
LOCAL_IMAGE = "canary-controller"
"""The image that the manifests name while none is published."""
IMAGES = {"operator": "", "checks": "-checks"}
"""What each image is tagged with after the version, by its lock."""


class ReleaseError(RuntimeError):
    """A part of the release is wrong; the message says which."""


def read_section(version: str, changelog: str) -> str:
    """The section of this version in a changelog (Keep a Changelog), without its heading.

    Raises:
        ReleaseError: there is none, or it is empty.
    """
    found = re.search(
        rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if found is None or not found[1].strip():
        raise ReleaseError(
            f"CHANGELOG.md: expected a section '## [{version}] - DATE', found none: rename "
            "'## [Unreleased]' and begin a new one above it"
        )
    return found[1].strip() + "\n"


def check(tag: str) -> None:
    """Prints `version=…` for the workflow.

    Raises:
        ReleaseError: the tag is not that of this source.
    """
    if tag != f"v{__version__}":
        raise ReleaseError(f"expected tag v{__version__} (canary/__init__.py), found {tag}")
    read_section(__version__, (ROOT / "CHANGELOG.md").read_text("utf-8"))
    print(f"version={__version__}")


def with_image(text: str, image: str) -> str:
    """A manifest whose image comes from a registry."""
    local = f"image: {LOCAL_IMAGE}:{__version__}"
    if local not in text:
        raise ReleaseError(f"expected '{local}' in manifests/install.yaml, found nothing")
    return text.replace(local, f"image: {image}:{__version__}")


def write_manifests(image: str) -> None:
    """install.yaml, hold.yaml and the chart, with this image (without its tag)."""
    manifests = ROOT / "manifests"
    install = (manifests / "install.yaml").read_text("utf-8")
    (DIST / "install.yaml").write_text(with_image(install, image), "utf-8")
    shutil.copy(manifests / "hold/policy.yaml", DIST / "hold.yaml")
    with TemporaryDirectory() as folder:
        chart = Path(shutil.copytree(manifests / "chart", Path(folder) / "canary"))
        values = (chart / "values.yaml").read_text("utf-8")
        line = f"  repository: {LOCAL_IMAGE}\n"
        (chart / "values.yaml").write_text(
            values.replace(line, f"  repository: {image}\n"), "utf-8"
        )
        _run("helm", "package", str(chart), "--destination", str(DIST))


def write_packages() -> None:
    """dist/python: the wheel and the sdist."""
    with TemporaryDirectory() as folder:
        python = _environment(Path(folder))
        _run(python, "-m", "pip", "install", "--quiet", "build>=1.3")
        _run(python, "-m", "build", "--outdir", str(DIST / "python"), str(ROOT))


def write_files(image: str) -> None:
    """Everything that a release on GitHub has, in dist/."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    write_packages()
    write_manifests(image)
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    (DIST / "notes.md").write_text(read_section(__version__, changelog), "utf-8")


def dry_run() -> None:
    """Builds everything in dist/ and tries it as a user would."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    _step("wheel and sdist", write_packages)
    _step("install.yaml and chart", lambda: write_manifests("registry.example/canary-controller"))
    _step("chart: lint and render", _try_chart)
    _step("wheel in an empty environment: canary --version, canary demo", _try_wheel)
    _step("sdist builds the same wheel", _try_sdist)
    _step("images", _try_images)


def _step(name: str, act: Callable[[], None]) -> None:
    print(f"== {name}", flush=True)
    act()


def _try_chart() -> None:
    (chart,) = DIST.glob("canary-*.tgz")
    _run("helm", "lint", "--strict", str(chart))
    for options in ((), ("--set", "namespaces={a,b}"), ("--set", "alerts.enabled=true")):
        _run(
            "helm",
            "template",
            "canary",
            str(chart),
            "--kube-version",
            "1.37.0",
            *options,
            quiet=True,
        )


def _try_wheel() -> None:
    (wheel,) = (DIST / "python").glob("*.whl")
    with TemporaryDirectory() as folder:
        python = _environment(Path(folder))
        pip = (
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--constraint",
            str(ROOT / "constraints.txt"),
        )
        program = str(Path(python).parent / "canary")
        _run(*pip, str(wheel))
        _run(program, "--version")
        _run(*pip, f"{wheel}[demo]")
        _run(program, "demo", cwd=Path(folder))


def _try_sdist() -> None:
    (sdist,) = (DIST / "python").glob("*.tar.gz")
    (wheel,) = (DIST / "python").glob("*.whl")
    with TemporaryDirectory() as folder:
        python = _environment(Path(folder))
        _run(
            python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(sdist)
        )
        if not (Path(folder) / wheel.name).exists():
            raise ReleaseError(f"expected {wheel.name} from {sdist.name}, found another name")


def _try_images() -> None:
    """With IMAGE_BUILD, docker or podman; without any it is said, and nothing fails."""
    command = os.environ.get("IMAGE_BUILD")
    engine = next(filter(_works, ("docker", "podman")), None)
    if command:
        _run(*shlex.split(command))
    elif engine:
        for lock, suffix in IMAGES.items():
            image = f"{LOCAL_IMAGE}:{__version__}{suffix}"
            _run(engine, "build", "--build-arg", f"LOCK={lock}", "--tag", image, str(ROOT))
            _run(engine, "run", "--rm", image, "--version")
    else:
        print("not built: neither docker nor podman answers; IMAGE_BUILD names another builder")


def _works(engine: str) -> bool:
    if shutil.which(engine) is None:
        return False
    return subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0  # noqa: S603 - one of two names


def _environment(folder: Path) -> str:
    """The Python of a new, empty environment; PYTHONPATH must not lead back to this source."""
    os.environ.pop("PYTHONPATH", None)
    venv.create(folder / "environment", with_pip=True)
    return str(folder / "environment/bin/python")


def _run(*command: str, cwd: Path = ROOT, quiet: bool = False) -> None:
    print(f"$ {shlex.join(command)}", flush=True)
    output = subprocess.DEVNULL if quiet else None
    done = subprocess.run(command, cwd=cwd, stdout=output, check=False)  # noqa: S603 - programs that this file names
    if done.returncode != 0:
        raise ReleaseError(f"exit code {done.returncode}: {shlex.join(command)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything is right; 1 with a message when not."""
    parser = argparse.ArgumentParser(
        prog="tools.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("check").add_argument("tag", metavar="TAG")
    files = actions.add_parser("files")
    files.add_argument(
        "--image", required=True, help="image that the manifests name, without a tag"
    )
    actions.add_parser("dry-run")
    chosen = parser.parse_args(arguments)
    try:
        match chosen.action:
            case "check":
                check(chosen.tag)
            case "files":
                write_files(chosen.image)
            case _:
                dry_run()
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
