"""How are the process reward models of others asked, each by its own published protocol?"""
