"""Sending to a real HTTP server: what comes back, what hangs, and that no secret is ever seen."""

import logging
import socket
import threading
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from canary.errors import CanaryError
from canary.http.addresses import EVERYWHERE
from canary.notify.message import ApprisePayload, HttpPayload
from canary.notify.sender import (
    DeliveryError,
    DeliveryTimeouts,
    PayloadSender,
    RefusedDeliveryError,
)
from tests.notify.fixtures_messages import AT, ScriptedAnswer, WebhookReceiver

SENTINEL = "S3NT1N3L"
QUICK = PayloadSender(EVERYWHERE, DeliveryTimeouts(connect=2.0, read=0.3))
PATIENT = PayloadSender(EVERYWHERE, DeliveryTimeouts(connect=2.0, read=10.0))


def post(url: str) -> HttpPayload:
    """To an address that is a secret."""
    return HttpPayload(f"{url}/services/{SENTINEL}", b"{}", {"Content-Type": "application/json"})


def failure(sender: PayloadSender, url: str) -> CanaryError:
    """What it says when it does not work."""
    with pytest.raises((DeliveryError, RefusedDeliveryError)) as caught:
        sender.send(post(url), AT)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


LATER = format_datetime(datetime.fromtimestamp(AT + 42, UTC), usegmt=True)
ANSWERS = [
    pytest.param(ScriptedAnswer(429, {"Retry-After": "7"}), DeliveryError, "HTTP 429", 7.0, id="429, after seconds"),
    pytest.param(ScriptedAnswer(429, {"Retry-After": LATER}), DeliveryError, "HTTP 429", 42.0, id="429, after a date"),
    pytest.param(ScriptedAnswer(429, {"Retry-After": "soon"}), DeliveryError, "HTTP 429", 1.0, id="429, after nonsense"),
    pytest.param(ScriptedAnswer(429, {"Retry-After": "nan"}), DeliveryError, "HTTP 429", 1.0, id="429, after no number"),
    pytest.param(ScriptedAnswer(429, {"Retry-After": "-5"}), DeliveryError, "HTTP 429", 0.0, id="429, after the past"),
    pytest.param(ScriptedAnswer(503, {"Retry-After": "86400"}), DeliveryError, "HTTP 503", 300.0, id="503, after a day"),
    pytest.param(ScriptedAnswer(500), DeliveryError, "HTTP 500", 1.0, id="500"),
    pytest.param(ScriptedAnswer(408), DeliveryError, "HTTP 408", 1.0, id="408"),
    pytest.param(ScriptedAnswer(400), RefusedDeliveryError, "HTTP 400", None, id="400 is not tried again"),
    pytest.param(ScriptedAnswer(404), RefusedDeliveryError, "still valid", None, id="404 says where to look"),
    pytest.param(ScriptedAnswer(raw=b"garbage\r\n\r\n"), DeliveryError, "broke off", 1.0, id="an answer that is not HTTP"),
    pytest.param(ScriptedAnswer(hang=True), DeliveryError, "no answer within 0.3 s", 1.0, id="no answer"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "kind", "words", "after"), ANSWERS)
def test_answers(answer: ScriptedAnswer, kind: type, words: str, after: float | None) -> None:
    """What is worth another try, and when; one request each, for the caller decides."""
    with WebhookReceiver(answer) as server:
        error = failure(QUICK, server.url)
        assert isinstance(error, kind)
        assert words in str(error)
        assert getattr(error, "retry_after", None) == after
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """The secret in the body is not carried to another server; the error says what to do."""
    with (
        WebhookReceiver() as elsewhere,
        WebhookReceiver(ScriptedAnswer(status, {"Location": elsewhere.url})) as server,
    ):
        error = failure(QUICK, server.url)
        assert isinstance(error, RefusedDeliveryError)
        assert "put the final address into the Secret" in str(error)
        assert elsewhere.requests == []


@pytest.mark.parametrize("status", [200, 202, 204])
def test_whatever_is_2xx_is_delivered(status: int) -> None:
    """Slack says 200, Teams and PagerDuty 202."""
    with WebhookReceiver(ScriptedAnswer(status, size=0)) as server:
        QUICK.send(post(server.url), AT)
        (request,) = server.requests
    assert request.path == f"/services/{SENTINEL}"
    assert request.content == b"{}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("canary/")


def test_an_answer_of_50_mb_is_not_read() -> None:
    """How it was answered is enough; the connection is closed before the rest comes."""
    with WebhookReceiver(ScriptedAnswer(200, size=50 << 20)) as server:
        PATIENT.send(post(server.url), AT)
    assert server.sent < 50 << 20


PATIENT_BUT = PayloadSender(EVERYWHERE, DeliveryTimeouts(connect=2.0, read=5.0, whole=0.4))


def test_an_answer_that_trickles_is_cut_off() -> None:
    """A byte now and then is never too late, and never done: the whole has a limit of its own."""
    with WebhookReceiver(ScriptedAnswer(drip=b"H")) as server:
        error = failure(PATIENT_BUT, server.url)
    assert isinstance(error, DeliveryError)
    assert "no answer within 0.4 s" in str(error)


def test_a_header_without_end_is_not_waited_for() -> None:
    """The status has come, and it was taken."""
    with WebhookReceiver(ScriptedAnswer(drip=b"HTTP/1.1 200 OK\r\nX-Slow: ")) as server:
        PATIENT_BUT.send(post(server.url), AT)


def test_nobody_there() -> None:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "cannot be reached" in str(failure(QUICK, f"http://127.0.0.1:{port}"))


def test_no_credentials_of_a_netrc_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in the address are sent, those of the machine's user are not."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with WebhookReceiver() as server:
        QUICK.send(post(server.url), AT)
        QUICK.send(post(server.url.replace("//", "//user:pass@")), AT)
        plain, own = server.requests
    assert "authorization" not in plain.headers
    assert own.headers["authorization"] == "Basic dXNlcjpwYXNz"


MALFORMED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nno header at all\r\n\r\n"
BAD_ADDRESSES = (
    "http://[bad/",
    "http://exa mple/",
    "nonsense://x",
    "http://127.0.0.1:99999999/",
    "http://" + "a" * 300,
    "http://\u2028/",
)


def test_no_secret_in_logs_or_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong and however much is logged: also what the libraries say by themselves."""
    caplog.set_level(logging.DEBUG)
    answers = (
        ScriptedAnswer(200),
        ScriptedAnswer(500),
        ScriptedAnswer(404),
        ScriptedAnswer(302, {"Location": "/x"}),
    )
    hostile = (
        ScriptedAnswer(raw=MALFORMED),
        ScriptedAnswer(raw=b"x\r\n\r\n"),
        ScriptedAnswer(hang=True),
    )
    said = []
    for answer in (*answers, *hostile):
        with WebhookReceiver(answer) as server:
            try:
                QUICK.send(post(server.url), AT)
            except CanaryError as error:
                said.append(repr(error))
    said += [repr(failure(QUICK, address)) for address in BAD_ADDRESSES]
    assert len(said) == 5 + len(BAD_ADDRESSES)
    assert SENTINEL not in caplog.text
    assert SENTINEL not in " ".join(said)


def test_other_threads_may_log_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    """What is kept back is what is said in the middle of sending, and nothing else."""
    caplog.set_level(logging.DEBUG)
    with WebhookReceiver(ScriptedAnswer(hang=True)) as server:
        sending = threading.Thread(target=failure, args=(QUICK, server.url))
        sending.start()
        server.wait_for_requests(1)
        logging.getLogger("urllib3.connectionpool").debug("of somebody else")
        sending.join()
    assert "of somebody else" in caplog.text


LOADS_APPRISE = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def apprise_url(url: str) -> str:
    """A JSON receiver, as Apprise calls it."""
    return url.replace("http://", "json://") + f"/{SENTINEL}"


@LOADS_APPRISE
def test_apprise() -> None:
    """Title, text and tone arrive by a receiver of its own."""
    pytest.importorskip("apprise")
    with WebhookReceiver() as server:
        QUICK.send(ApprisePayload(apprise_url(server.url), "A title", "Two\nlines", "failure"), AT)
        (request,) = server.requests
    sent = request.json()
    assert (sent["title"], sent["message"], sent["type"]) == ("A title", "Two\nlines", "failure")


APPRISE = [
    pytest.param(ScriptedAnswer(500), DeliveryError, id="a server that fails"),
    pytest.param(ScriptedAnswer(302, {"Location": "/elsewhere"}), DeliveryError, id="a redirect"),
]


@LOADS_APPRISE
@pytest.mark.parametrize(("answer", "kind"), APPRISE)
def test_apprise_that_fails(
    answer: ScriptedAnswer, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    """One error without the address, one request, and nothing in the log."""
    pytest.importorskip("apprise")
    caplog.set_level(logging.DEBUG)
    with WebhookReceiver(answer) as server:
        with pytest.raises(kind) as caught:
            QUICK.send(ApprisePayload(apprise_url(server.url), "T", "B", "info"), AT)
        assert len(server.requests) == 1
    assert SENTINEL not in repr(caught.value) + caplog.text


@LOADS_APPRISE
@pytest.mark.parametrize("url", ["", "nothing", f"nothing://{SENTINEL}"])
def test_apprise_does_not_know_the_address(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A person has to look; the address is not repeated."""
    pytest.importorskip("apprise")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(RefusedDeliveryError, match="does not recognize") as caught:
        QUICK.send(ApprisePayload(url, "T", "B", "info"), AT)
    assert SENTINEL not in repr(caught.value) + caplog.text


def test_without_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(RefusedDeliveryError, match=r"pip install .*\[apprise\]"):
        QUICK.send(ApprisePayload("json://x", "T", "B", "info"), AT)
