"""The steps of a campaign: each reads artifacts, calls the method, writes an artifact."""
