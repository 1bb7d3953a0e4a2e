"""heldout: the library behind *What the Loss Leaves Open*, an executable monograph on generalization."""

__version__ = "0.1.0"
