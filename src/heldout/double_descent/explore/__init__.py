"""Data of the chapter's explorables: one module a page, records in, what the page's figures show out."""
