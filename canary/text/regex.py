"""Regular expressions of specs, options and files: RE2, the dialect of Prometheus, in linear time.

Python's `re` needs exponential time for some patterns and holds the interpreter's lock meanwhile:
`(a+)+$` against 26 characters stops every thread of the operator for seconds. It is used only for
patterns of our own. For example:

    full_match("5..", "503")     True: anchored at both ends, as in Prometheus
    full_match("5..", "5033")    False
    check_regex("(a")            RegexError: missing )
"""

from functools import lru_cache
from typing import Any, Final

import re2

MAX_REGEX_CHARACTERS: Final = 4096
"""Maximum number of characters of a regular expression in a spec, option or file."""
MAX_REGEX_PROGRAM: Final = 5000
"""Maximum number of instructions of the compiled program: `.{1000}` has 7,000."""
_MEMORY: Final = 1 << 20
"""Maximum bytes for a compiled pattern and its cache; patterns that need more are rejected."""
_SHORT: Final = 200
"""Maximum number of characters of a text whose result is cached."""


class RegexError(ValueError):
    """The text is not a valid regular expression, or needs too much memory."""


def check_regex(pattern: str) -> None:
    """Raise RegexError unless `pattern` is a regular expression of a reasonable size."""
    if len(pattern) > MAX_REGEX_CHARACTERS:
        raise RegexError(
            f"expected at most {MAX_REGEX_CHARACTERS:,} characters, found {len(pattern):,}"
        )
    if _compile_pattern(pattern).programsize > MAX_REGEX_PROGRAM:
        raise RegexError("it needs too much memory; use smaller repetitions")


def full_match(pattern: str, text: str) -> bool:
    """Return whether `pattern` matches all of `text`; `.` matches line breaks as well.

    Raises RegexError if `pattern` is not a regular expression.
    """
    if len(text) <= _SHORT:
        return _match_cached(pattern, text)
    return _match_uncached(pattern, text)


@lru_cache(maxsize=1 << 12)
def _match_cached(pattern: str, text: str) -> bool:
    return _match_uncached(pattern, text)


def _match_uncached(pattern: str, text: str) -> bool:
    # Bytes, because offsets in characters are not needed here and take time to compute.
    return _compile_pattern(pattern).fullmatch(text.encode(errors="replace")) is not None


@lru_cache(maxsize=64)
def _compile_pattern(pattern: str) -> Any:  # noqa: ANN401  # re2 has no types
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = _MEMORY
    options.never_capture = True
    try:
        return re2.compile(pattern.encode(), options)
    except UnicodeEncodeError as error:
        raise RegexError("expected valid UTF-8") from error
    except re2.error as error:
        # RE2 repeats the pattern after a colon, as bytes.
        words = error.args[0].decode(errors="replace") if error.args else ""
        raise RegexError(words.partition(":")[0] or "RE2 refuses it") from error
