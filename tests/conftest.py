"""What all tests share."""

from hypothesis import settings

# The same examples in every run: a test that fails, fails for everybody.
settings.register_profile("same-every-time", derandomize=True, deadline=None, print_blob=False)
settings.load_profile("same-every-time")
