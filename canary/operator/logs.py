"""Logging to standard error, as JSON or as text; each line names its release.

It uses the standard library's logging with formatters of this project.
"""

import json
import logging
import sys
from enum import StrEnum
from typing import Any

from canary.operator.reconciler import current_release
from canary.text.format import format_exact_timestamp


class LogFormat(StrEnum):
    """Format of log lines."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """Minimum log level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def configure_logging(form: LogFormat, level: LogLevel) -> None:
    """Log to standard error from now on; lines of other libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form is LogFormat.JSON else ConsoleLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, _level_number(level)))
    logging.getLogger("canary").setLevel(_level_number(level))


def log_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return namespace, release, step, weight, phase and reason of the current release."""
    found = current_release.get()
    if found is None:
        return {}
    key, status = found
    fields: dict[str, Any] = {"namespace": key.namespace, "release": key.name}
    if status is not None:
        fields |= {
            "step": status.step,
            "weight": status.weight,
            "phase": status.phase.value,
            "reason": status.reason.value,
        }
    reason = getattr(record, "reason", None)
    return fields if reason is None else {**fields, "reason": reason}


class JsonLines(logging.Formatter):
    """Formats each line as a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Format time, level, logger, message, the release's fields and, of a bug, `error`."""
        line = {
            "time": format_exact_timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **log_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class ConsoleLines(logging.Formatter):
    """Formats each line as text."""

    def format(self, record: logging.LogRecord) -> str:
        """Format as `12:00:00.123 INFO prod/auth [step=1 weight=5 reason=Holding] …`."""
        fields = log_fields(record)
        where = ""
        if fields:
            rest = [f"{key}={fields[key]}" for key in ("step", "weight", "reason") if key in fields]
            where = f"{fields['namespace']}/{fields['release']} [{' '.join(rest)}] "
        time = format_exact_timestamp(record.created)[11:23]
        text = f"{time} {record.levelname} {where}{record.getMessage()}"
        error = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return text + error


def _level_number(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level.value.upper()]
