"""Data of the explorables of the chapter on grokking, one module a page."""
