"""Signature schemes: one file each; which one new signatures use is said by `cloud.store.suite.Suite` alone."""
