"""`canary operator`: the controller process with leader election, probes, metrics and logs."""
