"""What a notebook shows of clips, batches and films: HTML that holds all it needs. It needs no IPython.

Text of prompts and services is text: nothing in it is markup, nor mathematics.
"""
