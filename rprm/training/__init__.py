"""How is a judge trained?  Supervised first, then by preference, resumable at every checkpoint."""
