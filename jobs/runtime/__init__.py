"""What runs: the controller's loop, the worker, and what they tell people."""
