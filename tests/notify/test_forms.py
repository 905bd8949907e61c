"""What each receiver is sent, to the byte, and within the limits that its vendor publishes."""

import base64
import hmac
import json
from hashlib import sha256
from typing import Any

import pytest

from canary.api import MetricStatus, Reason, Status, Verdict
from canary.errors import PermanentError
from canary.interfaces import Change, Notice
from canary.notify.events import event_from_notice
from canary.notify.formatters import format_message, select_message
from canary.notify.message import ApprisePayload, HttpPayload, Message
from canary.notify.pagerduty import ADDRESSES
from canary.notify.teams import MAX_BYTES
from tests.notify.fixtures_messages import (
    AT,
    GOLDEN,
    HOLDING,
    KEY,
    LINKS,
    changed,
    entry,
    leak,
    notice,
    paused,
    promoted,
    ref,
    rolled_back,
    rolling_back,
    spec,
)

ENTRIES: dict[str, dict[str, Any]] = {
    "slack": {"slack": ref("slack")},
    "teams": {"teams": ref("teams")},
    "pagerduty": {"pagerduty": ref("pagerduty")},
    "alertmanager": {"alertmanager": {"url": "http://alertmanager.monitoring:9093/"}},
    "webhook": {"webhook": {"url": "https://hooks.example/canary", **ref("key")}},
    "apprise": {"apprise": ref("apprise")},
}
SECRETS = {
    "slack": "https://hooks.slack.example/services/T0/B0/XXX",
    "teams": "https://flows.example/workflows/1?sig=XXX",
    "pagerduty": "R0UT1NGKEY",
    "webhook": "whsec_c2VjcmV0IGtleQ==",
    "apprise": "mailtos://user:pass@example.com",
}
STORIES = {
    "leak": leak(),
    "stuck": notice(HOLDING, paused()),
    "promotion": notice(*promoted(*rolled_back().history)),
}


def message(kind: str, told: Notice) -> Message | None:
    """For a receiver of this kind with the default route."""
    event = event_from_notice(told)
    assert event is not None
    return select_message(entry(**ENTRIES[kind]), event, LINKS, fresh=True)


def sent(kind: str, told: Notice) -> list[Any]:
    """All that is sent."""
    written = message(kind, told)
    if written is None:
        return []
    return list(format_message(written, entry(**ENTRIES[kind]), SECRETS.get(kind, ""), AT + 1))


def plain(parcel: HttpPayload | ApprisePayload) -> dict[str, Any]:
    """One parcel, for a golden file."""
    if isinstance(parcel, ApprisePayload):
        words = {"title": parcel.title, "body": parcel.body.split("\n"), "tone": parcel.tone}
        return {"url": parcel.url, **words}
    headers = dict(parcel.headers)
    return {"url": parcel.url, "headers": headers, "body": json.loads(parcel.body)}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("kind", ENTRIES)
def test_what_is_sent(kind: str, story: str) -> None:
    """As the golden file has it; what a receiver is not sent has an empty one."""
    found = [plain(parcel) for parcel in sent(kind, STORIES[story])]
    assert found == json.loads((GOLDEN / f"{kind}.{story}.json").read_text("utf-8"))


ABOVE = "界" * 5000
FOREIGN = "<!channel> & <https://evil.example|click> [here](https://evil.example) *b*\x1b[31m"


def large() -> Notice:
    """Everything as long and as many as can be, and other people's text in it."""
    status = MetricStatus(name="m" * 63, verdict=Verdict.FAIL, message=ABOVE)
    many = tuple(status.model_copy(update={"name": f"m{index}"}) for index in range(100))
    after = rolling_back(Reason.CONNECTION_LEAK, message=FOREIGN + ABOVE, analysis=many)
    pods = tuple(f"{'p' * 240}-{index}" for index in range(300))
    change = Change(spec(), HOLDING, after, pods)
    return Notice(KEY, AT, after.phase, after.reason, after.message, 0, change)


def body(kind: str, told: Notice) -> Any:
    """The JSON of the last request."""
    return json.loads(sent(kind, told)[-1].body)


def test_slack_stays_within_block_kit() -> None:
    """Header 150, section 3,000, ten fields of 2,000, 50 blocks; no block without text."""
    message = body("slack", large())
    assert len(message["blocks"]) <= 50
    assert len(message["text"]) <= 4000
    for block in message["blocks"]:
        if block["type"] == "header":
            assert 1 <= len(block["text"]["text"]) <= 150
        elif "fields" in block:
            assert 1 <= len(block["fields"]) <= 10
            assert all(1 <= len(one["text"]) <= 2000 for one in block["fields"])
        else:
            assert 1 <= len(block["text"]["text"]) <= 3000


def test_slack_mentions_nobody_and_links_nothing_of_other_peoples_text() -> None:
    """Text of a metric or a check stands where Slack interprets nothing, or escaped."""
    message = body("slack", large())
    assert "<!channel>" not in message["text"]
    for block in message["blocks"]:
        for part in (block.get("text"), *block.get("fields", ())):
            if part is not None and part["type"] == "mrkdwn":
                assert "<!" not in part["text"]
                assert "evil.example|" not in part["text"]


def test_teams_stays_below_its_size_and_interprets_no_markdown() -> None:
    """28 KB; foreign text stands in text runs only."""
    (post,) = sent("teams", large())
    assert len(post.body) < MAX_BYTES
    card = json.loads(post.body)["attachments"][0]["content"]
    assert {part["type"] for part in card["body"]} == {"RichTextBlock", "FactSet"}
    (facts,) = [part for part in card["body"] if part["type"] == "FactSet"]
    assert "evil" not in json.dumps(facts)


def test_pagerduty_stays_within_its_limits() -> None:
    """Summary 1,024, dedup_key 255, known severity, the event below 512 KB."""
    (post,) = sent("pagerduty", large())
    event = json.loads(post.body)
    assert post.url == "https://events.pagerduty.com/v2/enqueue"
    assert len(event["payload"]["summary"]) <= 1024
    assert 1 <= len(event["dedup_key"]) <= 255
    assert event["payload"]["severity"] in {"critical", "error", "warning", "info"}
    assert len(post.body) < 512 * 1024


def test_pagerduty_in_europe() -> None:
    """Accounts of the other service region have another address."""
    written = message("pagerduty", leak())
    assert written is not None
    european = entry(pagerduty={**ref("pagerduty"), "region": "eu"})
    (post,) = format_message(written, european, "KEY", AT)
    assert isinstance(post, HttpPayload)
    assert post.url == ADDRESSES["eu"] == "https://events.eu.pagerduty.com/v2/enqueue"


def test_pagerduty_and_alertmanager_end_what_they_began() -> None:
    """By the same key and the same labels, from the verdict to the next promotion."""
    good = STORIES["promotion"]
    begun, over = body("pagerduty", leak()), body("pagerduty", good)
    assert (begun["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert begun["dedup_key"] == over["dedup_key"]
    (alert,), (ended,) = body("alertmanager", leak()), body("alertmanager", good)
    assert alert["labels"] == ended["labels"]
    assert alert["endsAt"] > alert["startsAt"]
    assert ended["endsAt"] == "2027-01-15T08:00:01.000Z"
    assert "startsAt" not in ended


def test_a_signature_is_what_standard_webhooks_checks() -> None:
    """HMAC-SHA256 over ID.TIMESTAMP.BODY with the key's bytes; the time is that of the attempt."""
    (post,) = sent("webhook", leak())
    assert post.headers["webhook-timestamp"] == str(int(AT + 1))
    content = f"{post.headers['webhook-id']}.{int(AT + 1)}.".encode() + post.body
    expected = base64.b64encode(hmac.digest(b"secret key", content, sha256)).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"


def test_an_event_is_a_cloudevent() -> None:
    """The attributes that the specification requires, and the content type of structured mode."""
    (post,) = sent("webhook", leak())
    event = json.loads(post.body)
    assert post.headers["Content-Type"].startswith("application/cloudevents+json")
    assert event["specversion"] == "1.0"
    assert all(event[name] for name in ("id", "source", "type"))
    assert event["id"] == post.headers["webhook-id"]


def test_without_a_key_nothing_is_signed() -> None:
    """No signature with an empty key."""
    written = message("webhook", leak())
    assert written is not None
    (post,) = format_message(written, entry(webhook={"url": "https://hooks.example"}), "", AT)
    assert isinstance(post, HttpPayload)
    assert set(post.headers) == {"Content-Type"}


@pytest.mark.parametrize("kind", ["slack", "teams", "alertmanager"])
@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("SENTINEL", id="no address"),
        pytest.param("ftp://SENTINEL", id="another scheme"),
        pytest.param("https://", id="no host"),
        pytest.param("https://a b SENTINEL", id="two words"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_secret_that_is_no_address_is_not_repeated(kind: str, secret: str) -> None:
    """The error says what is expected; what was found is secret."""
    written = message(kind, leak())
    assert written is not None
    where = ref("x") if kind == "alertmanager" else ENTRIES[kind][kind]
    with pytest.raises(PermanentError, match="expected an address") as caught:
        format_message(written, entry(**{kind: where}), secret, AT)
    assert "SENTINEL" not in repr(caught.value)


def test_what_is_printed_of_a_parcel_holds_no_secret() -> None:
    """Not even in a debugger's or an exception's repr."""
    for kind, secret in SECRETS.items():
        assert secret not in repr(sent(kind, leak()))


def test_links_are_filled_in_and_quoted() -> None:
    """The pool graph for pool reasons only; times are those around the release."""
    pool, other = body("webhook", leak()), body("webhook", notice(HOLDING, paused()))
    links = {one["title"]: one["url"] for one in pool["data"]["links"]}
    assert links["Runbook"] == "https://runbooks.example/ConnectionLeak"
    assert links["Connection pools"] == (
        "https://grafana.example/d/pools?var-service=auth-web&var-pod=auth-canary"
        f"&from={round((AT - 1500) * 1000)}&to={round((AT + 900) * 1000)}"
    )
    assert "Connection pools" not in {one["title"] for one in other["data"]["links"]}


def silent(status: Status) -> Notice:
    """The same, with nothing measured."""
    return notice(HOLDING, changed(status, analysis=()))


@pytest.mark.parametrize("kind", ENTRIES)
def test_nothing_measured_is_no_reason_not_to_tell(kind: str) -> None:
    """A crash loop before the first sample has neither counts nor evidence."""
    assert sent(kind, silent(rolling_back(Reason.CRASH_LOOPING)))
