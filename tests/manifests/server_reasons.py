"""What the API server says itself, where a rule of ours cannot speak: by the id of the bad spec.

Types, missing and unknown fields, choices and lengths of lists are checked before any rule of a
CRD; there the server's own words stand. In all other cases it says ours.
"""

TYPES = "must be of type"
NOT_ONE = 'Unsupported value: "{}"'
UNKNOWN = 'unknown field "spec.{}"'

WORDS = {
    "a fraction is no whole number": TYPES,
    "a quoted number is a text": TYPES,
    "yes is true, not a number": TYPES,
    "a leading zero makes a text, not an octal": TYPES,
    "hexadecimal is a text": TYPES,
    "an empty value is not a default": "spec.steps[0].weight",
    "a list is no number": TYPES,
    "a mapping is no number": UNKNOWN.format("steps[0].weight.a"),
    "a quoted bound is a text": TYPES,
    "a negative duration": TYPES,
    "a duration without a unit": TYPES,
    "a duration is not a boolean": TYPES,
    "a quoted yes is a text": TYPES,
    "one is not true": TYPES,
    "a name with a capital": "RFC 1123 subdomain",
    "a number is no name": "namespace",
    "a kind that is not supported": NOT_ONE.format("StatefulSet"),
    "a choice that does not exist": NOT_ONE.format("Ignore"),
    "another version of ours": "cannot be handled as a CanaryRelease",
    "a missing field": "Required value",
    "a misspelt field": UNKNOWN.format("steps[0].aproval"),
    "an unknown field that resembles none": UNKNOWN.format("steps[0].zzz"),
    "the name inside Python is not the name in YAML": UNKNOWN.format("on_inconclusive"),
    "a text where a mapping is meant": TYPES,
    "a mapping that has no fields": TYPES,
    "two checks of one name": "Duplicate value",
    "a text where a list is meant": TYPES,
    "too many steps": "must have at most 20 items",
    "a deadline that no release can meet": (
        "expected more than the longer of all step durations together and analysis.minDuration, found 7m"
    ),
    "two metrics of one name": "Duplicate value",
}
"""Part of the server's message."""

FILE_ONLY = frozenset(
    {
        "infinity is no number, said once",
        "not-a-number is no number",
        "too large for a float",
        "a key given twice",
        "a YAML tag",
        "a key that is no text",
        "a merge of no mapping",
    }
)
"""Mistakes of YAML that JSON, which the API server is sent, cannot have."""
