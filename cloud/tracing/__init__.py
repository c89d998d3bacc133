"""Telling a collector what took how long, where one is named; never about whom."""
