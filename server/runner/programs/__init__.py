"""Programs that run in a sandbox (launcher, relay, probe) or stand around one (supervisor, cgroup_probe)."""
