"""Lists connection pools, the most urgent first: `canary pools`."""
