"""How does a judge guide a policy, step by step?  The parts of benchmarks/guided_search."""
