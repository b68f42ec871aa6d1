"""Programs that run inside a sandbox (launcher, relay, probe) or outside (supervisor, cgroup_probe); their copies."""
