"""Measurements that take minutes to hours: run by hand, recorded in docs/measurements/, never part of the tests."""
