"""Where does work run?  One protocol; a process pool, and later Kubernetes and Ray."""
