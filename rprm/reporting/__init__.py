"""What did a campaign find?  Numbers with intervals, claims with verdicts, a page to read."""
