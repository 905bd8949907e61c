"""Looks at a cluster and says what it finds: drafts for `init`, risks for `lint`, remedies."""
