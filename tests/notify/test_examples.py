"""What users copy: the chart's receivers, the example values, the Role for one Secret."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from canary.api.notify import Group
from canary.http.addresses import EVERYWHERE
from canary.notify.config import load_notify
from canary.notify.events import event_from_notice
from canary.notify.formatters import format_message, select_message
from canary.notify.sender import PayloadSender
from canary.operator.settings import NOTIFY_SECRETS
from tests.metrics.real_prometheus import wait_until
from tests.notify.fixtures_messages import LINKS, entry, leak, notice, promoted, rolled_back

ROOT = Path(__file__).parents[2]
VALUES = ROOT / "docs/examples/notify/values.yaml"


def test_the_example_is_a_file_that_the_operator_takes(tmp_path: Path) -> None:
    """Pool reasons wake the database team; the channel gets what everybody gets."""
    values = yaml.safe_load(VALUES.read_text("utf-8"))["notify"]
    path = tmp_path / "notify.yaml"
    path.write_text(yaml.safe_dump({key: values[key] for key in ("receivers", "links")}))
    dba, channel, alerts = load_notify(path).receivers
    assert dba.groups == (Group.POOL,)
    assert channel.groups == alerts.groups == ()
    named = {one.secret.name for one in (dba, channel, alerts) if one.secret is not None}
    assert named == set(values["secrets"])


def test_the_role_names_one_secret_and_one_verb() -> None:
    """Nobody else's Secrets, and no list that would show them all."""
    role, binding = yaml.safe_load_all((VALUES.parent / "role.yaml").read_text("utf-8"))
    assert role["kind"] == "Role"
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["hooks"], "verbs": ["get"]}
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]


def rendered(*options: str) -> list[dict[str, Any]]:
    """The chart as Helm renders it."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("needs helm on the PATH")
    chart = str(ROOT / "manifests/chart")
    done = subprocess.run(
        [helm, "template", "canary", chart, "--kube-version", "1.37.0", *options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def test_the_chart_mounts_what_the_operator_reads(tmp_path: Path) -> None:
    """The file under its flag, each Secret where the operator looks for it, the port open."""
    items = rendered("--values", str(VALUES))
    (config,) = [item for item in items if item["kind"] == "ConfigMap"]
    file = tmp_path / "notify.yaml"
    file.write_text(config["data"]["notify.yaml"])
    assert [one.name for one in load_notify(file).receivers] == [
        "database-team",
        "releases",
        "alerts",
    ]
    (pod,) = [one["spec"]["template"]["spec"] for one in items if one["kind"] == "Deployment"]
    (container,) = pod["containers"]
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert "--notify-file=/etc/canary/notify/notify.yaml" in container["args"]
    folder = volumes[mounts["/etc/canary/notify"]]
    assert folder["configMap"]["name"] == config["metadata"]["name"]
    secret = volumes[mounts[str(NOTIFY_SECRETS / "canary-receivers")]]
    assert secret["secret"]["secretName"] == "canary-receivers"
    (policy,) = [item for item in items if item["kind"] == "NetworkPolicy"]
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
    assert 9093 in ports


def test_without_receivers_the_chart_mounts_nothing() -> None:
    """No empty ConfigMap, no flag."""
    items = rendered()
    assert "ConfigMap" not in {item["kind"] for item in items}
    assert "notify" not in str([item for item in items if item["kind"] == "Deployment"])


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """A real one; skipped where there is none."""
    binary = os.environ.get("ALERTMANAGER") or shutil.which("prometheus-alertmanager")
    binary = binary or shutil.which("alertmanager")
    if binary is None:
        pytest.skip("there is no `alertmanager` on PATH, and $ALERTMANAGER is not set")
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = (
        f"--config.file={tmp_path / 'am.yml'}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    process = subprocess.Popen([binary, *flags], stdout=sys.stderr, stderr=sys.stderr)
    try:
        wait_until(lambda: _answers(f"http://{address}"), "Alertmanager's start")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.ConnectionError:
        return False


def test_a_real_alertmanager_takes_an_alert_and_its_end(alertmanager: str) -> None:
    """One alert with its labels and pages is active, and after the promotion none is."""
    date = requests.get(alertmanager, timeout=5).headers["Date"]
    now = parsedate_to_datetime(date).timestamp()
    receiver = entry(alertmanager={"url": alertmanager})

    def alerts() -> list[dict[str, Any]]:
        return list(requests.get(f"{alertmanager}/api/v2/alerts", timeout=5).json())

    for told, active in (
        (replace(leak(), at=now), 1),
        (notice(*promoted(*rolled_back().history), at=now), 0),
    ):
        event = event_from_notice(told)
        assert event is not None
        message = select_message(receiver, event, LINKS, fresh=True)
        assert message is not None
        for parcel in format_message(message, receiver, "", now):
            PayloadSender(EVERYWHERE).send(parcel, now)
        wait_until(lambda: len(alerts()) == active, f"{active} active")  # noqa: B023  # called at once
        for alert in alerts():
            assert alert["labels"]["reason"] == "ConnectionLeak"
            assert alert["annotations"]["runbook_url"].endswith("/ConnectionLeak")
