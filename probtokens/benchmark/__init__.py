"""How much does each meso simulation add, and would another method do as well?"""
