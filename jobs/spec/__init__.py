"""What does a person ask for?  The campaign document, its errors and the exit-code contract."""
