"""Retail social sentiment, from public streams to a DuckDB file that anybody can query."""

__version__ = "0.1.0"
