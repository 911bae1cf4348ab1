"""Networks: timm backbones with our heads, where their weights come from, and the scale of the target. Tensors in and out."""
