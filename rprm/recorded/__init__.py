"""What do recorded outputs of any model score?  Reading them, and one file per benchmark."""
