"""Upkeep: the services that keep the ledger moving without anybody asking.

Each is a round, a function that does its work once and returns how long to rest, run in a `Loop` inside the workers.
"""
