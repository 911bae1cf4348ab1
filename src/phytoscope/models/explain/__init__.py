"""Heat maps: which places of an image a network's output comes from. Tensors in, arrays out."""
