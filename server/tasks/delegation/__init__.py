"""Sub-tasks that agents create: rights, inheritance and quotas."""
