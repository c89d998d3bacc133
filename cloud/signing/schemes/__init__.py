"""Signature schemes: one file each; which one is used is said by `cloud.store.suite.Suite` alone."""
