"""Step 20: no statistics of SQLite's, with which it plans a statement anew for each size of the tables.

At some sizes it built a Bloom filter over all tasks for a statement that needs one. Without statistics the plans stay
the ones that the tests have seen.
"""

SCRIPT = """
DROP TABLE IF EXISTS sqlite_stat1;
DROP TABLE IF EXISTS sqlite_stat4;
"""
