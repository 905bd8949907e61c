"""Notifies people outside the cluster: receivers, subscriptions by reason, delivery."""
