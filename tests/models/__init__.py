"""A model that does what a script says, behind the wire formats real agents speak."""
