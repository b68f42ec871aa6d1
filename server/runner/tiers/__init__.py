"""The tiers of the sandbox: namespaces (bubblewrap), landlock and off, and what they are made of."""
