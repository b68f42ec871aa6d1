"""Control groups: limits that the kernel enforces on a command's whole process tree."""
