"""Data of the explorables of the chapter on connecting the dots, one module a page."""
