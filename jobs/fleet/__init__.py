"""How is a fleet of vLLM replicas kept: as many as the work needs, watched, told about?"""
