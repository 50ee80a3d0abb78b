"""How good is a judge?  One file per benchmark, and the statistics that they share."""
