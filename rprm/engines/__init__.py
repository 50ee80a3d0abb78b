"""Who writes text for a prompt?  One protocol, several engines."""
