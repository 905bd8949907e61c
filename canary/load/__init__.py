"""Open-loop load: requests are due at times that were fixed beforehand."""
