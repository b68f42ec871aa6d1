"""Control groups: the kernel's limits over the whole tree of a command's processes."""
