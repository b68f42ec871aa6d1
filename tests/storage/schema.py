"""The schema of the database as all its migrations leave it: `python -m tests.storage.schema` writes it anew."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from storage.sqlite.migrations import MIGRATIONS

FILE = Path(__file__).parents[2] / "storage" / "sqlite" / "schema.sql"


def schema() -> str:
    """Return every table, index, view and trigger, in the order of their names within each kind, as SQL."""
    with closing(sqlite3.connect(":memory:")) as db:
        for script in MIGRATIONS:
            db.executescript(script)
        statements = db.execute(
            """SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'
               AND name NOT IN (SELECT s.name FROM sqlite_schema s JOIN sqlite_schema v ON v.sql GLOB 'CREATE VIRTUAL*'
                                WHERE s.name GLOB v.name || '_*')
               ORDER BY type = 'trigger', type = 'index', type = 'view', tbl_name, name"""
        ).fetchall()
    heading = f"-- All {len(MIGRATIONS)} migrations added up, for who reads it; `make schema` writes it.\n"
    return "\n".join([heading, *(f"{_with_a_line_for_each_column(sql)};\n" for (sql,) in statements)])


def _with_a_line_for_each_column(sql: str) -> str:
    """Return the statement with each added column on a line of its own, where the schema has them on one."""
    if not sql.startswith("CREATE TABLE"):
        return str(sql)
    return re.sub(r"\s*, (?=\w+ (?:TEXT|INTEGER|REAL)\b)", ",\n    ", sql)


if __name__ == "__main__":
    FILE.write_text(schema())
