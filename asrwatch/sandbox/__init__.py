"""A faithful local DashScope that really listens."""
