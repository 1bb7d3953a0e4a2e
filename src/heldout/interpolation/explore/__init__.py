"""What the explorables of the interpolation chapter show; one module a page."""
