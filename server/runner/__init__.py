"""Running commands in a sandbox: its tiers, limits, network, and the folders that commands work in."""
