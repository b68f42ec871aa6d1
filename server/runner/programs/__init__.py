"""Programs that run inside a sandbox (launcher, relay, probe) or outside of it (supervisor, cgroup_probe)."""
