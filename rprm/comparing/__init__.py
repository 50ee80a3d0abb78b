"""How do our runs stand beside each other and beside what others published?"""
