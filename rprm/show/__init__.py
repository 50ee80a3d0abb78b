"""A page of judgements: what a judge wrote of each step, for a person who wants to look."""
