"""Migration 7: agent state, model usage, and several processes per run."""

SCRIPT = """
-- What the turn's agent goes on from after a suspension, masked; and what its model has used.
ALTER TABLE turns ADD COLUMN state TEXT CHECK (state IS NULL OR json_valid(state));
ALTER TABLE turns ADD COLUMN requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;

-- Whether the work of a run is lost with its process.
ALTER TABLE runs ADD COLUMN bound INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runs RENAME COLUMN process TO processes;
UPDATE runs SET processes = json_array(json(processes)) WHERE processes IS NOT NULL;
"""
