"""Networks for sparse parity whose first layer is not trained: a linear model on the features that the start happened to draw."""

from heldout.quanta.parity import Batch
from heldout.quanta.parity_networks import Together


class Frozen(Together):
    """The same networks with the first layer held as it is drawn, so that only the readout learns."""

    def backward(self, batch: Batch) -> None:
        """Write the gradient of the readout; the first layer's is zero."""
        super().backward(batch)
        for gradient in self._views(self.gradient)[:3]:
            gradient.zero_()
