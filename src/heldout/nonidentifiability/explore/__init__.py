"""Data of the explorables of the chapter on quanta, one module a page."""
