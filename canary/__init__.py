"""canary: ships a new version of a service without hurting its users."""

__version__ = "0.1.0"
