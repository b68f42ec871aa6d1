"""The tiers of the sandbox (namespaces with bubblewrap, Landlock, off) and the parts that they share."""
