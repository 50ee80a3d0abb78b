"""Where do problems, solutions and labels come from?  Loaders, and the tables they become."""
