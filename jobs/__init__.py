"""The batch system: campaigns of sharded stages on a laptop, on Kubernetes or on Ray."""
