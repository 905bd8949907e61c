"""canary: ships a new version of a service without hurting its users."""

__version__ = "0.1.0"
"""The one place of the version: `make generate` copies it to the chart, manifests and examples."""
