"""How many files a process may have open: each request in flight needs a socket."""

import resource

from canary.loadtest.generator.plan import LoadPlan

_OTHER_FILES = 64


def raise_file_limit(wanted: int) -> int:
    """How many files this process may have open, raised to `wanted` where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def count_files_needed(plan: LoadPlan) -> int:
    """How many files the largest worker may need: a socket for each request in flight."""
    return plan.share(0) + _OTHER_FILES
