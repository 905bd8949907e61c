"""HTTP to addresses that other people choose: pods, checks, receivers of notifications."""
