"""Every parser of foreign text, and text that is as bad for it as a MiB can be.

Run as a program with a parser's name, in a process of its own with limits of its own: prints one
line of JSON, the seconds of CPU for each kind of text.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

MIB = 1 << 20
UNITS = {
    "spaces": " ",
    "line breaks": "\n",
    "tabs": "\t",
    "digits": "9",
    "letters": "a",
    "dots": ".",
    "quotes": '"',
    "single quotes": "'",
    "backslashes": "\\",
    "opening braces": "{",
    "opening brackets": "[",
    "opening parentheses": "(",
    "opening braces with spaces": "{{ ",
    "closed braces": "{{a}} ",
    "commas": ",",
    "slashes": "/",
    "dashes": "-",
    "percent signs": "%",
    "nested flow": "[{a: ",
    "anchors": "&a ",
    "comments": "# a\n",
    "documents": "---\n",
    "documents with a value": "---\na\n",
    "list items": "- ",
    "list lines": "- a\n",
    "keys": "a: 1\n",
    "long keys": "? a\n",
    "labels": 'a="b",',
    "labels without quotes": "a=b,",
    "regexes": 'a=~"(a+)+$",',
    "escapes": 'a="\\\\\\"",',
    "samples": 'a{b="c"} 1\n',
    "names": "a ",
    "metrics": "a{",
    "durations": "1h",
    "powers": "1e9",
    "lone surrogates": "\udcff",
    "control characters": "\x1b[31m",
    "NULs": "\0",
    "CSV": "a,b\n",
    "headers": "a: b, ",
    "URLs": "http://a@",
    "regex groups": "(a+)+",
    "pool names": "HTTPSConnectionPool(",
    "weights": " (weight 1",
}
BEGINNINGS = ("", 'a{a="', "a{", '{"a":', "{{ ", "a: ", "a: |\n ", "x=~", "http://", 'a="')
