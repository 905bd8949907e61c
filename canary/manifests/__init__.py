"""Generates the CustomResourceDefinition that is installed in a cluster, from the models."""

from canary.manifests.crd import build_crd, crd_yaml

__all__ = ["build_crd", "crd_yaml"]
