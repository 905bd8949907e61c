"""What is installed in a cluster: the CustomResourceDefinition, made from the models."""

from canary.manifests.crd import crd, crd_yaml

__all__ = ["crd", "crd_yaml"]
