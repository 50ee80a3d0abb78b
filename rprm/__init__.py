"""R-PRM: the method. Train, measure and serve judges that read a solution step by step."""
