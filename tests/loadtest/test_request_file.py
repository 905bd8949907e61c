"""The YAML file of requests and its data: what goes out, and what is refused."""

import json
from pathlib import Path

import pytest

from canary.errors import UsageError
from canary.loadtest.generator.request_file import read_requests

WHOLE = """
requests:
- name: login
  weight: 3
  method: POST
  path: /login/{{ user }}?n={{ number }}
  headers: {X-User: '{{ user }}'}
  json: {user: '{{ user }}', deep: [{a: 1}]}
  expect: [200, 401]
- {path: /check, headers: {Content-Type: text/x}, body: 'hi {{ user }}', method: PUT}
data: {csv: users.csv, order: sequence}
"""


def written(folder: Path, text: str, users: str = "user\nänne\n") -> Path:
    """The file of requests, with its CSV beside it."""
    (folder / "users.csv").write_text(users, encoding="utf-8")
    path = folder / "requests.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_requests_are_filled_in(tmp_path):
    """Values are percent-encoded in paths and escaped in JSON; elsewhere they go as they are."""
    mix = read_requests(written(tmp_path, WHOLE, 'user\n"a/b ""c"""\n'))
    login, check = mix.requests
    sent = login.fill_in(mix.rows.row(0, 7))
    assert sent.path == "/login/a%2Fb%20%22c%22?n=7"
    assert sent.headers == ['X-User: a/b "c"', "Content-Type: application/json"]
    assert json.loads(sent.body or b"") == {"user": 'a/b "c"', "deep": [{"a": 1}]}
    assert check.fill_in(mix.rows.row(0, 8)).body == b'hi a/b "c"'
    assert check.name == "PUT /check"
    assert [login.ok(status) for status in (200, 401, 500)] == [True, True, False]
    assert [check.ok(status) for status in (204, 302, 401)] == [True, True, False]


def test_users_can_be_made_up(tmp_path):
    """Each row has its own number; a sequence begins again after the last."""
    text = "requests: [{path: '/{{ user }}'}]\ndata: {count: 2, order: sequence, fields: {user: 'u{{ row }}'}}"
    draw = read_requests(written(tmp_path, text)).draw("seed")
    assert [draw(number).path for number in range(3)] == ["/u1", "/u2", "/u1"]


def test_weights_are_shares(tmp_path):
    """Three of four requests are logins; a seed always draws the same."""
    mix = read_requests(written(tmp_path, WHOLE))
    names = [mix.draw("a")(0).kind.name for _ in range(3)]
    assert len(set(names)) == 1
    draw = mix.draw("b")
    logins = sum(draw(number).kind.name == "login" for number in range(2000))
    assert 1400 < logins < 1600


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("requests: []", "a list of 1 or more", id="no request"),
        pytest.param("", "one YAML document", id="an empty file"),
        pytest.param("a: [", "this is not YAML", id="no YAML"),
        pytest.param("requests: [{pth: /}]", r"requests.yaml:1:13: .*did you mean path", id="a typo"),
        pytest.param("requests: [{path: x}]", "begins with /", id="a relative path"),
        pytest.param("requests: [{path: //x}, {path: '/a b\\n'}]", "", id="an odd path is only a path"),
        pytest.param("requests: [{method: get}]", "such as GET", id="a method in lower case"),
        pytest.param("requests: [{weight: 0}]", "weight above 0", id="no weight"),
        pytest.param("requests: [{expect: [99]}]", "from 100 to 599", id="no status"),
        pytest.param('requests: [{headers: {A: "b\\r\\nc"}}]', "in one line", id="two headers in one"),
        pytest.param("requests: [{headers: {'a b': c}}]", "name of a header", id="no header's name"),
        pytest.param("requests: [{body: a, json: {}}]", "found both", id="two bodies"),
        pytest.param("requests: [{}, {}]", "different names", id="one name for two"),
        pytest.param("requests: [{path: '/{{ a b }}'}]", "found 'a b'", id="no name in the braces"),
        pytest.param("requests: [{path: '/{{ who }}'}]", "have no field", id="a name without data"),
        pytest.param("requests: [{}]\ndata: {csv: users.csv, count: 3}", "found both", id="two sources"),
        pytest.param("requests: [{}]\ndata: {csv: none.csv}", "none.csv: cannot read", id="no such CSV"),
        pytest.param("requests: [{}]\ndata: {fields: {a: b}}", "require a count of rows", id="no count"),
        pytest.param(
            "requests: [{}]\ndata: {count: 1, fields: {a: '{{ b }}'}}", "found 'b'", id="a field of a field"
        ),
    ],
)  # fmt: skip
def test_a_wrong_file_says_what_and_where(tmp_path, text, said):
    """One message with all of it, before anything is sent."""
    if not said:
        read_requests(written(tmp_path, text))
        return
    with pytest.raises(UsageError, match=said):
        read_requests(written(tmp_path, text))


@pytest.mark.parametrize(
    ("users", "said"),
    [
        pytest.param("a,b\n1,2\n3\n4,5\n6,7,8\n", "line 3 has 1, line 5 has 3", id="cells missing"),
        pytest.param("a\n" + "1,2\n" * 9, "and 6 more", id="many broken rows"),
        pytest.param('a\n1\n"x\n', r"users.csv:3: invalid CSV", id="a quote that is not closed"),
        pytest.param("", "found nothing", id="an empty file"),
        pytest.param("a\n", "found none", id="a header alone"),
        pytest.param("a,a\n1,2\n", "different name", id="two columns of one name"),
        pytest.param("user\n\udcff\n", r"users.csv:2: expected UTF-8", id="no UTF-8"),
    ],
)
def test_a_broken_csv_says_which_lines(tmp_path, users, said):
    """With the numbers of the lines, so that they can be repaired."""
    path = written(tmp_path, "requests: [{}]\ndata: {csv: users.csv}")
    (tmp_path / "users.csv").write_bytes(users.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=said):
        read_requests(path)


def test_a_line_break_never_reaches_a_header(tmp_path):
    """A value that would begin another request is refused, where a header uses it."""
    with pytest.raises(UsageError, match="control character in row 2 of the data"):
        read_requests(written(tmp_path, WHOLE, 'user\nx\n"a\r\nHost: b"\n'))
    read_requests(
        written(
            tmp_path,
            "requests: [{body: '{{ user }}', method: POST}]\ndata: {csv: users.csv}",
            'user\n"a\nb"\n',
        )
    )


def test_the_documented_file_is_valid():
    """docs/loadtest.md shows docs/examples/requests.yaml as it is."""
    docs = Path(__file__).parents[2] / "docs"
    example = docs / "examples/requests.yaml"
    assert example.read_text("utf-8") in (docs / "loadtest.md").read_text("utf-8")
    assert [one.name for one in read_requests(example).requests] == ["login", "register"]
