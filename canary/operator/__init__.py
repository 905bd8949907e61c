"""`canary operator`: the controller as a program, with its lease, probes, metrics and logs."""
