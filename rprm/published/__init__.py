"""Which numbers did others publish, and where?"""
