"""Networks: timm backbones with our heads, where their weights come from, the target's scale. Tensors in and out."""
