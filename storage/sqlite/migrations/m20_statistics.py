"""Migration 20: no SQLite statistics, which make it plan a statement anew for each size of the tables.

At some sizes it built a Bloom filter over all tasks for a statement that needs a single one. Without statistics, the
plans stay those that the tests have checked.
"""

SCRIPT = """
DROP TABLE IF EXISTS sqlite_stat1;
DROP TABLE IF EXISTS sqlite_stat4;
"""
