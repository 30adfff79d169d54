"""Measurements that take minutes to hours: run by hand, recorded in docs/, never part of the tests."""
