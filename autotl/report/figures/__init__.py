"""The figures of the report: each takes records and returns an ``<svg>``, or an empty text without data."""
