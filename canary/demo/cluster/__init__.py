"""A Deployment, PostgreSQL, Traefik and Prometheus as processes on one machine."""
