"""Migration 4: numbers that are never given to a second task, and exact counters of sub-tasks."""

# Cursors and fences contain a task's number, and SQLite reuses the highest number once its row is deleted.
SCRIPT = """
CREATE TABLE retired_numbers (highest INTEGER NOT NULL) STRICT;
INSERT INTO retired_numbers VALUES (0);
CREATE TRIGGER number_retired AFTER DELETE ON tasks WHEN old.seq > (SELECT highest FROM retired_numbers) BEGIN
    UPDATE retired_numbers SET highest = old.seq;
END;

-- A task may outlive its parent.
CREATE TRIGGER tally_parent_left AFTER UPDATE OF parent ON tasks
WHEN old.parent IS NOT new.parent AND old.parent IS NOT NULL BEGIN
    UPDATE tallies SET n = n - 1 WHERE filter = 'parent' AND first = CAST(old.parent AS TEXT) AND second = ''
        AND principal = old.principal;
    DELETE FROM tallies WHERE filter = 'parent' AND first = CAST(old.parent AS TEXT) AND second = ''
        AND principal = old.principal AND n = 0;
END;
DELETE FROM tallies WHERE filter = 'parent';
INSERT INTO tallies SELECT 'parent', CAST(parent AS TEXT), '', principal, count(*) FROM tasks
    WHERE parent IS NOT NULL GROUP BY parent, principal;

DROP INDEX tasks_of_root;
"""
