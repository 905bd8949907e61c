"""Raises the limit of open files: each request in flight needs a socket."""

import resource

from canary.loadtest.generator.plan import LoadPlan

_OTHER_FILES = 64


def raise_file_limit(wanted: int) -> int:
    """Raise this process's limit of open files to `wanted` if allowed; return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def count_files_needed(plan: LoadPlan) -> int:
    """Return the open files that the largest worker needs: a socket per request in flight."""
    return plan.share(0) + _OTHER_FILES
